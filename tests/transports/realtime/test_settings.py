import pytest
from pydantic import ValidationError

from callpipe.transports.audio.formats import PCM_8K, PCMA_8K, PCMU_8K, AudioFormat
from callpipe.transports.realtime import (
    RealtimeSettings,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    Tracing,
    Transcription,
)


def test_a_mistyped_key_is_refused_and_the_nearest_one_named() -> None:
    with pytest.raises(ValidationError, match="no setting 'instruction'; did you mean 'instructions'"):
        RealtimeSettings(instruction="Be brief.")  # pyright: ignore[reportCallIssue]


def test_a_mistyped_key_of_the_turn_detection_is_refused_too() -> None:
    with pytest.raises(ValidationError, match="did you mean 'threshold'"):
        RealtimeSettings.model_validate({"turn_detection": {"type": "server_vad", "treshold": 0.4}})


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ({"transcription": {"modl": "gpt-transcribe"}}, "model"),
        ({"truncation": {"retention": 0.8}}, "retention_ratio"),
        ({"tracing": {"workflow": "hotel"}}, "workflow_name"),
        ({"voice": {"ident": "voice_1"}}, "id"),
        ({"turn_detection": {"type": "semantic_vad", "eager": "low"}}, "eagerness"),
        ({"max_tokens": 100}, "max_output_tokens"),
        ({"input_audio_noise_reduction": None}, "noise_reduction"),
    ],
)
def test_the_nearest_key_is_named_at_any_depth(given: dict[str, object], nearest: str) -> None:
    with pytest.raises(ValidationError, match=f"did you mean '{nearest}'"):
        RealtimeSettings.model_validate(given)


@pytest.mark.parametrize(
    "given",
    [{"instructions": 4711}, {"speed": 4711}, {"transcription": {"prompt": 4711}}, {"instruction": 4711}],
)
def test_what_was_given_is_not_in_the_refusal(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        RealtimeSettings.model_validate(given)
    assert "4711" not in str(refused.value)


def test_without_a_near_key_the_known_ones_are_named() -> None:
    with pytest.raises(ValidationError, match="known are retention_ratio, post_instructions_tokens"):
        RetentionRatio.model_validate({"xyz": 1})


@pytest.mark.parametrize(
    "given",
    [
        {"speed": 0.2},
        {"speed": 1.6},
        {"max_output_tokens": 0},
        {"max_output_tokens": 4097},
        {"tool_choice": "book table"},
        {"tool_choice": ""},
        {"tool_choice": "b" * 65},
        {"noise_reduction": "mid_field"},
        {"reasoning_effort": "none"},
        {"truncation": "always"},
        {"truncation": {"retention_ratio": 1.01}},
        {"truncation": {"retention_ratio": -0.01}},
        {"truncation": {"retention_ratio": 0.5, "post_instructions_tokens": -1}},
        {"tracing": "on"},
        {"include": ["everything"]},
        {"turn_detection": {"type": "client_vad"}},
        {"turn_detection": {"type": "server_vad", "threshold": 1.01}},
        {"turn_detection": {"type": "server_vad", "threshold": -0.01}},
        {"turn_detection": {"type": "server_vad", "prefix_padding_ms": -1}},
        {"turn_detection": {"type": "server_vad", "silence_duration_ms": -1}},
        {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 4_999}},
        {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 30_001}},
        {"turn_detection": {"type": "semantic_vad", "eagerness": "very"}},
        {"transcription": {"delay": "long"}},
    ],
)
def test_what_the_api_would_refuse_is_refused_before(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RealtimeSettings.model_validate(given)


@pytest.mark.parametrize(
    "given",
    [
        {"speed": 0.25},
        {"speed": 1.5},
        {"max_output_tokens": 1},
        {"max_output_tokens": 4096},
        {"tool_choice": "b"},
        {"tool_choice": "b" * 64},
        {"truncation": {"retention_ratio": 0.0, "post_instructions_tokens": 0}},
        {"truncation": {"retention_ratio": 1.0}},
        {"turn_detection": {"type": "server_vad", "threshold": 0.0, "prefix_padding_ms": 0}},
        {"turn_detection": {"type": "server_vad", "threshold": 1.0, "silence_duration_ms": 0}},
        {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5_000}},
        {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 30_000}},
    ],
)
def test_what_the_api_just_takes_is_taken(given: dict[str, object]) -> None:
    assert RealtimeSettings.model_validate(given) != RealtimeSettings()


