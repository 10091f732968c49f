"""What the caller hears: the carrier's buffer of audio to play, on the carrier's clock, without I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...audio.formats import AudioFormat
from .errors import PlayoutFullError
from .narrowband import BYTES_PER_SAMPLE, SAMPLE_RATE, Narrowband

MAX_UNHEARD_S = 600.0
"""Bandwidth does not say what it keeps; ten minutes are more than any answer lasts."""


@dataclass(slots=True)
class Burst:
    """Audio heard without a gap, from the moment playout started with nothing playing.

    Attributes:
        started_at: When its first sample was heard, in seconds of the clock passed in.
        heard_ms: How much of it has been heard so far.
    """

    started_at: float
    heard_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Cut:
    """Audio that a `clear` kept from the caller.

    Attributes:
        at: When it was cut, in seconds of the clock passed in.
        heard_ms: How much of the burst had been heard, 0.0 when its playout had not started.
        dropped_ms: How much was never heard.
    """

    at: float
    heard_ms: float
    dropped_ms: float


class PlayoutBuffer:
    """Plays what it is given as 8 kHz PCM, sample by sample, on the carrier's clock.

    Args:
        started_at: The time of the first sample, in seconds of the clock that every `now` is read from.
        drift_ppm: By how much the carrier's sample clock is faster than that clock.
        prebuffer_ms: Playout starts when so much audio waits, or so long after the first of it arrived.

    Attributes:
        bursts: Every burst of audio heard so far.
        cuts: Every `clear` that kept audio from the caller.
    """

    def __init__(self, started_at: float, *, drift_ppm: float = 0.0, prebuffer_ms: float = 0.0) -> None:
        self.bursts: list[Burst] = []
        self.cuts: list[Cut] = []
        self._started_at = started_at
        self._samples_per_s = SAMPLE_RATE * (1 + drift_ppm / 1e6)
        self._prebuffer = round(prebuffer_ms * SAMPLE_RATE / 1000)
        self._position = 0
        self._waiting = bytearray()
        self._heard = bytearray()
        self._burst: Burst | None = None
        self._starts_by: int | None = None
        self._narrowband = Narrowband()

    @property
    def playing(self) -> bool:
        """Whether audio, not the silence between, was playing at the last `now`."""
        return self._burst is not None

    @property
    def unheard_ms(self) -> float:
        """Milliseconds of audio that wait."""
        return _ms(len(self._waiting))

    def play_audio(self, audio: bytes, audio_format: AudioFormat, now: float) -> None:
        """Append audio to what waits.

        Args:
            audio: Whole mono samples: PCMU at 8 kHz, or PCM at 8, 16 or 24 kHz.
            audio_format: The format of `audio`.
            now: When it arrived.

        Raises:
            PlayoutFullError: So much waits already that the audio was not taken.
        """
        self._play_until(now)
        if self.unheard_ms + audio_format.duration_ms(len(audio)) > MAX_UNHEARD_S * 1000:
            raise PlayoutFullError(MAX_UNHEARD_S)
        self._waiting += self._narrowband.convert(audio, audio_format)
        if self._burst is None and audio:
            if self._starts_by is None:
                self._starts_by = self._position + self._prebuffer
            if len(self._waiting) >= self._prebuffer * BYTES_PER_SAMPLE:
                self._starts_by = self._position

    def clear(self, now: float) -> Cut | None:
        """Drop what waits; return what was cut, or None when the caller had heard everything."""
        self._play_until(now)
        heard_ms = self._burst.heard_ms if self._burst else 0.0
        dropped_ms = self.drop(now)
        if not dropped_ms:
            return None
        cut = Cut(now, heard_ms, dropped_ms)
        self.cuts.append(cut)
        return cut

    def drop(self, now: float) -> float:
        """Drop what waits, for another reason than a `clear`; return how many milliseconds that were."""
        self._play_until(now)
        self._waiting += self._narrowband.tail()
        dropped_ms = self.unheard_ms
        self._waiting.clear()
        self._burst = self._starts_by = None
        return dropped_ms

    def advance(self, now: float) -> bytes:
        """Return what the caller heard since the last call until `now`, as PCM16 at 8 kHz."""
        self._play_until(now)
        heard = bytes(self._heard)
        self._heard.clear()
        return heard

    def _play_until(self, now: float) -> None:
        # The small addend keeps rounding from losing the sample that is due right now.
        target = math.floor((now - self._started_at) * self._samples_per_s + 1e-6)
        while self._position < target:
            if self._burst is None:
                self._stay_silent(target)
            else:
                self._play(target, self._burst)

    def _stay_silent(self, target: int) -> None:
        until = target if self._starts_by is None else min(target, self._starts_by)
        self._heard += bytes((until - self._position) * BYTES_PER_SAMPLE)
        self._position = until
        if self._position == self._starts_by:
            self._starts_by = None
            self._burst = Burst(self._started_at + self._position / self._samples_per_s)
            self.bursts.append(self._burst)

    def _play(self, target: int, burst: Burst) -> None:
        if not self._waiting:
            self._waiting += self._narrowband.tail()
        size = min((target - self._position) * BYTES_PER_SAMPLE, len(self._waiting))
        if not size:
            self._burst = None
            return
        self._heard += self._waiting[:size]
        del self._waiting[:size]
        self._position += size // BYTES_PER_SAMPLE
        burst.heard_ms += _ms(size)


def _ms(size: int) -> float:
    return size / BYTES_PER_SAMPLE * 1000 / SAMPLE_RATE
