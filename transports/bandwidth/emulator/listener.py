"""The caller's ear: when the bot speaks and when it is quiet, told by what was really played."""

from __future__ import annotations

import math

import numpy as np

from .narrowband import SAMPLE_RATE

LOUD_RMS = 100.0
"""Louder is speech: 50 dB below full scale."""

GAP_MS = 100.0
"""When nothing plays for so long, a burst of speech is over; a late packet makes a shorter gap."""

PAUSE_MS = 500.0
"""When what plays is silent for so long, a burst of speech is over."""


class Listener:
    """Follows what a caller hears, piece by piece. Its time is the audio heard so far.

    Attributes:
        heard_ms: Milliseconds heard so far, silence included.
        quiet_ms: For how long the bot has been quiet.
        speaking: Whether a burst of speech goes on; short pauses do not end one.
        burst_began_ms: Where in the audio heard the latest burst began, None before the first.
    """

    def __init__(self) -> None:
        self.heard_ms = 0.0
        self.quiet_ms = 0.0
        self.speaking = False
        self.burst_began_ms: float | None = None
        self._idle_ms = 0.0

    @property
    def speaking_ms(self) -> float:
        """For how long the bot has been speaking; 0.0 when it is not."""
        return self.heard_ms - self.burst_began_ms if self.speaking and self.burst_began_ms is not None else 0.0

    @property
    def burst_ms(self) -> float:
        """How long the latest burst has lasted, without the quiet after it."""
        return 0.0 if self.burst_began_ms is None else self.heard_ms - self.quiet_ms - self.burst_began_ms

    def hear(self, pcm: bytes, *, playing: bool) -> None:
        """Take the next piece.

        Args:
            pcm: PCM16 at 8 kHz of any length.
            playing: Whether the carrier has anything to play at its end.
        """
        samples = np.frombuffer(pcm, "<i2").astype(np.float64)
        duration_ms = _ms(samples.size)
        if samples.size and math.sqrt(np.mean(samples**2)) >= LOUD_RMS:
            # A piece may be long, after a stall, so where in it the speech is matters.
            loud = np.flatnonzero(np.abs(samples) >= LOUD_RMS)
            if not self.speaking:
                self.burst_began_ms = self.heard_ms + _ms(int(loud[0]))
            self.speaking = True
            self.quiet_ms = duration_ms - _ms(int(loud[-1]) + 1)
        else:
            self.quiet_ms += duration_ms
        self.heard_ms += duration_ms
        self._idle_ms = 0.0 if playing else self._idle_ms + duration_ms
        if self._idle_ms >= GAP_MS or self.quiet_ms >= PAUSE_MS:
            self.speaking = False


def _ms(samples: int) -> float:
    return samples * 1000 / SAMPLE_RATE
