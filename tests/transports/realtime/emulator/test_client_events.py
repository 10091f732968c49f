from __future__ import annotations

import base64

import pytest

from callpipe.transports.realtime.emulator.client_events import BufferAppend, checked, decoded
from callpipe.transports.realtime.emulator.errors import RequestError

MAX_AUDIO_BYTES = 15 * 1024 * 1024

AUDIO = base64.b64encode(bytes(320)).decode()


def session(**fields: object) -> dict[str, object]:
    return {"type": "session.update", "session": {"type": "realtime", **fields}}


def caller(**fields: object) -> dict[str, object]:
    return session(audio={"input": fields})


def item(**fields: object) -> dict[str, object]:
    return {"type": "conversation.item.create", "item": fields}


VAD = "session.audio.input.turn_detection"
CUT = {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1}


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({}, "missing_required_parameter", "type"),
        ({"type": "session.start"}, "invalid_value", "type"),
        ({"type": "output_audio_buffer.clear"}, "invalid_value", "type"),
        ({"type": "response.cancel", "event_id": 7}, "invalid_type", "event_id"),
        ({"type": "response.cancel", "event_id": "x" * 513}, "string_above_max_length", "event_id"),
        ({"type": "response.cancel", "why": ""}, "unknown_parameter", "why"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
        ({"type": "session.update", "session": []}, "invalid_type", "session"),
        (session(type="transcription"), "invalid_value", "session.type"),
        # The names of the beta.
        (session(modalities=["audio", "text"]), "unknown_parameter", "session.modalities"),
        (session(voice="alloy"), "unknown_parameter", "session.voice"),
        (session(input_audio_format="g711_ulaw"), "unknown_parameter", "session.input_audio_format"),
        (session(turn_detection=None), "unknown_parameter", "session.turn_detection"),
        (session(temperature=0.8), "unknown_parameter", "session.temperature"),
        (session(output_modalities=["text", "audio"]), "invalid_value", "session.output_modalities"),
        (session(output_modalities=[]), "invalid_value", "session.output_modalities"),
        (session(output_modalities=["video"]), "invalid_value", "session.output_modalities[0]"),
        (session(instructions=None), "invalid_type", "session.instructions"),
        (session(max_output_tokens=0), "integer_below_min_value", "session.max_output_tokens"),
        (session(max_output_tokens=5000), "integer_above_max_value", "session.max_output_tokens"),
        (caller(format="pcm16"), "invalid_type", "session.audio.input.format"),
        (caller(format={}), "missing_required_parameter", "session.audio.input.format.type"),
        (caller(format={"type": "audio/opus"}), "invalid_value", "session.audio.input.format.type"),
        (
            caller(format={"type": "audio/pcm", "rate": 16000}),
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            caller(format={"type": "audio/pcmu", "rate": 8000}),
            "unknown_parameter",
            "session.audio.input.format.rate",
        ),
        (caller(turn_detection={"type": "vad"}), "invalid_value", f"{VAD}.type"),
        (
            caller(turn_detection={"type": "server_vad", "threshold": 1.5}),
            "decimal_above_max_value",
            f"{VAD}.threshold",
        ),
        (
            caller(turn_detection={"type": "server_vad", "eagerness": "low"}),
            "unknown_parameter",
            f"{VAD}.eagerness",
        ),
        (
            caller(turn_detection={"type": "semantic_vad", "idle_timeout_ms": 6000}),
            "unknown_parameter",
            f"{VAD}.idle_timeout_ms",
        ),
        (
            caller(turn_detection={"type": "server_vad", "silence_duration_ms": "500"}),
            "invalid_type",
            f"{VAD}.silence_duration_ms",
        ),
        (session(audio={"output": {"voice": "fable"}}), "invalid_value", "session.audio.output.voice"),
        (session(audio={"output": {"speed": 2}}), "integer_above_max_value", "session.audio.output.speed"),
        (
            session(tools=[{"type": "function", "name": "f", "meta": 1}]),
            "unknown_parameter",
            "session.tools[0].meta",
        ),
        (session(tools=[{"name": "f"}]), "missing_required_parameter", "session.tools[0].type"),
        (session(tools=[{"type": "function", "name": "a b"}]), "invalid_value", "session.tools[0].name"),
        (session(tool_choice={"type": "function"}), "missing_required_parameter", "session.tool_choice.name"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": [1]}, "invalid_type", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "a?"}, "invalid_value", "audio"),
        (item(type="message", content=[]), "missing_required_parameter", "item.role"),
        (item(type="message", role="user", content="hi"), "invalid_type", "item.content"),
        (
            item(type="message", role="user", content=[{"type": "text", "text": ""}]),
            "invalid_value",
            "item.content[0].type",
        ),
        (
            item(type="message", role="assistant", content=[{"type": "output_audio", "transcript": "hi"}]),
            "missing_required_parameter",
            "item.content[0].text",
        ),
        (item(type="message", role="user", content=[], id="x" * 33), "string_above_max_length", "item.id"),
        (item(type="function_call_output", output=""), "missing_required_parameter", "item.call_id"),
        (item(type="function_call_output", call_id="c", output={}), "invalid_type", "item.output"),
        (CUT | {"audio_end_ms": 1.5}, "invalid_type", "audio_end_ms"),
        (CUT | {"audio_end_ms": -1}, "integer_below_min_value", "audio_end_ms"),
        (CUT | {"content_index": None}, "invalid_type", "content_index"),
        (CUT | {"audio_end_ms": True}, "invalid_type", "audio_end_ms"),
        ({"type": "conversation.item.delete"}, "missing_required_parameter", "item_id"),
        (
            {"type": "response.create", "response": {"modalities": ["text"]}},
            "unknown_parameter",
            "response.modalities",
        ),
        (
            {"type": "response.create", "response": {"conversation": "other"}},
            "invalid_value",
            "response.conversation",
        ),
    ],
)
def test_what_the_api_refuses(event: dict[str, object], code: str, param: str) -> None:
    with pytest.raises(RequestError) as refused:
        checked(event)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert refused.value.message


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (session(voice="alloy"), "Unknown parameter: 'session.voice'."),
        ({"type": "session.update", "session": {}}, "Missing required parameter: 'session.type'."),
        (
            caller(format={"type": "audio/pcm", "rate": 16000}),
            "Invalid value: 16000. Supported values are: 24000.",
        ),
        (CUT | {"item_id": 5}, "Invalid type for 'item_id': expected a string, but got an integer instead."),
        (
            CUT | {"audio_end_ms": -1},
            "Invalid 'audio_end_ms': integer below minimum value. Expected a value >= 0, but got -1 instead.",
        ),
        (
            item(type="message", role="user", content=[], id="x" * 33),
            "Invalid 'item.id': string too long. Expected a string with maximum length 32, "
            "but got a string with length 33 instead.",
        ),
        (
            session(tools=[{"type": "function", "name": "a b"}]),
            "Invalid 'session.tools[0].name': String should match pattern '^[a-zA-Z0-9_-]+$'",
        ),
        (
            {"type": "input_audio_buffer.append", "audio": "a?"},
            "Invalid audio: expected base64-encoded audio bytes.",
        ),
    ],
)
def test_the_words_of_a_refusal(event: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError) as refused:
        checked(event)
    assert refused.value.message == message


