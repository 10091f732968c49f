"""A timer that is set anew all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

RESOLUTION_S = 0.001
"""The shortest time it is set to: times are rounded, and one that rings too early is set again at once."""


class Alarm:
    """Rings once, at the time it was last set to.

    Args:
        ring: Called when it is time.
        clock: Monotonic seconds.
    """

    def __init__(self, ring: Callable[[], object], clock: Callable[[], float]) -> None:
        self._ring = ring
        self._clock = clock
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: float | None) -> None:
        """Ring at `due`, in s, instead of any time before; None for never."""
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        if due is not None:
            delay_s = max(due - self._clock(), RESOLUTION_S)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._is_due)

    def _is_due(self) -> None:
        self._due = self._timer = None
        self._ring()
