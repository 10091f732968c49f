"""Faults on demand: what a model, or the line to it, can do wrong.

A fault is declared, not programmed: ``Drop(at=Nth("response.output_audio.delta", 3))`` breaks the connection
instead of sending the third piece of audio, ``Drop(at=After(0.4, Nth("response.created", 2)))`` 0.4 s after the
second answer began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

AUDIO_DELTA = "response.output_audio.delta"


@dataclass(frozen=True, slots=True)
class Nth:
    """An event of one type, by its number among those of a session, counted from 1."""

    event_type: str
    number: int = 1


Place: TypeAlias = int | Nth
"""A server event: its number among all of the session's, counted from 1, or among those of its type."""


@dataclass(frozen=True, slots=True)
class After:
    """Some time after a server event, or after the session was opened.

    Attributes:
        seconds: How long after.
        event: After which event; None counts from the open socket.
    """

    seconds: float
    event: Place | None = None


Moment: TypeAlias = Place | After
"""When a fault strikes: at a server event, before it or in its place, or some time after one."""


# The handshake.


@dataclass(frozen=True, slots=True)
class RefuseHandshake:
    """The handshake is refused.

    Attributes:
        status: The HTTP status, such as 401, 429 or 503.
        retry_after_s: What the Retry-After header says; None sends none.
    """

    status: int
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class SlowHandshake:
    """The handshake is answered late."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class UnansweredHandshake:
    """The connection is taken, and the handshake never answered."""


# The connection.


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection breaks without a close frame."""

    at: Moment


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The server closes the connection."""

    at: Moment
    code: int = 1011
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Expire:
    """The session has reached its longest duration: an error says so, then the server closes it."""

    at: Moment
    minutes: float = 60.0


@dataclass(frozen=True, slots=True)
class GoSilent:
    """The server sends nothing any more. It still reads, and the connection stays open."""

    at: Moment


# Single events.


@dataclass(frozen=True, slots=True)
class Omit:
    """The event is never sent."""

    at: Place


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The event is sent twice."""

    at: Place


@dataclass(frozen=True, slots=True)
class Late:
    """The event comes later than those after it."""

    at: Place
    delay_s: float


@dataclass(frozen=True, slots=True)
class SendError:
    """An `error` event comes that nothing the client did has caused."""

    at: Moment
    code: str = "server_error"
    message: str = "The server had an error while processing your request."
    type: str = "server_error"


@dataclass(frozen=True, slots=True)
class SendUnknownEvent:
    """An event comes of a type that no client knows."""

    at: Moment
    type: str = "response.emulated_novelty"


@dataclass(frozen=True, slots=True)
class SendInvalidJson:
    """A message comes that is no JSON."""

    at: Moment
    message: str = '{"type":"response.output_audio.delta","delta":'


# Answers.


@dataclass(frozen=True, slots=True)
class LateDelta:
    """After a response was cancelled its last audio delta comes once more."""


@dataclass(frozen=True, slots=True)
class SlowDeltas:
    """From an audio delta on, counted from 1, every one comes so much later than it should."""

    extra_ms: float
    from_delta: int = 1


@dataclass(frozen=True, slots=True)
class FailResponse:
    """A response ends with the status `failed` instead of saying anything.

    Attributes:
        number: Which of the session's responses, counted from 1.
        code: The error's code; ``rate_limit_exceeded`` and ``server_error`` are the API's most frequent ones.
        message: The error's words.
        type: The error's type; ``tokens`` goes with a rate limit.
    """

    number: int = 1
    code: str = "server_error"
    message: str = "The server had an error while processing your request. Sorry about that!"
    type: str = "server_error"


def rate_limited(number: int = 1, *, retry_after_s: float = 1.5) -> FailResponse:
    """Return the failure of a response that exceeds the account's tokens per minute."""
    words = f"Rate limit reached on tokens per min (TPM). Please try again in {retry_after_s:g}s."
    return FailResponse(number, "rate_limit_exceeded", words, "tokens")


HandshakeFault: TypeAlias = RefuseHandshake | SlowHandshake | UnansweredHandshake
TimedFault: TypeAlias = Drop | Disconnect | Expire | GoSilent | SendError | SendUnknownEvent | SendInvalidJson
"""What may also strike between two events."""
Fault: TypeAlias = HandshakeFault | TimedFault | Omit | Duplicate | Late | LateDelta | SlowDeltas | FailResponse

FaultPlan: TypeAlias = Callable[[], Sequence[Fault]]
"""Gives the faults of the next session that a client tries to open."""


def every_session(*faults: Fault) -> FaultPlan:
    """Let the faults strike every session."""
    return lambda: faults


def first_sessions(count: int, *faults: Fault) -> FaultPlan:
    """Let the faults strike the first sessions; those after them are healthy."""
    return in_turn(*([faults] * count))


def in_turn(*sessions: Sequence[Fault], then: Sequence[Fault] = ()) -> FaultPlan:
    """Give the first session the first faults, and so on.

    Args:
        *sessions: The faults of each session.
        then: Those of every session after the last.
    """
    remaining = iter(sessions)
    return lambda: next(remaining, then)
