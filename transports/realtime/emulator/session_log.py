"""What a session's two sides said to each other, and when: for tests and for looking at afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .client_events import decoded
from .errors import RequestError

MOST_EVENTS = 100_000
"""Events of each side that are kept; a session of an hour has fewer."""

_AUDIO_FIELDS = {"input_audio_buffer.append": "audio", "response.output_audio.delta": "delta"}


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event.

    Attributes:
        at: Monotonic seconds.
        type: The event's type; empty for a message without one.
        event: The event itself, without audio.
        audio_bytes: Bytes of base64 that were left out of `event`.
    """

    at: float
    type: str
    event: Mapping[str, object] = field(repr=False)
    audio_bytes: int = 0


class SessionLog:
    """The events of one session, the oldest of too many forgotten.

    Attributes:
        caller_audio_ms: Audio the client has appended.
        ended: Whether the session is over.
    """

    def __init__(self) -> None:
        self.caller_audio_ms = 0.0
        self.ended = False
        self._client: deque[LoggedEvent] = deque(maxlen=MOST_EVENTS)
        self._server: deque[LoggedEvent] = deque(maxlen=MOST_EVENTS)

    def received(self, message: str | bytes, at: float) -> None:
        """Keep what the client sent; of a message that is no JSON object only that there was one."""
        try:
            event = decoded(message)
        except RequestError:
            event = dict[str, object]()
        self._client.append(_logged(event, at))

    def sent(self, event: Mapping[str, object], at: float) -> None:
        """Keep a server event."""
        self._server.append(_logged(event, at))

    def client_events(self, event_type: str | None = None) -> list[LoggedEvent]:
        """Return what the client sent, all of it or of one type."""
        return list(_of_type(self._client, event_type))

    def server_events(self, event_type: str | None = None) -> list[LoggedEvent]:
        """Return what the client was sent, all of it or of one type."""
        return list(_of_type(self._server, event_type))


def _of_type(events: deque[LoggedEvent], event_type: str | None) -> Iterator[LoggedEvent]:
    return (event for event in events if event_type is None or event.type == event_type)


def _logged(event: Mapping[str, object], at: float) -> LoggedEvent:
    event_type = str(event.get("type", ""))
    audio_field = _AUDIO_FIELDS.get(event_type)
    audio = event.get(audio_field) if audio_field else None
    if not isinstance(audio, str):
        return LoggedEvent(at, event_type, event)
    rest = {name: value for name, value in event.items() if name != audio_field}
    return LoggedEvent(at, event_type, rest, len(audio))
