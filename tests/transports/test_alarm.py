"""A timer that is set anew all the time, in virtual time."""

import asyncio
import math

from callpipe.transports.alarm import Alarm
from callpipe.transports.virtual_time import run_virtual


def test_it_rings_once_at_the_time_it_was_last_set_to() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        rung: list[float] = []
        alarm = Alarm(lambda: rung.append(round(loop.time(), 2)), loop.time)
        alarm.set(1.0)
        alarm.set(5.0)
        alarm.set(2.0)
        await asyncio.sleep(3)
        alarm.set(4.0)
        alarm.set(None)
        await asyncio.sleep(10)
        alarm.set(1.0)
        await asyncio.sleep(1)
        return rung

    assert run_virtual(main()) == [2.0, 13.0]


def test_one_that_is_set_a_rounding_error_ahead_moves_time_on() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(4.25)
        due = math.nextafter(loop.time(), math.inf)
        rung = 0

        def ring() -> None:
            nonlocal rung
            rung += 1
            if loop.time() < due and rung < 100:
                alarm.set(due)

        alarm = Alarm(ring, loop.time)
        alarm.set(due)
        await asyncio.sleep(1)
        return rung

    assert run_virtual(main()) < 3
