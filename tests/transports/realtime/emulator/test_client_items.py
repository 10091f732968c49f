"""What becomes of the items that a client brings."""

from __future__ import annotations

from base64 import b64encode

import pytest

from callpipe.transports.audio.formats import PCM_24K, PCMU_8K, AudioFormat
from callpipe.transports.realtime.emulator.client_events import InputAudio, InputImage, InputText, UserMessage
from callpipe.transports.realtime.emulator.client_items import conversation_item
from callpipe.transports.realtime.emulator.items import Message


def spoken(transcript: str | None = None) -> InputAudio:
    audio = b64encode(bytes(480)).decode()
    return InputAudio.model_validate({"type": "input_audio", "audio": audio, "transcript": transcript})


def brought(*content: InputText | InputAudio | InputImage) -> UserMessage:
    return UserMessage(type="message", role="user", content=list(content))


@pytest.mark.parametrize(("audio_format", "duration_ms"), [(PCM_24K, 10.0), (PCMU_8K, 60.0)])
def test_audio_lasts_as_long_as_its_format_says_and_has_to_be_heard(
    audio_format: AudioFormat, duration_ms: float
) -> None:
    parts = (InputText(type="input_text", text="one"), spoken())
    item, (hear,) = conversation_item(brought(*parts), lambda kind: f"{kind}_1", audio_format)

    assert isinstance(item, Message)
    assert (item.id, hear.item_id, hear.content_index) == ("item_1", "item_1", 1)
    assert hear.speech is item.content[1]
    assert hear.speech.audio_ms == duration_ms
    assert (len(hear.pcm) / 2 * 1000 / hear.sample_rate, hear.transcribe) == (duration_ms, False)


@pytest.mark.parametrize("transcript", ["a table", ""])
def test_audio_whose_words_are_known_is_not_heard_again(transcript: str) -> None:
    item, unheard = conversation_item(brought(spoken(transcript)), lambda kind: kind, PCM_24K)

    assert unheard == []
    assert isinstance(item, Message)
    assert item.understood == transcript
