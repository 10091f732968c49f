import base64
import json
import random
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import (
    ConversationItemCreateEvent,
    ConversationItemDeleteEvent,
    ConversationItemTruncateEvent,
    InputAudioBufferAppendEvent,
    InputAudioBufferClearEvent,
    RealtimeServerEvent,
    ResponseCancelEvent,
    ResponseCreateEvent,
    SessionUpdateEvent,
)
from pydantic import BaseModel, TypeAdapter

from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.errors import Fault
from callpipe.transports.realtime import client_events, events
from callpipe.transports.realtime.settings import RealtimeSettings, SemanticVad, ServerVad, Transcription

PACKETS = Path(__file__).parents[2] / "packets" / "realtime"
GOLDEN = sorted(PACKETS.glob("*.json"))
SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)

USED = {
    "conversation.item.added": events.ItemAdded,
    "conversation.item.input_audio_transcription.completed": events.CallerTranscribed,
    "conversation.item.input_audio_transcription.failed": events.CallerTranscriptionFailed,
    "error": events.ErrorEvent,
    "input_audio_buffer.committed": events.AudioCommitted,
    "input_audio_buffer.speech_started": events.SpeechStarted,
    "input_audio_buffer.speech_stopped": events.SpeechStopped,
    "response.created": events.ResponseCreated,
    "response.done": events.ResponseDone,
    "response.function_call_arguments.done": events.FunctionCallDone,
    "response.output_audio.delta": events.AudioDelta,
    "response.output_audio.done": events.AudioDone,
    "response.output_audio_transcript.delta": events.TranscriptDelta,
    "response.output_audio_transcript.done": events.TranscriptDone,
    "response.output_item.added": events.OutputItemAdded,
    "response.output_item.done": events.OutputItemDone,
    "session.updated": events.SessionUpdated,
}


class Booking:
    name = "book_table"
    description = "Book a table."
    parameters: dict[str, Any] = {"type": "object", "properties": {"date": {"type": "string"}}}  # noqa: RUF012


def is_named(given: object, model: object) -> bool:
    """Whether every field of `given` has a name in what the API's type made of it, at every depth."""
    if isinstance(given, dict) and isinstance(model, BaseModel):
        fields = cast("dict[str, object]", given)
        return all(
            key in type(model).model_fields and is_named(value, getattr(model, key))
            for key, value in fields.items()
        )
    if isinstance(given, list) and isinstance(model, list):
        pairs = zip(cast("list[object]", given), cast("list[object]", model), strict=True)
        return all(is_named(one, other) for one, other in pairs)
    return True


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_events_are_the_apis_own(path: Path) -> None:
    given = json.loads(path.read_text())

    model = SERVER_EVENT.validate_python(given, strict=False)

    assert model.type == path.stem == given["type"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_events_are_read_as_what_they_are(path: Path) -> None:
    message = path.read_text()

    event = events.parse(message)

    assert isinstance(event, USED.get(path.stem, events.UnusedEvent))
    assert events.parse(message.encode()) == event


def test_every_event_that_is_read_has_a_golden_one() -> None:
    assert set(USED) <= {path.stem for path in GOLDEN}


def test_every_event_of_the_api_is_known() -> None:
    types = {
        schema["properties"]["type"]["const"] for schema in SERVER_EVENT.json_schema()["$defs"].values()
        if "const" in schema.get("properties", {}).get("type", {}) and "event_id" in schema["properties"]
    }  # fmt: skip

    unknown = [
        name
        for name in types
        if isinstance(_parsed(json.dumps({"type": name, "event_id": "e"})), events.UnknownEvent)
    ]

    assert len(types) > 40
    assert unknown == []


def _parsed(message: str) -> events.ServerEvent | None:
    try:
        return events.parse(message)
    except events.MalformedEventError:
        return None


def test_an_audio_delta_is_decoded() -> None:
    event = events.parse((PACKETS / "response.output_audio.delta.json").read_text())

    assert isinstance(event, events.AudioDelta)
    assert (event.response_id, event.item_id, event.content_index) == ("resp_1", "item_bot_1", 0)
    assert len(event.audio) == 4800


def test_unknown_types_are_named_and_not_refused() -> None:
    assert events.parse('{"type":"response.hologram.delta","delta":{"x":[1]}}') == events.UnknownEvent(
        "response.hologram.delta"
    )


@pytest.mark.parametrize(
    "message",
    ["", "{", "null", "[]", '"error"', "{}", '{"type":7}', "\ud800", b"\xff\xfe", b"\x00", "[" * 100_000],
)
def test_what_is_no_event_is_refused(message: str | bytes) -> None:
    with pytest.raises(events.MalformedEventError) as refusal:
        events.parse(message)

    assert refusal.value.kind == "json"
    assert refusal.value.fault is Fault.MODEL


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('{"type":"response.done"}', "response.done"),
        ('{"type":"response.output_audio.delta","delta":5}', "response.output_audio.delta"),
        ('{"type":"error","error":"no"}', "error"),
    ],
)
def test_known_events_of_the_wrong_shape_are_refused_by_name(message: str, kind: str) -> None:
    with pytest.raises(events.MalformedEventError) as refusal:
        events.parse(message)

    assert refusal.value.kind == kind


