from __future__ import annotations

import pytest

from callpipe.transports.audio.formats import PCM_8K, PCM_24K, PCMU_8K, AudioFormat, Encoding
from callpipe.transports.audio.g711 import decode_alaw, decode_mulaw
from callpipe.transports.realtime.emulator.utterance import Utterance, spoken, words
from callpipe.transports.speech.tones import ToneEar, ToneVoice

TEXT = "Hello, how can I help?"


@pytest.mark.parametrize("text", ["", " ", "one", " one  two\n", "a b c ", "naïve  café"])
def test_words_are_the_whole_text(text: str) -> None:
    assert "".join(words(text)) == text
    assert len(words(text)) == max(len(text.split()), bool(text))


@pytest.mark.parametrize("voice_rate", [8_000, 24_000])
@pytest.mark.parametrize("audio_format", [PCM_24K, PCMU_8K, AudioFormat(Encoding.PCMA, 8_000)], ids=str)
def test_a_voice_in_every_format_neither_longer_nor_later(voice_rate: int, audio_format: AudioFormat) -> None:
    utterance = spoken(TEXT, ToneVoice(voice_rate), audio_format)
    assert utterance.duration_ms == pytest.approx(len(TEXT) * 40)
    decode = {Encoding.PCM: bytes, Encoding.PCMU: decode_mulaw, Encoding.PCMA: decode_alaw}
    assert ToneEar().hear(decode[audio_format.encoding](utterance.audio), audio_format.sample_rate) == TEXT


def test_words_come_with_the_audio_in_which_they_begin() -> None:
    utterance = Utterance("one two six", bytes(16 * 1_100), PCM_8K)
    deltas = list(utterance.deltas(250))
    assert [transcript for transcript, _ in deltas] == ["one", " two", " six", "", ""]
    assert [len(audio) / 16 for _, audio in deltas] == [250, 250, 250, 250, 100]


def test_a_voice_without_audio_still_gives_its_words() -> None:
    assert list(Utterance("one", b"", PCM_8K).deltas(100)) == [("one", b"")]
