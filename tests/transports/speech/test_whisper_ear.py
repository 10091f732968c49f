from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from callpipe.transports.speech.hibari_voice import HibariVoice
from callpipe.transports.speech.whisper_ear import WhisperEar

from .telephone import over_the_line

pytestmark = pytest.mark.offline


@pytest.fixture(scope="module")
def ear() -> WhisperEar:
    ear = WhisperEar()
    ear.warm_up()
    return ear


def heard(ear: WhisperEar, text: str) -> str:
    return ear.hear(over_the_line(HibariVoice(), text, before_ms=200, after_ms=300), 8_000)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


@pytest.mark.parametrize(
    "text",
    [
        "What time do you open on Saturday?",
        "Thank you, goodbye.",
        "I would like to book a table for four people.",
    ],
)
def test_words_over_the_telephone_are_heard(ear: WhisperEar, text: str) -> None:
    assert words(heard(ear, text)) == words(text)


def test_a_short_window_that_repeats_itself_is_read_again(ear: WhisperEar) -> None:
    assert words(heard(ear, "Yes.")) == ["yes"]


def test_wide_band_audio_is_heard(ear: WhisperEar) -> None:
    voice = HibariVoice()
    assert words(ear.hear(b"".join(voice.speak("What time do you close?")), voice.sample_rate)) == [
        *("what", "time", "do", "you", "close")
    ]


def test_more_than_half_a_minute_is_heard(ear: WhisperEar) -> None:
    sentence = "The kitchen closes one hour earlier, and the bar stays open until midnight. "
    text = words(heard(ear, sentence * 9))
    assert 7 <= text.count("kitchen") <= 10
    assert 7 <= text.count("midnight") <= 10


def test_silence_and_noise_say_nothing(ear: WhisperEar) -> None:
    noise = np.random.default_rng(0).normal(0, 600, 16_000).astype("<i2").tobytes()
    assert [ear.hear(pcm, 8_000) for pcm in (b"", bytes(32_000), noise)] == ["", "", ""]


def test_threads_share_an_ear(ear: WhisperEar) -> None:
    lines = [over_the_line(HibariVoice(), f"Table number {number}, please.") for number in ("two", "six")]
    alone = [ear.hear(line, 8_000) for line in lines]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(ear.hear, lines, [8_000, 8_000])) == alone
