"""The load's time: 20 slots of a millisecond that come round every 20 ms, the period of a phone's packets."""

import asyncio
import time
from collections.abc import Callable

SLOTS = 20
SLOT_S = 0.001


class Wheel:
    """Calls what was put into each slot once in 20 ms. Late slots are made up for, none is left out.

    Attributes:
        lateness_s: How late each slot of the time being measured was.
    """

    def __init__(self) -> None:
        self.lateness_s: list[float] = []
        self._slots: list[dict[int, Callable[[], None]]] = [{} for _ in range(SLOTS)]
        self._slot = 0
        self._loop = asyncio.get_running_loop()
        self._next = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._turn()

    def put(self, slot: int, key: int, tick: Callable[[], None]) -> None:
        """Call `tick` in a slot, counted round, until `remove` is told the same slot and key."""
        self._slots[slot % SLOTS][key] = tick

    def remove(self, slot: int, key: int) -> None:
        self._slots[slot % SLOTS].pop(key, None)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> None:
        now = time.monotonic()
        while self._next <= now:
            self.lateness_s.append(now - self._next)
            for tick in tuple(self._slots[self._slot].values()):
                tick()
            self._slot = (self._slot + 1) % SLOTS
            self._next += SLOT_S
            now = time.monotonic()
        self._timer = self._loop.call_later(self._next - now, self._turn)
