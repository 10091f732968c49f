"""The caller's ear: when the bot speaks and when it is quiet, told by what was really played."""

from __future__ import annotations

import numpy as np

from .narrowband import BYTES_PER_SAMPLE, SAMPLE_RATE

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

    def hear(self, pcm: bytes, *, playing: bool) -> None:
        """Take the next piece.

        Args:
            pcm: PCM16 at 8 kHz of any length.
            playing: Whether the carrier has anything to play at its end.
        """
        duration_ms = len(pcm) / BYTES_PER_SAMPLE * 1000 / SAMPLE_RATE
        if _rms(pcm) >= LOUD_RMS:
            if not self.speaking:
                self.burst_began_ms = self.heard_ms
            self.speaking = True
            self.quiet_ms = 0.0
        else:
            self.quiet_ms += duration_ms
        self.heard_ms += duration_ms
        self._idle_ms = 0.0 if playing else self._idle_ms + duration_ms
        if self._idle_ms >= GAP_MS or self.quiet_ms >= PAUSE_MS:
            self.speaking = False


def _rms(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    return float(np.sqrt(np.mean(samples**2))) if samples.size else 0.0
