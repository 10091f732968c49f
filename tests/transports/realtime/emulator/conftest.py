"""What tests of the realtime emulator share: the official shapes of its events, and a scripted brain."""

from __future__ import annotations

import base64
import json
import typing
from collections.abc import Callable, Mapping, Sequence

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel

from callpipe.transports.realtime.emulator.response import Response
from callpipe.transports.realtime.emulator.server_events import ServerEvent
from callpipe.transports.realtime.emulator.session import Reaction, Respond, Session
from callpipe.transports.speech.interfaces import Brain, CallTool, Ear, Heard, Say, ToolOutput, Voice
from callpipe.transports.speech.tones import ToneDetector, ToneEar, ToneVoice

Valid = Callable[[Mapping[str, object]], None]
History = Sequence[Heard | Say | CallTool | ToolOutput]

_MODELS: dict[str, type[BaseModel]] = {
    typing.get_args(model.model_fields["type"].annotation)[0]: model
    for model in typing.get_args(typing.get_args(RealtimeServerEvent)[0])
}

_ONLY_IN_RESPONSES_TO_SESSION_REQUESTS = {"object", "id", "expires_at"}
"""Fields of a session that the API sends and only `RealtimeSessionCreateResponse` names."""


@pytest.fixture
def valid() -> Valid:
    """Checks a server event against the official package's model of its type, and that it has no field more."""

    def check(event: Mapping[str, object]) -> None:
        model = _MODELS[str(event["type"])].model_validate(event)
        _check_no_extra(model)

    return check


def _check_no_extra(value: object) -> None:
    if isinstance(value, BaseModel):
        extra = set(value.model_extra or ())
        if type(value).__name__ == "RealtimeSessionCreateRequest":
            extra -= _ONLY_IN_RESPONSES_TO_SESSION_REQUESTS
        assert not extra, f"{type(value).__name__} has no {extra}"
        for name in type(value).model_fields:
            _check_no_extra(getattr(value, name))
    elif isinstance(value, list):
        for entry in typing.cast("list[object]", value):
            _check_no_extra(entry)


class Talk:
    """A session, with every event it gives checked and kept, and words for what tests look at."""

    def __init__(self, valid: Valid) -> None:
        self.session = Session("gpt-realtime", ToneDetector(silence_ms=100), expires_at=0)
        self.valid = valid
        self.now = 0.0
        self.events: list[ServerEvent] = []
        self.take(self.session.opened())

    def take(self, reactions: Sequence[Reaction]) -> list[ServerEvent]:
        events = [reaction for reaction in reactions if isinstance(reaction, dict)]
        for event in events:
            self.valid(event)
        self.events += events
        return events

    def react(self, event_type: str, **fields: object) -> list[Reaction]:
        reactions = self.session.receive(json.dumps({"type": event_type, **fields}), self.now)
        self.take(reactions)
        return reactions

    def send(self, event_type: str, **fields: object) -> list[ServerEvent]:
        return [reaction for reaction in self.react(event_type, **fields) if isinstance(reaction, dict)]

    def update(self, **session: object) -> ServerEvent:
        [event] = self.send("session.update", session={"type": "realtime", **session})
        return event

    def append(self, audio: bytes) -> list[Reaction]:
        return self.react("input_audio_buffer.append", audio=base64.b64encode(audio).decode())

    def respond(self, **wishes: object) -> Response:
        reactions = self.react("response.create", response=wishes)
        [response] = [reaction.response for reaction in reactions if isinstance(reaction, Respond)]
        return response

    def say(self, text: str, duration_ms: int = 1000) -> str:
        """Let the model say something to its end; return the item's id."""
        response = self.respond()
        self.take(response.begin_speech(text, duration_ms))
        self.take(response.speech(text, b"\x00\x00" * 24 * duration_ms))
        events = self.take(response.end_message())
        self.take(self.session.finish(response, self.now))
        return str(events[0]["item_id"])

    @staticmethod
    def types(reactions: Sequence[Reaction]) -> list[str]:
        return [str(reaction["type"]) for reaction in reactions if isinstance(reaction, dict)]

    @staticmethod
    def error(events: list[ServerEvent]) -> dict[str, object]:
        [event] = events
        assert event["type"] == "error"
        return typing.cast("dict[str, object]", event["error"])

    @staticmethod
    def tones(text: str, rate: int = 8_000) -> bytes:
        return b"".join(ToneVoice(rate).speak(text))

    @staticmethod
    def silence(duration_ms: int, rate: int = 8_000) -> bytes:
        return bytes(2 * rate * duration_ms // 1000)


@pytest.fixture
def talk(valid: Valid) -> Talk:
    return Talk(valid)


class _ScriptedBrain:
    voice: Voice
    ear: Ear

    def __init__(self, script: Sequence[Sequence[Say | CallTool]], asked: list[History]) -> None:
        self.voice = ToneVoice(24_000)
        self.ear = ToneEar()
        self._script = iter(script)
        self._asked = asked

    def detector(self) -> ToneDetector:
        return ToneDetector(silence_ms=100)

    def greet(self, instructions: str) -> list[Say | CallTool]:
        self._asked.append([])
        return list(next(self._script))

    def answer(
        self, instructions: str, tools: Sequence[Mapping[str, object]], history: History
    ) -> list[Say | CallTool]:
        self._asked.append(list(history))
        return list(next(self._script))


@pytest.fixture
def brain() -> Callable[..., Brain]:
    """Makes a brain that gives one entry of a script after the other, and keeps what it was asked."""

    def make(*script: Sequence[Say | CallTool], asked: list[History] | None = None) -> Brain:
        return _ScriptedBrain(script, [] if asked is None else asked)

    return make
