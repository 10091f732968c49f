"""What is observed of the calls during one measurement: delays, by the position in the audio. No I/O."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


def quantile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that at least `part` of all don't exceed; infinite when there are none."""
    if not values:
        return math.inf
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    """Return the middle one of some measurements."""
    return quantile(values, 0.5)


@dataclass
class Observed:
    """What came of the audio that was sent between two moments, in monotonic seconds.

    Attributes:
        since: Audio sent earlier does not count.
        until: Nor does audio sent later.
        to_model_s: For each frame of a caller's, how long after its sending the model held all of it.
        fastest_s: For each call, the least of these.
        to_carrier_s: For each delta of the model's, how long after its sending the carrier held its first byte.
        to_clear_s: For each barge-in, how long after `speech_started` the carrier got `clear`.
        frames: Callers' frames sent.
        deltas: The model's deltas sent.
        barge_ins: Barge-ins made.
    """

    since: float
    until: float = math.inf
    to_model_s: list[float] = field(default_factory=list[float])
    fastest_s: dict[int, float] = field(default_factory=dict[int, float])
    to_carrier_s: list[float] = field(default_factory=list[float])
    to_clear_s: list[float] = field(default_factory=list[float])
    frames: int = 0
    deltas: int = 0
    barge_ins: int = 0

    def counts(self, sent_at: float) -> bool:
        """Whether what was sent at a moment counts."""
        return self.since <= sent_at < self.until

    def frame_came(self, call: int, sent_at: float, now: float) -> None:
        """Note that the model holds a whole frame."""
        if self.counts(sent_at):
            delay_s = now - sent_at
            self.to_model_s.append(delay_s)
            if delay_s < self.fastest_s.get(call, math.inf):
                self.fastest_s[call] = delay_s

    def delta_came(self, sent_at: float, now: float) -> None:
        """Note that the carrier holds the first byte of a delta."""
        if self.counts(sent_at):
            self.to_carrier_s.append(now - sent_at)

    def cleared(self, sent_at: float, now: float) -> None:
        """Note that the carrier was told to clear."""
        if self.counts(sent_at):
            self.to_clear_s.append(now - sent_at)
