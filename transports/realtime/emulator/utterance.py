"""What the model says, as audio in the session's format with its words placed on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...audio.formats import AudioFormat, Encoding
from ...audio.g711 import encode_alaw, encode_mulaw
from ...audio.resampler import StreamResampler
from ...speech.interfaces import Voice


def words(text: str) -> list[str]:
    """Return the pieces in which a text is streamed; joined they are the text."""
    return re.findall(r"\s*\S+(?:\s+$)?|^\s+$", text)


@dataclass(frozen=True, slots=True)
class Utterance:
    """A spoken text, taken to be spoken evenly.

    Attributes:
        text: What is said.
        audio: The audio, encoded as the session wants it.
        audio_format: How.
    """

    text: str = field(repr=False)
    audio: bytes = field(repr=False)
    audio_format: AudioFormat

    @property
    def duration_ms(self) -> float:
        """How long it lasts."""
        return self.audio_format.duration_ms(len(self.audio))

    def deltas(self, delta_ms: float) -> Iterator[tuple[str, bytes]]:
        """Give pieces of `delta_ms`, the last one shorter: the words that begin in each, and its audio."""
        size = max(self.audio_format.size(delta_ms), self.audio_format.size(1))
        waiting = words(self.text)
        told = 0
        for start in range(0, len(self.audio), size):
            audio = self.audio[start : start + size]
            begun = len(self.text) * (start + len(audio)) / len(self.audio)
            transcript = ""
            while waiting and told + len(transcript) < begun:
                transcript += waiting.pop(0)
            told += len(transcript)
            yield transcript, audio
        if waiting:
            yield "".join(waiting), b""


def spoken(text: str, voice: Voice, audio_format: AudioFormat) -> Utterance:
    """Return `text` as the voice says it. It blocks while the voice computes."""
    resampler = StreamResampler(voice.sample_rate, audio_format.sample_rate)
    late = b"".join(resampler.resample(chunk) for chunk in voice.speak(text)) + resampler.flush()
    pcm = late[2 * round(resampler.delay_ms * audio_format.sample_rate / 1000) :]
    if audio_format.encoding is Encoding.PCMU:
        return Utterance(text, encode_mulaw(pcm), audio_format)
    if audio_format.encoding is Encoding.PCMA:
        return Utterance(text, encode_alaw(pcm), audio_format)
    return Utterance(text, pcm, audio_format)