def test_a_refusal_does_not_repeat_the_message() -> None:
    with pytest.raises(events.MalformedEventError) as refusal:
        events.parse('{"type":"conversation.item.input_audio_transcription.completed","transcript":"my card"}')

    assert "my card" not in str(refusal.value)


@pytest.mark.parametrize(
    ("message", "api_type"),
    [
        (client_events.append_audio(b"\0\0\0"), InputAudioBufferAppendEvent),
        (client_events.CLEAR_INPUT, InputAudioBufferClearEvent),
        (client_events.add_message("user", "hello"), ConversationItemCreateEvent),
        (client_events.add_message("system", "be brief"), ConversationItemCreateEvent),
        (client_events.add_message("assistant", "hello"), ConversationItemCreateEvent),
        (client_events.add_tool_output("call_1", '{"ok":true}'), ConversationItemCreateEvent),
        (client_events.truncate_item("item_1", 0, 740), ConversationItemTruncateEvent),
        (client_events.delete_item("item_1"), ConversationItemDeleteEvent),
        (client_events.create_response("create_1"), ResponseCreateEvent),
        (client_events.create_response("create_2", "Greet."), ResponseCreateEvent),
        (client_events.create_response("create_3", "Say this.", alone=True), ResponseCreateEvent),
        (client_events.cancel_response(), ResponseCancelEvent),
        (client_events.cancel_response("resp_1"), ResponseCancelEvent),
        (client_events.update_session(RealtimeSettings().session([Booking()])), SessionUpdateEvent),
        (
            client_events.update_session(
                RealtimeSettings(
                    audio_format=PCMU_8K,
                    turn_detection=SemanticVad(eagerness="high"),
                    transcription=Transcription(model="gpt-transcribe", language="en", keywords=("Ada",)),
                    noise_reduction="far_field",
                    max_output_tokens=500,
                    reasoning_effort="low",
                ).session()
            ),
            SessionUpdateEvent,
        ),
        (
            client_events.update_session(
                RealtimeSettings(turn_detection=ServerVad(idle_timeout_ms=6000), transcription=None).session()
            ),
            SessionUpdateEvent,
        ),
        (client_events.update_session(RealtimeSettings(turn_detection=None).session()), SessionUpdateEvent),
    ],
)
def test_client_events_are_the_apis_own(message: bytes, api_type: type[BaseModel]) -> None:
    given = json.loads(message)

    model = api_type.model_validate(given)

    assert model.model_dump()["type"] == given["type"]
    assert is_named(given, model)


@given(st.binary())
def test_audio_is_appended_in_base64(audio: bytes) -> None:
    appended = json.loads(client_events.append_audio(audio))

    assert appended == {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(event_type=st.sampled_from([path.stem for path in GOLDEN]), fields=st.dictionaries(st.text(), JSON))
def test_known_types_with_any_fields_are_read_or_refused(event_type: str, fields: dict[str, Any]) -> None:
    _parsed(json.dumps({**fields, "type": event_type}))


def mutated(message: bytes, chance: random.Random) -> bytes:
    """Cut, repeat, flip or swap bytes of a message."""
    place = chance.randrange(len(message))
    match chance.randrange(5):
        case 0:
            return message[:place]
        case 1:
            return message[:place] + bytes([chance.randrange(256)]) + message[place + 1 :]
        case 2:
            return message[:place] + message[chance.randrange(len(message)) :]
        case 3:
            end = place + chance.randrange(1, 40)
            return (
                message[:place] + chance.choice((b"null", b"{}", b"[1]", b'"x"', b"1e400", b"")) + message[end:]
            )
        case _:
            return message.replace(b'"', chance.choice((b"", b"'", b'\\"')), chance.randrange(1, 4))


def test_a_hundred_thousand_broken_events_raise_nothing_else_and_good_ones_arrive_intact() -> None:
    chance = random.Random(20261120)
    messages = [path.read_bytes() for path in GOLDEN if path.stem != "response.output_audio.delta"]
    short_delta = json.dumps(
        json.loads((PACKETS / "response.output_audio.delta.json").read_text()) | {"delta": "AAAA"}
    ).encode()
    messages.append(short_delta)
    whole = events.parse(short_delta)
    refused = 0
    for number in range(100_000):
        try:
            events.parse(mutated(chance.choice(messages), chance))
        except events.MalformedEventError:
            refused += 1
        if number % 100 == 0:
            assert events.parse(short_delta) == whole

    assert refused > 20_000


@pytest.mark.parametrize(
    ("details", "failure"),
    [
        (None, ("response_failed", "the response was failed")),
        ({"reason": "max_output_tokens"}, ("max_output_tokens", "the response was failed")),
        ({"reason": "other", "error": {"type": "server_error"}}, ("server_error", "the response was failed")),
        (
            {"error": {"type": "server_error", "code": "overloaded", "message": "Try again."}},
            ("overloaded", "Try again."),
        ),
    ],
)
def test_a_failure_is_named_as_closely_as_the_server_does(
    details: dict[str, Any] | None, failure: tuple[str, str]
) -> None:
    response = {"id": "resp_1", "status": "failed", "status_details": details}
    event = events.parse(json.dumps({"type": "response.done", "response": response}))
    assert isinstance(event, events.ResponseDone)
    assert event.response.failure == failure


def test_events_cannot_be_changed() -> None:
    event = events.UnknownEvent("x")

    with pytest.raises(AttributeError):
        event.type = "y"  # pyright: ignore[reportAttributeAccessIssue]
