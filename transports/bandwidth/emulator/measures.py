"""How long a caller heard nothing, told by what was really played to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .listener import LOUD_RMS
from .narrowband import SAMPLE_RATE
from .playout import Burst

WINDOW = SAMPLE_RATE // 50
"""Samples that are loud or silent together: 20 ms."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """What the caller heard after a media stream was lost. Times are in seconds of the carrier's clock.

    Attributes:
        lost_at: When its connection broke.
        silent_from: When the last of its audio had been heard.
        heard_at: When the caller heard something again, of another stream; None when they never did.
    """

    lost_at: float
    silent_from: float
    heard_at: float | None

    @property
    def silence_ms(self) -> float | None:
        """For how long the caller heard nothing; None when they never heard anything again."""
        return None if self.heard_at is None else (self.heard_at - self.silent_from) * 1000


def resumptions(
    lost_at: Sequence[float], started_at: Sequence[float], bursts: Sequence[Burst]
) -> list[Resumption]:
    """Return what the caller heard after each loss of a stream.

    Args:
        lost_at: When streams were lost.
        started_at: When streams started.
        bursts: The audio the caller heard.
    """
    told: list[Resumption] = []
    for lost in lost_at:
        again_at = next((started for started in started_at if started > lost), None)
        before = [burst.started_at + burst.heard_ms / 1000 for burst in bursts if burst.started_at <= lost]
        heard_at = next(
            (burst.started_at for burst in bursts if again_at is not None and burst.started_at >= again_at),
            None,
        )
        told.append(Resumption(lost, max([lost, *before[-1:]]), heard_at))
    return told


def longest_silence_ms(tracks: Sequence[bytes], begin_s: float, end_s: float) -> float:
    """Return the longest time in which all tracks were silent.

    Args:
        tracks: PCM16 at 8 kHz, all beginning at the same moment.
        begin_s: From where on, in seconds from their beginning.
        end_s: Up to where.
    """
    windows = max(0, round(end_s * SAMPLE_RATE) // WINDOW)
    loud = np.zeros(windows, dtype=bool)
    for track in tracks:
        samples = np.frombuffer(track, "<i2").astype(np.float64)[: windows * WINDOW]
        whole = samples[: samples.size // WINDOW * WINDOW].reshape(-1, WINDOW)
        loud[: len(whole)] |= np.sqrt(np.mean(whole**2, axis=1)) >= LOUD_RMS
    longest = run = 0
    for is_loud in loud[max(0, round(begin_s * SAMPLE_RATE) // WINDOW) :]:
        run = 0 if is_loud else run + 1
        longest = max(longest, run)
    return longest * WINDOW * 1000 / SAMPLE_RATE
