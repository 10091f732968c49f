"""Whatever may be set becomes a session that the official package and a strict server take as it is."""

import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import (
    RealtimeReasoning,
    RealtimeSessionCreateRequest,
    SessionUpdateEvent,
    realtime_audio_input_turn_detection,
    realtime_truncation_retention_ratio,
)
from openai.types.realtime.audio_transcription import AudioTranscription
from openai.types.realtime.realtime_tracing_config import TracingConfiguration
from pydantic import BaseModel

from callpipe.transports.audio.formats import PCM_24K, PCMA_8K, PCMU_8K
from callpipe.transports.realtime import (
    CustomVoice,
    RealtimeSettings,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    Tracing,
    Transcription,
)
from callpipe.transports.realtime.client_events import update_session
from callpipe.transports.realtime.emulator.session import Session
from callpipe.transports.speech.tones import ToneDetector

Json = dict[str, Any]


class Booking:
    name = "book_table"
    description = "Book a table."

    @property
    def parameters(self) -> Json:
        guests = {"type": "integer"}
        return {"type": "object", "properties": {"guests": guests}, "required": ["guests"]}


EFFORTS = st.sampled_from(["minimal", "low", "medium", "high", "xhigh"])
SHARES = st.floats(0, 1)
TEXTS = st.text(max_size=20)

SETTINGS = st.builds(
    RealtimeSettings,
    model=st.sampled_from(["gpt-realtime-2.1", "gpt-realtime-2.1-mini"]),
    instructions=TEXTS,
    voice=st.sampled_from(["marin", "cedar"]) | st.builds(CustomVoice, id=TEXTS),
    audio_format=st.sampled_from([PCM_24K, PCMU_8K, PCMA_8K]),
    turn_detection=st.none()
    | st.builds(
        ServerVad,
        threshold=SHARES,
        prefix_padding_ms=st.integers(0, 1000),
        silence_duration_ms=st.integers(0, 2000),
        create_response=st.booleans(),
        interrupt_response=st.booleans(),
        idle_timeout_ms=st.none() | st.integers(5_000, 30_000),
    )
    | st.builds(
        SemanticVad,
        eagerness=st.sampled_from(["low", "medium", "high", "auto"]),
        create_response=st.booleans(),
        interrupt_response=st.booleans(),
    ),
    transcription=st.none()
    | st.builds(
        Transcription,
        model=TEXTS,
        language=st.none() | TEXTS,
        languages=st.lists(TEXTS, max_size=2).map(tuple),
        keywords=st.lists(TEXTS, max_size=2).map(tuple),
        prompt=st.none() | TEXTS,
        delay=st.none() | EFFORTS,
    ),
    noise_reduction=st.sampled_from([None, "near_field", "far_field"]),
    speed=st.floats(0.25, 1.5),
    max_output_tokens=st.integers(1, 4096) | st.just("inf"),
    tool_choice=st.sampled_from(["auto", "none", "required", "book_table"]),
    parallel_tool_calls=st.none() | st.booleans(),
    reasoning_effort=st.none() | EFFORTS,
    truncation=st.sampled_from([None, "auto", "disabled"])
    | st.builds(
        RetentionRatio, retention_ratio=SHARES, post_instructions_tokens=st.none() | st.integers(0, 100_000)
    ),
    tracing=st.sampled_from([None, "auto"])
    | st.builds(
        Tracing,
        workflow_name=st.none() | TEXTS,
        group_id=st.none() | TEXTS,
        metadata=st.none() | st.dictionaries(TEXTS, TEXTS, max_size=2),
    ),
    include=st.sampled_from([(), ("item.input_audio_transcription.logprobs",)]),
)


def unnamed(model: object, place: str = "session") -> list[str]:
    """Return the fields that the official model does not name: it keeps them, as all its models do."""
    if isinstance(model, list):
        return [name for entry in cast("list[object]", model) for name in unnamed(entry, place)]
    if not isinstance(model, BaseModel):
        return []
    inner = [name for field in type(model).model_fields for name in unnamed(getattr(model, field), field)]
    return [f"{place}.{name}" for name in model.model_extra or ()] + inner


