from __future__ import annotations

import base64
import copy
import json
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from callpipe.transports.realtime.emulator.server_events import ServerEvent
from callpipe.transports.realtime.emulator.session import Respond

if TYPE_CHECKING:
    from .conftest import Talk, Valid

EVENTS = 20_000

AUDIO = base64.b64encode(b"\xff" * 9_600).decode()
LOUD_AUDIO = base64.b64encode((b"\x00\x30" * 16 + b"\x00\xd0" * 16) * 150).decode()

TEXT = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
SPOKEN = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": AUDIO}]}

SEEDS: list[dict[str, object]] = [
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": "x",
            "max_output_tokens": 100,
            "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}],
            "tool_choice": "auto",
            "tracing": {"workflow_name": "w"},
            "truncation": {"type": "retention_ratio", "retention_ratio": 0.5},
            "audio": {
                "input": {
                    "format": {"type": "audio/pcmu"},
                    "noise_reduction": {"type": "near_field"},
                    "transcription": {"model": "whisper-1", "language": "en"},
                    "turn_detection": {"type": "server_vad", "threshold": 0.5, "idle_timeout_ms": 5000},
                },
                "output": {"format": {"type": "audio/pcm", "rate": 24000}, "speed": 1.0},
            },
        },
    },
    {"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"voice": "marin"}}}},
    {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}},
    {"type": "input_audio_buffer.append", "audio": AUDIO},
    {"type": "input_audio_buffer.append", "audio": LOUD_AUDIO},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "conversation.item.create", "item": TEXT, "previous_item_id": "root"},
    {"type": "conversation.item.create", "item": SPOKEN},
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "name": "f", "arguments": "[" * 9, "call_id": "c"},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "c", "output": ""},
    },
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 10},
    {"type": "conversation.item.delete", "item_id": "i"},
    {"type": "conversation.item.delete", "item_id": "i"},
    {"type": "conversation.item.retrieve", "item_id": "i"},
    {"type": "response.create"},
    {
        "type": "response.create",
        "response": {
            "conversation": "none",
            "input": [TEXT, {"type": "item_reference", "id": "i"}],
            "metadata": {"a": "b"},
            "audio": {"output": {"format": {"type": "audio/pcma"}, "voice": "cedar"}},
        },
    },
    {"type": "response.cancel", "response_id": "r", "event_id": "e"},
]

NAMES = ("x", "type", "id", "modalities", "format")
VALUES: list[object] = [
    None,
    True,
    0,
    -1,
    10**30,
    0.5,
    "",
    "x" * 600,
    "\ud800",
    "auto",
    "i",
    [],
    {},
    [[[]]],
    ["audio"],
]


class Fuzzer:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.item_ids = ["i"]

    def remember(self, event: ServerEvent) -> None:
        """Keep the id of an event's item, for later events to name."""
        item = event.get("item")
        if isinstance(item, dict):
            self.item_ids.append(str(cast("dict[str, object]", item)["id"]))

    def message(self) -> str | bytes:
        event: Any = json.loads(json.dumps(self.random.choice(SEEDS)))
        for _ in range(self.random.choice((0, 0, 0, 0, 0, 1, 1, 2, 5))):
            self._damage(event)
        if "item_id" in event and self.random.random() < 0.9:
            event["item_id"] = self.random.choice(self.item_ids)
        text = json.dumps(event)
        if self.random.random() < 0.05:
            raw = bytearray(text.encode())
            raw[self.random.randrange(len(raw))] = self.random.randrange(256)
            return bytes(raw[: self.random.randrange(len(raw)) + 1])
        return text

    def _damage(self, place: Any) -> None:
        """Remove, replace or add something anywhere in a JSON value."""
        is_list = isinstance(place, list)
        keys: list[Any] = list(range(len(place)) if is_list else place)  # pyright: ignore[reportUnknownArgumentType]  # any JSON
        if not keys:
            return
        key = self.random.choice(keys)
        if isinstance(place[key], (dict, list)) and self.random.random() < 0.6:
            self._damage(place[key])
            return
        choice = self.random.random()
        if choice < 0.3:
            del place[key]
        elif choice < 0.5 and not is_list:
            place[self.random.choice(NAMES)] = self._value()
        else:
            place[key] = self._value()

    def _value(self) -> Any:
        return copy.deepcopy(self.random.choice(VALUES))


def test_whatever_a_client_sends_the_session_goes_on(talk: Talk, valid: Valid) -> None:
    fuzzer = Fuzzer(20261120)
    answers = Counter[str]()
    for number in range(EVENTS):
        message = fuzzer.message()
        reactions = talk.session.receive(message, now=number / 10)
        events = [reaction for reaction in reactions if isinstance(reaction, dict)]
        while len(fuzzer.item_ids) > 8:
            talk.send("conversation.item.delete", item_id=fuzzer.item_ids.pop(0))
        if not events:
            event = json.loads(message)
            assert event["type"] == "input_audio_buffer.append"
        for event in events:
            valid(event)
            answers[str(event["type"])] += 1
            fuzzer.remember(event)
        for reaction in reactions:
            if isinstance(reaction, Respond) and fuzzer.random.random() < 0.9:
                response = reaction.response
                talk.session.view(response)
                spoken = [
                    *response.begin_speech("hi", 20),
                    *response.speech("hi", bytes(960)),
                    *response.end_message(),
                ]
                for event in [*spoken, *talk.session.finish(response, number / 10)]:
                    valid(event)
                fuzzer.remember(spoken[-1])
        for event in talk.session.tick(number / 10):
            if isinstance(event, dict):
                valid(event)
                answers[str(event["type"])] += 1
    assert talk.update(instructions="still here")["type"] == "session.updated"
    assert answers["error"] > EVENTS / 10
    for event_type in (
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "input_audio_buffer.cleared",
        "conversation.item.added",
        "conversation.item.truncated",
        "conversation.item.deleted",
        "conversation.item.retrieved",
        "response.created",
        "response.done",
    ):
        assert answers[event_type] > 20, (event_type, answers)