def test_an_unknown_type_is_answered_with_the_known_ones() -> None:
    with pytest.raises(RequestError) as refused:
        checked({"type": "session.start"})
    assert "'session.update'" in refused.value.message
    assert "'response.cancel'" in refused.value.message


@pytest.mark.parametrize(
    "event",
    [
        session(),
        session(tools=[], tool_choice={"type": "function", "name": "f"}, truncation="disabled", tracing=None),
        session(truncation={"type": "retention_ratio", "retention_ratio": 0.8}),
        caller(noise_reduction=None, transcription=None, turn_detection=None),
        session(audio={"output": {"voice": {"id": "voice_1234"}, "speed": 1}}),
        {"type": "response.create"},
        {"type": "response.create", "response": {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}},
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": []},
            "previous_item_id": None,
        },
    ],
)
def test_what_the_api_takes(event: dict[str, object]) -> None:
    assert checked(event).type == event["type"]


def test_audio_is_decoded() -> None:
    event = checked({"type": "input_audio_buffer.append", "audio": AUDIO})
    assert isinstance(event, BufferAppend)
    assert event.audio == bytes(320)


def test_an_event_brings_at_most_15_mib() -> None:
    most = base64.b64encode(bytes(MAX_AUDIO_BYTES)).decode()
    checked({"type": "input_audio_buffer.append", "audio": most})
    with pytest.raises(RequestError):
        checked({"type": "input_audio_buffer.append", "audio": most[:-4] + "AAAAAAAA"})


@pytest.mark.parametrize("message", ["", "{", b"\xff\xfe", '"text"', "[]", "[" * 100_000, "NaN"])
def test_messages_that_are_no_json_object(message: str | bytes) -> None:
    with pytest.raises(RequestError):
        decoded(message)
