"""Work that nobody waits for."""

import asyncio

from callpipe.pipelines.spawned import Spawned
from callpipe.transports.virtual_time import in_virtual_time


@in_virtual_time()
async def test_what_was_begun_is_waited_for_and_what_is_late_cancelled() -> None:
    ended: list[str] = []

    async def work(name: str, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
            ended.append(name)
        except asyncio.CancelledError:
            ended.append(f"{name} cancelled")
            raise

    spawned = Spawned()
    await spawned.done(1.0)
    spawned.begin(work("short", 0.5))
    spawned.begin(work("long", 5.0))
    await spawned.done(1.0)
    await asyncio.sleep(0)
    assert ended == ["short", "long cancelled"]


@in_virtual_time()
async def test_what_is_cancelled_is_done_at_once() -> None:
    spawned = Spawned()
    spawned.begin(asyncio.sleep(60))
    await asyncio.sleep(0)
    spawned.cancel()
    began = asyncio.get_running_loop().time()
    await spawned.done(10.0)
    assert asyncio.get_running_loop().time() == began
