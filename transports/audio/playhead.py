"""What the caller has heard, and where the carrier's clock stands. No I/O, and no clock of its own.

Bandwidth acknowledges nothing that is sent to a stream (no marks), so what was heard is computed: audio handed
to the wire plays back to back, from its arrival on or from the end of the audio before it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

MAX_ITEMS = 64
"""Items whose heard figures stay readable."""

ROUNDING_S = 1e-6
"""What is less than this from its end is heard: sums of times and durations round, and a sample is longer."""

INBOUND_SAMPLE_RATE = 8_000
"""Samples a second of the inbound track (PCMU), by the carrier's clock."""

CLOCK_WINDOW_S = 20.0
"""How long a packet counts for the carrier's clock: 100 ppm are 2 ms in it, and it holds 1,000 packets."""

CLOCK_STEP_S = 0.2
"""Of the packets of so long only the least delayed counts."""


@dataclass(slots=True, eq=False)
class Span:
    """The place of one sent piece of audio in the playout. A clear shortens it to what was heard.

    Attributes:
        context_id: The item the piece belongs to, or None.
        starts_at: When its first sample is heard, in s.
        ends_at: When its last sample has been heard, in s.
        duration_ms: How much of it is heard in the end.
        cut: Whether a clear has shortened it.
    """

    context_id: str | None
    starts_at: float
    ends_at: float
    duration_ms: float
    cut: bool = False

    def is_heard(self, now: float) -> bool:
        """Whether all of this piece has been heard at `now`."""
        return now >= self.ends_at - ROUNDING_S

    def heard_ms(self, now: float) -> float:
        """Return the milliseconds of this piece that have been heard at `now`."""
        if self.is_heard(now):
            return self.duration_ms
        return min(max((now - self.starts_at) * 1000, 0.0), self.duration_ms)

    def clear(self, now: float) -> None:
        """Drop what has not been heard at `now`."""
        if self.is_heard(now):
            return
        self.duration_ms = self.heard_ms(now)
        self.ends_at = max(now, self.starts_at)
        self.cut = True