def updated(model: str, message: bytes) -> Json:
    """Return what a strict server has set up after an update."""
    session = Session(model, ToneDetector(silence_ms=100), expires_at=0)
    [reaction] = session.receive(message, now=0.0)
    assert isinstance(reaction, dict)
    assert reaction["type"] == "session.updated", reaction
    return json.loads(json.dumps(reaction["session"]))


def differences(asked: object, got: object, place: str = "session") -> list[str]:
    """Return where `got` lacks what was asked for."""
    if isinstance(asked, dict) and isinstance(got, dict):
        parts, there = cast("Json", asked), cast("Json", got)
        return [
            difference
            for name, part in parts.items()
            for difference in differences(part, there.get(name, "nothing"), f"{place}.{name}")
        ]
    return [] if asked == got else [f"{place}: {asked!r} became {got!r}"]


@given(SETTINGS)
def test_settings_become_a_session_of_the_official_package(settings: RealtimeSettings) -> None:
    session = settings.session([Booking()])

    official = RealtimeSessionCreateRequest.model_validate(session)

    assert unnamed(official) == []
    assert official.model_dump(exclude_unset=True, mode="json") == session


@given(SETTINGS)
def test_an_update_is_an_event_of_the_official_package(settings: RealtimeSettings) -> None:
    message = json.loads(update_session(settings.session()))

    official = SessionUpdateEvent.model_validate(message)

    assert unnamed(official) == []
    assert official.model_dump(exclude_unset=True, mode="json") == message


@given(SETTINGS)
def test_a_strict_server_sets_up_what_was_asked_for(settings: RealtimeSettings) -> None:
    session = settings.session([Booking()])

    assert differences(session, updated(settings.model, update_session(session))) == []


def test_a_difference_would_be_noticed() -> None:
    assert differences({"a": {"b": 1}}, {"a": {"b": 2}}) == ["session.a.b: 1 became 2"]
    assert differences({"a": 1}, {}) == ["session.a: 1 became 'nothing'"]


def test_a_field_that_is_not_the_apis_would_be_noticed() -> None:
    session = RealtimeSettings().session()
    session["audio"]["input"]["turn_detection"]["silence_ms"] = 3

    assert unnamed(RealtimeSessionCreateRequest.model_validate(session)) == ["turn_detection.silence_ms"]


@pytest.mark.parametrize(
    ("ours", "theirs", "left_out"),
    [
        (ServerVad, realtime_audio_input_turn_detection.ServerVad, set[str]()),
        (SemanticVad, realtime_audio_input_turn_detection.SemanticVad, set[str]()),
        (Transcription, AudioTranscription, set[str]()),
        (Tracing, TracingConfiguration, set[str]()),
        (
            RetentionRatio,
            realtime_truncation_retention_ratio.RealtimeTruncationRetentionRatio,
            {"type", "token_limits"},
        ),
        (
            RealtimeSettings,
            RealtimeSessionCreateRequest,
            {"type", "audio", "output_modalities", "reasoning", "tools", "prompt"},
        ),
    ],
)
def test_everything_the_api_takes_can_be_set(
    ours: type[BaseModel], theirs: type[BaseModel], left_out: set[str]
) -> None:
    """Apart from what is written another way, and stored prompts, which end on 2026-11-30."""
    assert theirs.model_fields.keys() - ours.model_fields.keys() == left_out


def test_the_efforts_are_the_apis() -> None:
    def words(model: type[BaseModel], field: str) -> set[str]:
        choices = model.model_json_schema()["properties"][field]["anyOf"]
        return {word for choice in choices for word in choice.get("enum", ())}

    assert words(RealtimeSettings, "reasoning_effort") == words(RealtimeReasoning, "effort")
    assert words(Transcription, "delay") == words(AudioTranscription, "delay")
    assert len(words(RealtimeReasoning, "effort")) == 5
