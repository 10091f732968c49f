"""From the events of a session to what really goes to its client, after its faults. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from .faults import (
    AUDIO_DELTA,
    After,
    Disconnect,
    Drop,
    Duplicate,
    Expire,
    FailResponse,
    Fault,
    GoSilent,
    Late,
    LateDelta,
    Nth,
    Omit,
    Place,
    SendError,
    SendInvalidJson,
    SendUnknownEvent,
    SlowDeltas,
    TimedFault,
)
from .server_events import ServerEvent, ServerEvents

_TIMED = (Drop, Disconnect, Expire, GoSilent, SendError, SendUnknownEvent, SendInvalidJson)
_ENDINGS = (Drop, Disconnect, Expire, GoSilent)


@dataclass(frozen=True, slots=True)
class Later:
    """Something that happens some time from now; `FaultyLine.strike` says what then.

    Attributes:
        seconds: From now.
        what: A fault that strikes, or an event that comes late.
    """

    seconds: float
    what: TimedFault | ServerEvent


@dataclass(frozen=True, slots=True)
class Raw:
    """A message that is no event."""

    text: str


Outcome: TypeAlias = ServerEvent | Raw | Later | Drop | Disconnect
"""An event or a message to send, what comes later, or how the connection ends."""


class FaultyLine:
    """Lets the faults of a session strike.

    Args:
        faults: The faults; those of the handshake are none of its business.
        events: Makes the events that only a fault brings.
    """

    def __init__(self, faults: Sequence[Fault], events: ServerEvents) -> None:
        self._faults = faults
        self._events = events
        self._sent = 0
        self._sent_of_type: Counter[str] = Counter()
        self._last_delta: ServerEvent | None = None
        self._silent = False

    def opened(self) -> Iterator[Later]:
        """Give what strikes some time after the session has opened."""
        for fault in self._faults:
            if isinstance(fault, _TIMED) and isinstance(fault.at, After) and fault.at.event is None:
                yield Later(fault.at.seconds, fault)

    def outcomes(self, event: ServerEvent) -> Iterator[Outcome]:
        """Give what comes of the next event."""
        self._sent += 1
        self._sent_of_type[str(event["type"])] += 1
        if event["type"] == AUDIO_DELTA:
            self._last_delta = event
        for fault in self._faults:
            if not isinstance(fault, _TIMED):
                continue
            if isinstance(fault.at, After):
                if fault.at.event is not None and self._is_at(fault.at.event, event):
                    yield Later(fault.at.seconds, fault)
            elif self._is_at(fault.at, event):
                yield from self.strike(fault)
                if isinstance(fault, _ENDINGS):
                    return
        if self._silent:
            return
        yield from self._copies(event)
        if LateDelta() in self._faults and self._last_delta is not None and _is_cancelled(event):
            yield self._last_delta

    def strike(self, what: TimedFault | ServerEvent) -> Iterator[Outcome]:
        """Give what comes of a fault, or of a late event, now."""
        if self._silent:
            return
        match what:
            case Drop() | Disconnect():
                yield what
            case Expire(minutes=minutes):
                words = f"Your session hit the maximum duration of {minutes:g} minutes."
                yield self._error("session_expired", words, "invalid_request_error")
                yield Disconnect(what.at, 1001, words)
            case GoSilent():
                self._silent = True
            case SendError(code=code, message=message, type=kind):
                yield self._error(code, message, kind)
            case SendUnknownEvent(type=event_type):
                yield self._events.event(event_type)
            case SendInvalidJson(message=message):
                yield Raw(message)
            case _:
                yield what

    @property
    def delay_ms(self) -> float:
        """How much later than it should the next audio delta comes."""
        slow = (fault for fault in self._faults if isinstance(fault, SlowDeltas))
        number = self._sent_of_type[AUDIO_DELTA] + 1
        return sum(fault.extra_ms for fault in slow if number >= fault.from_delta)

    def failure(self, response_number: int) -> FailResponse | None:
        """Return how a response fails, by its number in the session; None when it does not."""
        failures = (fault for fault in self._faults if isinstance(fault, FailResponse))
        return next((failure for failure in failures if failure.number == response_number), None)

    def _copies(self, event: ServerEvent) -> Iterator[ServerEvent | Later]:
        copies = 1
        for fault in self._faults:
            if not isinstance(fault, Omit | Duplicate | Late) or not self._is_at(fault.at, event):
                continue
            if isinstance(fault, Duplicate):
                copies += 1
            else:
                copies -= 1
            if isinstance(fault, Late):
                yield Later(fault.delay_s, event)
        yield from [event] * copies

    def _is_at(self, place: Place, event: ServerEvent) -> bool:
        if isinstance(place, Nth):
            event_type = str(event["type"])
            return place == Nth(event_type, self._sent_of_type[event_type])
        return place == self._sent

    def _error(self, code: str, message: str, kind: str) -> ServerEvent:
        error = {"type": kind, "code": code, "message": message, "param": None, "event_id": None}
        return self._events.event("error", error=error)


def _is_cancelled(event: ServerEvent) -> bool:
    response = event.get("response")
    if event["type"] != "response.done" or not isinstance(response, dict):
        return False
    return cast("dict[str, object]", response)["status"] == "cancelled"