class Playhead:
    """Follows what the caller has heard of everything that was sent.

    All times are seconds of one monotonic clock and are passed in; they must not go back from one call of
    `sent` or `cleared` to the next.

    Args:
        prebuffer_ms: How much audio the carrier gathers before it plays; with less, it plays so long after the
            first piece. What the network takes delays audio and a clear alike, and needs no correction.
    """

    def __init__(self, *, prebuffer_ms: float = 0.0) -> None:
        self._prebuffer_ms = prebuffer_ms
        self._gathered_ms = 0.0
        self._begins_at = 0.0
        self._spans: deque[Span] = deque()
        self._finished_ms: dict[str, float] = {}
        self._latest: Span | None = None
        self._ends_at = 0.0

    @property
    def ends_at(self) -> float:
        """When the caller has heard, or had heard, the last sample that was sent, in s; 0.0 before any."""
        return self._ends_at

    @property
    def latest(self) -> Span | None:
        """The place of the piece that was sent last."""
        return self._latest

    def sent(self, duration_ms: float, now: float, context_id: str | None = None) -> float:
        """Note a piece of audio that is handed to the wire.

        Args:
            duration_ms: How long the piece lasts.
            now: The current time in s.
            context_id: The item it belongs to; an item may have many pieces.

        Returns:
            When its first sample is heard, in s; sooner, when the carrier gathers more audio before.
        """
        self._forget_finished(now)
        if not self._spans:
            self._gathered_ms = 0.0
            self._begins_at = now + self._prebuffer_ms / 1000
        starts_at = max(self._begins_at, self._ends_at)
        span = Span(context_id, starts_at, starts_at + duration_ms / 1000, duration_ms)
        self._spans.append(span)
        self._latest = span
        self._gathered_ms += duration_ms
        if now < self._begins_at and self._gathered_ms >= self._prebuffer_ms:
            self._begin(now)
        self._ends_at = span.ends_at
        return span.starts_at

    def cleared(self, now: float) -> dict[str, float]:
        """Note a clear: what is unheard never plays, and audio sent from now on starts afresh.

        Args:
            now: The current time in s.

        Returns:
            Heard milliseconds of every item of which something was unheard, 0.0 where nothing was heard.
        """
        self._forget_finished(now)
        unfinished = dict.fromkeys(span.context_id for span in self._spans if span.context_id is not None)
        heard_ms = {context_id: self.heard_ms(context_id, now) for context_id in unfinished}
        for span in self._spans:
            span.clear(now)
            self._finish(span)
        self._spans.clear()
        self._ends_at = min(self._ends_at, now)
        return heard_ms

    def heard_ms(self, context_id: str, now: float) -> float:
        """Return the milliseconds of an item that the caller has heard at `now`; 0.0 for an unknown one."""
        heard_ms = self._finished_ms.get(context_id, 0.0)
        for span in self._spans:
            if span.context_id == context_id:
                heard_ms += span.heard_ms(now)
        return heard_ms

    def unheard_ms(self, now: float) -> float:
        """Return the milliseconds from `now` until the caller has heard everything that was sent."""
        return max(self._ends_at - now, 0.0) * 1000

    def _begin(self, now: float) -> None:
        """Note that the prebuffer is full: what it holds, which is all there is, is heard from `now` on."""
        early_s = self._begins_at - now
        self._begins_at = now
        for span in self._spans:
            span.starts_at -= early_s
            span.ends_at -= early_s

    def _forget_finished(self, now: float) -> None:
        while self._spans and self._spans[0].is_heard(now):
            self._finish(self._spans.popleft())

    def _finish(self, span: Span) -> None:
        if span.context_id is None:
            return
        self._finished_ms[span.context_id] = self._finished_ms.pop(span.context_id, 0.0) + span.duration_ms
        if len(self._finished_ms) > MAX_ITEMS:
            del self._finished_ms[next(iter(self._finished_ms))]


class CarrierClock:
    """Where the carrier's clock stands: samples of the inbound track at any time of ours.

    A packet can only arrive late, so the least delayed one of the last `CLOCK_WINDOW_S` tells the time best.
    The window lets the clock follow a carrier that runs fast or slow, and a line that becomes longer.
    """

    def __init__(self) -> None:
        # (arrived at, zero): `zero` is when sample 0 was spoken by this packet. Rising in both, so that the
        # first entry is the least delayed packet of the window.
        self._least: deque[tuple[float, float]] = deque()
        # The least delayed packet of those that are not in there yet: a packet costs as little as can be.
        self._newest_zero = math.inf
        self._newest_at = 0.0
        self._next_at = -math.inf

    def received(self, samples_so_far: int, now: float) -> None:
        """Note a packet.

        Args:
            samples_so_far: Samples of the inbound track up to the packet's end, lost ones included.
            now: When the packet arrived, in s.
        """
        zero = now - samples_so_far / INBOUND_SAMPLE_RATE
        if zero <= self._newest_zero:
            self._newest_zero = zero
            self._newest_at = now
        if now >= self._next_at:
            self._remember(now)

    def position(self, now: float) -> float:
        """Return the samples of the inbound track at the time `now` in s; 0.0 before the first packet."""
        if not self._least:
            return 0.0
        return (now - min(self._least[0][1], self._newest_zero)) * INBOUND_SAMPLE_RATE

    def _remember(self, now: float) -> None:
        """Put the least delayed of the last packets among those of the window."""
        least = self._least
        while least and least[-1][1] >= self._newest_zero:
            least.pop()
        least.append((self._newest_at, self._newest_zero))
        while least[0][0] < now - CLOCK_WINDOW_S:
            least.popleft()
        self._newest_zero = math.inf
        self._next_at = now + CLOCK_STEP_S
