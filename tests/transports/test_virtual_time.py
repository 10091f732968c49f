"""An hour passes in no time, in the right order."""

import asyncio
import time

import pytest

from callpipe.transports import virtual_time
from callpipe.transports.virtual_time import VirtualTimeLoop, in_virtual_time, run_virtual


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


def test_time_stands_still_for_a_thread_where_it_is_asked_to() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        working = asyncio.ensure_future(asyncio.to_thread(time.sleep, 0.1))
        done, _ = await asyncio.wait({working}, timeout=0.05)
        assert done
        return loop.time()

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(lambda: 0)) as runner:
        assert runner.run(main()) == 0.0


def test_time_goes_on_when_a_thread_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "PATIENCE_S", 0.1)

    async def main() -> float:
        began = time.monotonic()
        await asyncio.sleep(60)
        await asyncio.sleep(60)
        return time.monotonic() - began

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(lambda: 1)) as runner:
        assert 0.1 <= runner.run(main()) < 0.2
