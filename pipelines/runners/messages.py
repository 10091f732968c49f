"""Everything that a server and its runner processes tell each other, as one datagram each.

A datagram is JSON; behind a newline, `Media` brings the bytes that were read from its socket already.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from callpipe.transports.errors import CallpipeError

from ..bot_profile import BotProfile
from ..ongoing import Intent, OngoingCall

MAX_DATAGRAM_BYTES = 128 * 1024
"""A call of many generations, with all the BXML it was answered with, has some ten kilobytes."""


# From the server.


@dataclass(frozen=True, slots=True)
class Prepare:
    """A media stream has been asked for: begin its generation, the call's current one."""

    call: OngoingCall
    kind: Literal["prepare"] = "prepare"


@dataclass(frozen=True, slots=True)
class Media:
    """The carrier has opened a media socket, which comes along, for the call's current generation.

    Attributes:
        call: The call.
        received: What was read from the socket: the request that asks for a WebSocket.
    """

    call: OngoingCall
    kind: Literal["media"] = "media"
    received: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Abandon:
    """The media streams that were asked for will not come: end what waits for them."""

    call_id: str
    kind: Literal["abandon"] = "abandon"


@dataclass(frozen=True, slots=True)
class End:
    """A call is over: end its pipelines."""

    call_id: str
    reason: str
    kind: Literal["end"] = "end"


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no further call, and exit when the last has ended.

    Attributes:
        deadline_s: The media streams that are left then are closed, and their calls go on in another runner.
    """

    deadline_s: float
    kind: Literal["drain"] = "drain"


@dataclass(frozen=True, slots=True)
class Spent:
    """What the calls of all runners have cost today, together."""

    today_usd: float
    kind: Literal["spent"] = "spent"


# From a runner.


@dataclass(frozen=True, slots=True)
class Held:
    """What a runner holds, or held, of one generation.

    Attributes:
        call_id: The call.
        generation: The generation's number.
        started: Its media stream has started.
        intent: What the bot wants next.
        ended: Why its pipeline has ended; None while it runs.
    """

    call_id: str
    generation: int
    started: bool = False
    intent: Intent | None = None
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """The first message: a runner has loaded its bot, or meets a new server.

    Attributes:
        bot: The bot.
        revision: Which load of the bot's file this is: the highest gets new calls.
        workers: How many runners of the bot take calls; those beyond are kept warm.
        held: Every generation that a server may not know all about.
    """

    bot: BotProfile
    revision: int
    workers: int = 1
    held: tuple[Held, ...] = ()
    kind: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A generation's pipeline is built, or can't be: then its intent says so."""

    held: Held
    kind: Literal["prepared"] = "prepared"


@dataclass(frozen=True, slots=True)
class Told:
    """Something has become of a generation: it has started, wants something, or has ended."""

    held: Held
    kind: Literal["told"] = "told"


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life, every second.

    Attributes:
        lag_p90_ms: How late its event loop was, in 9 of 10 measures of the last ten seconds at the most.
        lag_p99_ms: The same in 99 of 100 of the last minute.
        lag_max_ms: The longest it ever was.
        rss_bytes: Its memory.
        tasks: The tasks of its event loop.
        spent_usd: What the calls that it runs have cost so far.
        draining: It takes no further call.
    """

    lag_p90_ms: float = 0.0
    lag_p99_ms: float = 0.0
    lag_max_ms: float = 0.0
    rss_bytes: int = 0
    tasks: int = 0
    spent_usd: float = 0.0
    draining: bool = False
    kind: Literal["beat"] = "beat"


FromServer = Prepare | Media | Abandon | End | Drain | Spent
FromRunner = Ready | Prepared | Told | Beat

_FROM_SERVER: TypeAdapter[FromServer] = TypeAdapter(Annotated[FromServer, Field(discriminator="kind")])
_FROM_RUNNER: TypeAdapter[FromRunner] = TypeAdapter(Annotated[FromRunner, Field(discriminator="kind")])


@functools.cache
def _of_type(kind: type[FromServer | FromRunner]) -> TypeAdapter[FromServer | FromRunner]:
    return TypeAdapter(kind)


class BrokenDatagramError(CallpipeError):
    """A datagram is none of ours: server and runner are of different releases."""


def encode(message: FromServer | FromRunner) -> bytes:
    """Return a message as a datagram."""
    adapter = _of_type(type(message))
    if isinstance(message, Media):
        return adapter.dump_json(message, exclude={"received"}) + b"\n" + message.received
    return adapter.dump_json(message)


def from_server(datagram: bytes) -> FromServer:
    """Return what a server says.

    Raises:
        BrokenDatagramError: It is no message.
    """
    head, newline, received = datagram.partition(b"\n")
    try:
        message = _FROM_SERVER.validate_json(head)
    except ValidationError as broken:
        raise BrokenDatagramError(f"a server says what no server says: {broken.error_count()} errors") from None
    return Media(message.call, received=received) if isinstance(message, Media) and newline else message


def from_runner(datagram: bytes) -> FromRunner:
    """Return what a runner says.

    Raises:
        BrokenDatagramError: It is no message.
    """
    try:
        return _FROM_RUNNER.validate_json(datagram)
    except ValidationError as broken:
        raise BrokenDatagramError(f"a runner says what no runner says: {broken.error_count()} errors") from None
