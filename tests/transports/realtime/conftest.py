"""A server that says to a realtime session what the API would say, and a transport's playhead beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.realtime.events import MalformedEventError, parse
from callpipe.transports.realtime.happenings import BotAudio, Happening
from callpipe.transports.realtime.opening import Opened
from callpipe.transports.realtime.session import RealtimeSession
from callpipe.transports.realtime.settings import RealtimeSettings

PACKETS = Path(__file__).parents[2] / "packets" / "realtime"


def merged(given: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Golden fields with other values, at every depth."""
    result = dict(given)
    for name, value in changes.items():
        old = given.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            result[name] = merged(cast("dict[str, Any]", old), cast("dict[str, Any]", value))
        else:
            result[name] = value
    return result


def server_event(event_type: str, **changes: Any) -> str:
    """A golden event with other values."""
    return json.dumps(merged(json.loads((PACKETS / f"{event_type}.json").read_text()), changes))


class Server:
    """Says to a session what a server would say; the transport's playhead is at hand too."""

    def __init__(
        self, settings: RealtimeSettings | None = None, *, greeting: str | None = None, ready: bool = True
    ) -> None:
        self.settings = settings or RealtimeSettings()
        self.session = RealtimeSession(self.settings, greeting=greeting)
        self.now = 128.0
        self.playhead = Playhead()
        self.happened: list[Happening] = []
        self._events = 0
        self._requests: list[dict[str, str]] = []
        if ready:
            self.opens()

    def opens(self) -> Sequence[Happening]:
        """A session of the server's is set up."""
        model = self.settings.model
        set_up = self.session.set_up(model)
        opened = Opened(model, asked_for=model, set_up=set_up, connect_ms=200, socket_ms=100)
        return self._noted(self.session.opened(opened, self.now))

    def loses(self) -> Sequence[Happening]:
        """The socket is gone."""
        self._requests.clear()
        return self._noted(self.session.lost(self.now))

    def says(self, event_type: str, **changes: Any) -> Sequence[Happening]:
        self._events += 1
        changes.setdefault("event_id", f"event_{self._events}")
        try:
            event = parse(server_event(event_type, **changes))
        except MalformedEventError as malformed:
            return self._noted(self.session.malformed(malformed, self.now))
        return self._noted(self.session.receive(event, self.now))

    def _noted(self, happened: Sequence[Happening]) -> Sequence[Happening]:
        self.happened += happened
        for one in happened:
            if isinstance(one, BotAudio):
                self.playhead.sent(one.encoded.duration_ms, self.now, one.item_id)
        return happened

    def sent(self) -> list[dict[str, Any]]:
        messages = [json.loads(message) for message in self.session.outbox]
        self.session.outbox.clear()
        self._requests += [
            message["response"]["metadata"] for message in messages if message["type"] == "response.create"
        ]
        return messages

    def sent_types(self) -> list[str]:
        return [message["type"] for message in self.sent()]

    def sent_audio(self) -> bytes:
        """The caller's audio that is sent."""
        appended = [event for event in self.sent() if event["type"] == "input_audio_buffer.append"]
        return b"".join(base64.b64decode(event["audio"]) for event in appended)

    def sent_audio_ms(self) -> float:
        return self.settings.audio_format.duration_ms(len(self.sent_audio()))

    def audio(
        self, item_id: str = "item_bot_1", ms: float = 200, response_id: str = "resp_1"
    ) -> Sequence[Happening]:
        payload = base64.b64encode(bytes(self.settings.audio_format.size(ms))).decode()
        return self.says("response.output_audio.delta", response_id=response_id, item_id=item_id, delta=payload)

    def spoken(self, item_id: str, ms: float, response_id: str = "resp_1", text: str = "") -> None:
        """A whole item."""
        if text:
            self.says(
                "response.output_audio_transcript.done",
                response_id=response_id,
                item_id=item_id,
                transcript=text,
            )
        for _ in range(int(ms // 200)):
            self.audio(item_id, 200, response_id)
        self.says("response.output_audio.done", response_id=response_id, item_id=item_id)

    def begins(self, response_id: str = "resp_1") -> None:
        """A response begins: the one that was asked for and seen by `sent`, or else one of the server's own."""
        metadata = self._requests.pop(0) if self._requests else None
        self.says("response.created", response={"id": response_id, "metadata": metadata})

    def ends(self, response_id: str = "resp_1", status: str = "completed") -> Sequence[Happening]:
        return self.says(
            "response.done", response={"id": response_id, "status": status, "output": [], "usage": None}
        )

    def calls(self, call_id: str, response_id: str = "resp_1") -> Sequence[Happening]:
        return self.says("response.function_call_arguments.done", call_id=call_id, response_id=response_id)

    def clears(self) -> Sequence[Happening]:
        return self._noted(self.session.playout_cleared(self.playhead.cleared(self.now), self.now))

    def finishes(self) -> Sequence[Happening]:
        return self._noted(self.session.playout_finished(self.now))

    def answers(self, call_id: str, *, ends_call: bool = False) -> Sequence[Happening]:
        return self._noted(self.session.tool_answered(call_id, '{"ok":true}', self.now, ends_call=ends_call))

    def with_playhead(self) -> Server:
        self.session.adopt_playhead(self.playhead)
        return self

    def caller_speaks(self) -> Sequence[Happening]:
        return self.says("input_audio_buffer.speech_started")

    def caller_stops(self) -> Sequence[Happening]:
        return self.says("input_audio_buffer.speech_stopped")

    def due(self) -> float:
        """When the session wants to be called."""
        due = self.session.next_due(self.now)
        assert due is not None
        return due


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Serve:
    """Begins a session; takes what `Server` takes."""
    return Server
