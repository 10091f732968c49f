"""What is made of the sentences that a synthesizer gives; the synthesizer is put in by hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from callpipe.transports.speech import hibari_voice
from callpipe.transports.speech.hibari_voice import HibariVoice


class Synthesizer:
    """Gives one sentence for each word: silence, a tone as loud as the word says, silence."""

    def stream(self, text: str, *, seed: int) -> Iterator[NDArray[np.float32]]:
        for word in text.split():
            tone = np.full(24_000, float(word), np.float32)
            yield np.concatenate([np.zeros(7_200, np.float32), tone, np.zeros(12_000, np.float32)])


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> HibariVoice:
    monkeypatch.setattr(hibari_voice, "_synthesizer", Synthesizer)
    return HibariVoice()


def samples(voice: HibariVoice, text: str) -> NDArray[np.int16]:
    return np.frombuffer(b"".join(voice.speak(text)), "<i2")


def test_a_sentence_keeps_50_ms_of_silence_before_it_and_250_ms_after(voice: HibariVoice) -> None:
    loud = np.flatnonzero(samples(voice, "0.5"))

    assert (loud[0], loud[-1], len(samples(voice, "0.5"))) == (1_200, 25_199, 31_199)


def test_sentences_follow_each_other_in_chunks_of_100_ms(voice: HibariVoice) -> None:
    sizes = [len(chunk) for chunk in voice.speak("0.5 0.5")]

    assert sizes == ([4_800] * 12 + [4_798]) * 2


def test_what_is_too_loud_is_clipped(voice: HibariVoice) -> None:
    assert {samples(voice, "1.5").max(), samples(voice, "1").max()} == {32_767}
    assert samples(voice, "-1.5").min() == -32_767
    assert samples(voice, "0.5").max() == 16_383


@pytest.mark.parametrize(("amplitude", "size"), [("0.004", 43_200), ("0.006", 31_199)])
def test_a_sentence_without_a_sound_is_left_whole(voice: HibariVoice, amplitude: str, size: int) -> None:
    assert len(samples(voice, amplitude)) == size
