import pytest
from pydantic import ValidationError

from callpipe.transports.audio.formats import PCM_8K, PCMU_8K
from callpipe.transports.realtime.settings import RealtimeSettings, SemanticVad, ServerVad


def test_a_mistyped_key_is_refused_and_the_nearest_one_named() -> None:
    with pytest.raises(ValidationError, match="no setting 'instruction'; did you mean 'instructions'"):
        RealtimeSettings(instruction="Be brief.")  # pyright: ignore[reportCallIssue]


def test_a_mistyped_key_of_the_turn_detection_is_refused_too() -> None:
    with pytest.raises(ValidationError, match="did you mean 'threshold'"):
        RealtimeSettings.model_validate({"turn_detection": {"type": "server_vad", "treshold": 0.4}})


def test_a_refusal_does_not_show_what_was_given() -> None:
    with pytest.raises(ValidationError) as refusal:
        RealtimeSettings(instructions="a secret", speed=9)

    assert "a secret" not in str(refusal.value)


def test_only_formats_the_model_speaks_are_taken() -> None:
    with pytest.raises(ValidationError, match=r"PCM 24 kHz or PCMU 8 kHz, not PCM 8 kHz"):
        RealtimeSettings(audio_format=PCM_8K)


def test_settings_do_not_change() -> None:
    settings = RealtimeSettings()

    with pytest.raises(ValidationError):
        settings.voice = "cedar"  # pyright: ignore[reportAttributeAccessIssue]


def test_both_directions_have_the_one_format() -> None:
    audio = RealtimeSettings(audio_format=PCMU_8K).session()["audio"]

    assert audio["input"]["format"] == audio["output"]["format"] == {"type": "audio/pcmu"}


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
