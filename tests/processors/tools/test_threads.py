"""Blocking functions beside the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading

from callpipe.processors.tools.threads import run_in_thread, running_threads

caller = contextvars.ContextVar("caller", default="nobody")


async def test_the_function_runs_in_a_daemon_thread_with_the_callers_context() -> None:
    caller.set("somebody")

    def look() -> tuple[str, str, bool]:
        thread = threading.current_thread()
        return caller.get(), thread.name, thread.daemon

    assert await run_in_thread(look, name="looking") == ("somebody", "looking", True)


async def test_a_result_nobody_waits_for_any_more_is_discarded() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    release = threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        release.wait(10)

    result = run_in_thread(work, name="late")
    result.cancel()
    release.set()
    while not threads:
        await asyncio.sleep(0.001)
    await asyncio.to_thread(threads[0].join, 10)
    await asyncio.sleep(0)
    assert result.cancelled()
    assert not faults


def test_a_thread_may_outlive_the_loop() -> None:
    release = threading.Event()
    raised: list[object] = []
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        release.wait(10)

    async def begin() -> None:
        run_in_thread(work, name="outliving")
        while not threads:
            await asyncio.sleep(0.001)

    previous, threading.excepthook = threading.excepthook, raised.append
    try:
        asyncio.run(begin())
        release.set()
        threads[0].join(10)
    finally:
        threading.excepthook = previous
    assert not threads[0].is_alive()
    assert not raised


async def test_functions_that_run_are_counted() -> None:
    release = threading.Event()
    results = [run_in_thread(release.wait, name="waiting") for _ in range(3)]
    assert running_threads() == 3
    release.set()
    await asyncio.gather(*results)
    async with asyncio.timeout(5):
        while running_threads():
            await asyncio.sleep(0.01)