def test_a_refusal_does_not_show_what_was_given() -> None:
    with pytest.raises(ValidationError) as refusal:
        RealtimeSettings(instructions="a secret", speed=9)

    assert "a secret" not in str(refusal.value)


def test_only_formats_the_model_speaks_are_taken() -> None:
    with pytest.raises(ValidationError, match=r"PCM 24 kHz or PCMU 8 kHz or PCMA 8 kHz, not PCM 8"):
        RealtimeSettings(audio_format=PCM_8K)


def test_settings_do_not_change() -> None:
    settings = RealtimeSettings()

    with pytest.raises(ValidationError):
        settings.voice = "cedar"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("audio_format", "name"), [(PCMU_8K, "audio/pcmu"), (PCMA_8K, "audio/pcma")])
def test_both_directions_have_the_one_format(audio_format: AudioFormat, name: str) -> None:
    audio = RealtimeSettings(audio_format=audio_format).session()["audio"]

    assert audio["input"]["format"] == audio["output"]["format"] == {"type": name}


def test_what_was_not_set_is_left_to_the_server() -> None:
    session = RealtimeSettings().session()

    assert not session.keys() & {"parallel_tool_calls", "reasoning", "truncation", "tracing", "include"}
    assert session["audio"]["input"]["transcription"] == {"model": "gpt-transcribe"}


def test_turns_are_detected_as_the_api_does_by_itself() -> None:
    detection = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
    }
    assert RealtimeSettings().session()["audio"]["input"]["turn_detection"] == detection
    semantic = RealtimeSettings(turn_detection=SemanticVad()).session()["audio"]["input"]["turn_detection"]
    assert semantic == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }


def test_a_tool_can_be_demanded_by_its_name() -> None:
    assert RealtimeSettings(tool_choice="book_table").session()["tool_choice"] == {
        "type": "function",
        "name": "book_table",
    }
    assert RealtimeSettings(tool_choice="required").session()["tool_choice"] == "required"


def test_a_part_of_the_conversation_can_be_kept() -> None:
    kept = RealtimeSettings(truncation=RetentionRatio(retention_ratio=0.8, post_instructions_tokens=5000))

    assert kept.session()["truncation"] == {
        "type": "retention_ratio",
        "retention_ratio": 0.8,
        "token_limits": {"post_instructions": 5000},
    }


def test_a_trace_has_a_name_and_metadata() -> None:
    traced = RealtimeSettings(tracing=Tracing(workflow_name="hotel", metadata={"bot": "concierge"}))

    assert traced.session()["tracing"] == {"workflow_name": "hotel", "metadata": {"bot": "concierge"}}
    assert RealtimeSettings(tracing="auto").session()["tracing"] == "auto"


def test_transcription_takes_what_helps_it() -> None:
    helped = RealtimeSettings(
        transcription=Transcription(languages=("en", "de"), keywords=("Aurora",), prompt="A hotel's phone.")
    )

    assert helped.session()["audio"]["input"]["transcription"] == {
        "model": "gpt-transcribe",
        "languages": ["en", "de"],
        "keywords": ["Aurora"],
        "prompt": "A hotel's phone.",
    }


def test_what_is_off_is_written_as_null() -> None:
    heard = RealtimeSettings(turn_detection=None, transcription=None).session()["audio"]["input"]

    assert heard["turn_detection"] is None
    assert heard["transcription"] is None
    assert heard["noise_reduction"] is None


@pytest.mark.parametrize(
    ("settings", "creates", "interrupts"),
    [
        (RealtimeSettings(), True, True),
        (RealtimeSettings(turn_detection=ServerVad(create_response=False)), False, True),
        (RealtimeSettings(turn_detection=SemanticVad(interrupt_response=False)), True, False),
        (RealtimeSettings(turn_detection=None), False, False),
    ],
)
def test_turn_detection_tells_who_acts(settings: RealtimeSettings, creates: bool, interrupts: bool) -> None:
    assert (settings.creates_responses, settings.interrupts_responses) == (creates, interrupts)
