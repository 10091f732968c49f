"""The input audio buffer: what the caller said and nobody committed yet."""

from __future__ import annotations

from ...audio.formats import PCM_8K, AudioFormat, Encoding
from ...audio.g711 import decode_alaw, decode_mulaw
from ...audio.resampler import StreamResampler

LONGEST_MS = 300_000
"""Audio that is kept at the most; older audio is dropped."""


def decoded(audio: bytes, audio_format: AudioFormat) -> bytes:
    """Return audio as PCM16 of the same rate; an odd byte at the end of PCM is dropped."""
    if audio_format.encoding is Encoding.PCMU:
        return decode_mulaw(audio)
    if audio_format.encoding is Encoding.PCMA:
        return decode_alaw(audio)
    return audio[: len(audio) - len(audio) % 2]


class CallerAudio:
    """Audio of one format, placed on the time line of all audio the session was given.

    Args:
        audio_format: PCM 24 kHz, PCMU or PCMA, as the session takes it.
        start_ms: Audio the session was given before, in other formats.
    """

    def __init__(self, audio_format: AudioFormat, start_ms: float = 0.0) -> None:
        self.audio_format = audio_format
        self._start_ms = start_ms
        self._pcm = bytearray()
        self._half_sample = b""
        self._resampler = StreamResampler(audio_format.sample_rate, PCM_8K.sample_rate)

    @property
    def sample_rate(self) -> int:
        """Hz of the audio that `take` returns."""
        return self.audio_format.sample_rate

    @property
    def start_ms(self) -> float:
        """Where the oldest audio of the buffer stands."""
        return self._start_ms

    @property
    def end_ms(self) -> float:
        """All audio the session was ever given."""
        return self._start_ms + self._duration_ms(len(self._pcm))

    @property
    def buffered_ms(self) -> float:
        """What the buffer holds."""
        return self._duration_ms(len(self._pcm))

    def append(self, audio: bytes) -> bytes:
        """Add audio and return it as PCM at 8 kHz, for a speech detector."""
        pcm = self._decoded(audio)
        self._pcm += pcm
        if self.buffered_ms > LONGEST_MS:
            self.drop_before(self.end_ms - LONGEST_MS)
        return self._resampler.resample(pcm)

    def drop_before(self, position_ms: float) -> None:
        """Forget the audio before a place of the time line."""
        size = self._size(position_ms - self._start_ms)
        if size:
            del self._pcm[:size]
            self._start_ms += self._duration_ms(size)

    def take(self, until_ms: float | None = None) -> bytes:
        """Remove the audio up to a place, by default all of it, and return it as PCM."""
        size = len(self._pcm) if until_ms is None else self._size(until_ms - self._start_ms)
        taken = bytes(self._pcm[:size])
        del self._pcm[:size]
        self._start_ms += self._duration_ms(size)
        return taken

    def _decoded(self, audio: bytes) -> bytes:
        if self.audio_format.encoding is Encoding.PCM:
            audio = self._half_sample + audio
            self._half_sample = audio[len(audio) - len(audio) % 2 :]
        return decoded(audio, self.audio_format)

    def _duration_ms(self, size: int) -> float:
        return size / 2 * 1000 / self.sample_rate

    def _size(self, duration_ms: float) -> int:
        return min(max(0, round(duration_ms * self.sample_rate / 1000) * 2), len(self._pcm))
