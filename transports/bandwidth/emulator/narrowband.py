"""Turns what a server sends into what the telephone carries: PCM at 8 kHz, exactly as long as what was sent."""

from __future__ import annotations

from ...audio.formats import PCM_8K, PCMU_8K, AudioFormat
from ...audio.g711 import decode_mulaw
from ...audio.resampler import StreamResampler

SAMPLE_RATE = 8_000
BYTES_PER_SAMPLE = 2


class Narrowband:
    """Converts a stream of chunks; the chunks may change their format."""

    def __init__(self) -> None:
        self._format = PCM_8K
        self._resampler: StreamResampler | None = None
        self._fed = False
        self._early = 0

    def convert(self, audio: bytes, audio_format: AudioFormat) -> bytes:
        """Return as 8 kHz PCM what a chunk makes.

        Args:
            audio: Whole mono samples: PCMU at 8 kHz, or PCM at 8, 16 or 24 kHz.
            audio_format: The format of `audio`.
        """
        tail = b""
        if audio_format != self._format:
            tail = self.tail()
            self._format = audio_format
            same_rate = audio_format.sample_rate == SAMPLE_RATE
            self._resampler = None if same_rate else StreamResampler(audio_format.sample_rate, SAMPLE_RATE)
        if self._resampler is not None:
            return tail + self._resample(self._resampler, audio)
        return tail + (decode_mulaw(audio) if audio_format == PCMU_8K else audio)

    def tail(self) -> bytes:
        """Return what the filter still holds; the next chunk begins another stream."""
        if self._resampler is None or not self._fed:
            return b""
        self._fed = False
        return self._without_early(self._resampler.flush())

    def _resample(self, resampler: StreamResampler, pcm: bytes) -> bytes:
        if not self._fed:
            # The filter is late; without these samples its output is in time, and as long as its input.
            self._early = round(resampler.delay_ms * SAMPLE_RATE / 1000) * BYTES_PER_SAMPLE
            self._fed = True
        return self._without_early(resampler.resample(pcm))

    def _without_early(self, pcm: bytes) -> bytes:
        dropped = min(self._early, len(pcm))
        self._early -= dropped
        return pcm[dropped:]
