"""Faults on demand: what a model, or the line to it, can do wrong.

A fault names the server event at which it strikes by its number within the session, counted from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from .server_events import ServerEvent


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The connection ends instead of the event being sent."""

    at_event: int
    code: int = 1011
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Omit:
    """The event is never sent."""

    at_event: int


@dataclass(frozen=True, slots=True)
class SendError:
    """An `error` event comes before the event."""

    at_event: int
    code: str = "server_error"
    message: str = "The server had an error while processing your request."


@dataclass(frozen=True, slots=True)
class SendUnknownEvent:
    """An event of a type that no client knows comes before the event."""

    at_event: int
    type: str = "response.emulated_novelty"


@dataclass(frozen=True, slots=True)
class SendInvalidJson:
    """A message that is no JSON comes before the event."""

    at_event: int
    message: str = '{"type":"response.output_audio.delta","delta":'


@dataclass(frozen=True, slots=True)
class DuplicateDelta:
    """An audio delta, counted among the session's audio deltas from 1, is sent twice."""

    at_delta: int


@dataclass(frozen=True, slots=True)
class LateDelta:
    """After a response was cancelled its last audio delta comes once more."""


@dataclass(frozen=True, slots=True)
class SlowDeltas:
    """From an audio delta on, counted from 1, every one comes so much later than it should."""

    extra_ms: float
    from_delta: int = 1


Fault: TypeAlias = (
    Disconnect | Omit | SendError | SendUnknownEvent | SendInvalidJson | DuplicateDelta | LateDelta | SlowDeltas
)

_AUDIO_DELTA = "response.output_audio.delta"


class FaultyLine:
    """Turns the events of a session into what really goes to its client."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = faults
        self._events = 0
        self._deltas = 0
        self._last_delta: ServerEvent | None = None

    def messages(self, event: ServerEvent) -> Iterator[bytes | Disconnect]:
        """Give the messages to send for the next event, or the end of the connection."""
        self._events += 1
        if event["type"] == _AUDIO_DELTA:
            self._deltas += 1
            self._last_delta = event
        copies = 1
        for fault in self._faults:
            match fault:
                case Disconnect(at_event=self._events):
                    yield fault
                    return
                case Omit(at_event=self._events):
                    copies = 0
                case SendError(at_event=self._events):
                    yield _json(_error(fault, event))
                case SendUnknownEvent(at_event=self._events):
                    yield _json({"type": fault.type, "event_id": f"{event['event_id']}_new"})
                case SendInvalidJson(at_event=self._events):
                    yield fault.message.encode()
                case DuplicateDelta(at_delta=self._deltas) if event["type"] == _AUDIO_DELTA:
                    copies = 2
                case _:
                    pass
        yield from [_json(event)] * copies
        if LateDelta() in self._faults and self._last_delta is not None and _is_cancelled(event):
            yield _json({**self._last_delta, "event_id": f"{event['event_id']}_late"})

    @property
    def delay_ms(self) -> float:
        """How much later than it should the next audio delta comes."""
        slow = (fault for fault in self._faults if isinstance(fault, SlowDeltas))
        return sum(fault.extra_ms for fault in slow if self._deltas + 1 >= fault.from_delta)


def _json(event: ServerEvent) -> bytes:
    return msgspec.json.encode(event)


def _error(fault: SendError, event: ServerEvent) -> ServerEvent:
    error = {
        "type": "server_error",
        "code": fault.code,
        "message": fault.message,
        "param": None,
        "event_id": None,
    }
    return {"type": "error", "event_id": f"{event['event_id']}_error", "error": error}


def _is_cancelled(event: ServerEvent) -> bool:
    response = event.get("response")
    return event["type"] == "response.done" and isinstance(response, dict) and response["status"] == "cancelled"  # pyright: ignore[reportUnknownVariableType]
