"""How late the event loop runs what is due: the delay that one call's work adds to every other call's audio."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Generator

PERIOD_S = 0.1
"""How often the lag is measured."""

MEASURED = 600
"""Measures that `p99_ms` looks back on: a minute of them."""

LATELY = 100
"""Measures that `p90_ms` looks back on: ten seconds of them."""

FEW = 20
"""So many measures say nothing of the tenth that is worst."""

NOTABLE_MS = 50.0
"""From this lag on, those who watch are told: two packets and a half of audio."""

TELLING_S = 1.0
"""They are told the worst of so long at a time."""


class Lags:
    """What the measures come to, and which of them to tell. No clock of its own.

    Attributes:
        max_ms: The longest lag there was.
    """

    def __init__(self) -> None:
        self.max_ms = 0.0
        self._measures: deque[float] = deque(maxlen=MEASURED)
        self._worst_ms = 0.0
        self._told_at = -math.inf

    @property
    def p99_ms(self) -> float:
        """The lag that 99 of 100 measures of the last minute stayed below; 0.0 before any."""
        measures = sorted(self._measures)
        return measures[len(measures) * 99 // 100] if measures else 0.0

    @property
    def p90_ms(self) -> float:
        """The lag that 9 of 10 measures of the last ten seconds stayed below; 0.0 when there are but a few.

        It tells a loop that has too much to do from one that was held up once.
        """
        measures = sorted(list(self._measures)[-LATELY:])
        return measures[len(measures) * 9 // 10] if len(measures) > FEW else 0.0

    def note(self, lag_ms: float, now: float) -> float | None:
        """Note a measure; return the worst since something was told, when it is to be told now."""
        self._measures.append(lag_ms)
        self.max_ms = max(self.max_ms, lag_ms)
        self._worst_ms = max(self._worst_ms, lag_ms)
        if self._worst_ms < NOTABLE_MS or now < self._told_at + TELLING_S:
            return None
        worst_ms, self._worst_ms, self._told_at = self._worst_ms, 0.0, now
        return worst_ms


class LoopLag:
    """Measures the lag of an event loop, by a timer, while somebody watches.

    One for a process is enough: ``with loop_lag.watched(told): ...``

    Attributes:
        lags: What was measured: `Lags.max_ms` and `Lags.p99_ms`.
    """

    def __init__(self) -> None:
        self.lags = Lags()
        self._watchers: list[Callable[[float], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def watched(self, told: Callable[[float], None] | None = None) -> Generator[None]:
        """Measure in this context, and tell of lags of `NOTABLE_MS` and more, once a second at the most.

        Args:
            told: Called with the lag in ms; None measures only.
        """
        told = told or _untold
        self._watchers.append(told)
        if self._timer is None:
            self._arm()
        try:
            yield
        finally:
            self._watchers.remove(told)
            if not self._watchers and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + PERIOD_S
        self._timer = loop.call_at(due, self._measure, due)

    def _measure(self, due: float) -> None:
        now = asyncio.get_running_loop().time()
        notable_ms = self.lags.note(max(now - due, 0.0) * 1000, now)
        if notable_ms is not None:
            for told in list(self._watchers):
                told(notable_ms)
        self._arm()


def _untold(_lag_ms: float) -> None:
    """Nobody wants to know of a single lag."""
