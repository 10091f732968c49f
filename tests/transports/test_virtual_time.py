"""An hour passes in no time, in the right order."""

import asyncio
import time

import pytest

from callpipe.transports.virtual_time import in_virtual_time, run_virtual


def test_an_hour_takes_no_time_and_keeps_its_order() -> None:
    async def main() -> list[str]:
        order: list[str] = []

        async def wait(seconds: float) -> None:
            await asyncio.sleep(seconds)
            order.append(f"{seconds} at {asyncio.get_running_loop().time():g}")

        await asyncio.gather(wait(3600), wait(0.02), wait(60))
        return order

    began = time.monotonic()
    assert run_virtual(main()) == ["0.02 at 0.02", "60 at 60", "3600 at 3600"]
    assert time.monotonic() - began < 5


def test_deadlines_are_virtual_too() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.get_running_loop().create_future(), 15)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 15


def test_threads_still_answer() -> None:
    async def main() -> str:
        return await asyncio.to_thread(lambda: "from a thread")

    assert run_virtual(main()) == "from a thread"


def test_a_decorated_test_runs_in_virtual_time_until_its_deadline() -> None:
    slept: list[float] = []

    @in_virtual_time(deadline_s=60)
    async def sleeps(seconds: float) -> None:
        await asyncio.sleep(seconds)
        slept.append(asyncio.get_running_loop().time())

    sleeps(59)
    with pytest.raises(TimeoutError):
        sleeps(seconds=61)
    assert slept == [59]
