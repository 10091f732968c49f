from __future__ import annotations

import audioop
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from callpipe.transports.speech.hibari_voice import HibariVoice

pytestmark = pytest.mark.offline

TEXT = "Good evening. We are open from five PM to eleven PM on Saturday."


@pytest.fixture(scope="module")
def voice() -> HibariVoice:
    voice = HibariVoice()
    voice.warm_up()
    return voice


def test_the_same_text_is_the_same_audio(voice: HibariVoice) -> None:
    assert b"".join(voice.speak(TEXT)) == b"".join(voice.speak(TEXT))


def test_threads_do_not_disturb_each_other(voice: HibariVoice) -> None:
    texts = [f"Table number {number} is free. Please come in." for number in range(4)]
    alone = [b"".join(voice.speak(text)) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        together = threads.map(voice.speak, texts)
        assert list(threads.map(b"".join, together)) == alone


def test_audio_comes_in_chunks_as_loud_as_speech(voice: HibariVoice) -> None:
    chunks = list(voice.speak(TEXT))
    assert all(0 < len(chunk) <= 4_800 for chunk in chunks)
    audio = b"".join(chunks)
    assert 3 < len(audio) / 48_000 < 7
    assert 600 < audioop.rms(audio, 2) < 6_000


def test_speech_begins_soon(voice: HibariVoice) -> None:
    asked = time.perf_counter()
    first = next(voice.speak(TEXT))
    assert time.perf_counter() - asked < 1
    assert audioop.rms(first, 2) > 100


def test_nothing_to_say_is_no_audio(voice: HibariVoice) -> None:
    assert list(voice.speak("")) == []
