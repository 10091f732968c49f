"""A timer that is set anew all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

RESOLUTION_S = 0.001
"""The shortest time it is set to: times are rounded, and one that rings too early is set again at once."""


def earlier(due: float | None, other: float | None) -> float | None:
    """Return the earlier of two times; None is never."""
    if due is None or other is None:
        return other if due is None else due
    return min(due, other)


class Alarm:
    """Rings once, at the time it was last set to.

    Setting it later, which happens with each event, leaves the timer alone: that finds out when it goes off.

    Args:
        ring: Called when it is time.
        clock: Monotonic seconds.
    """

    def __init__(self, ring: Callable[[], object], clock: Callable[[], float]) -> None:
        self._ring = ring
        self._clock = clock
        self._due: float | None = None
        self._goes_off_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: float | None) -> None:
        """Ring at `due`, in s, instead of any time before; None for never."""
        if due == self._due:
            return
        self._due = due
        if self._timer is not None:
            if due is not None and due >= self._goes_off_at:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._start(due)

    def _start(self, due: float) -> None:
        now = self._clock()
        self._goes_off_at = max(due, now + RESOLUTION_S)
        self._timer = asyncio.get_running_loop().call_later(self._goes_off_at - now, self._went_off)

    def _went_off(self) -> None:
        self._timer = None
        if self._due is not None and self._due > self._goes_off_at:
            self._start(self._due)
            return
        self._due = None
        self._ring()
