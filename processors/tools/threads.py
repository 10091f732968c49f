"""Runs a blocking function beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_running: set[int] = set()


def running_threads() -> int:
    """Return how many functions run in threads of `run_in_thread` at the moment."""
    return len(_running)


def run_in_thread(function: Callable[[], Result], *, name: str) -> asyncio.Future[Result]:
    """Start a thread of its own for a function and return its result to be.

    The thread is a daemon: a function that never returns does not hold up the process's end, as it would in an
    executor, and takes no worker from others. Nothing here bounds the threads; the caller does.

    Args:
        function: What to run. It must not raise: a future can't carry every exception.
        name: The thread's name.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Result] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(value: Result) -> None:
        if not result.done():
            result.set_result(value)

    def work() -> None:
        value = context.run(function)
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits any more
            loop.call_soon_threadsafe(deliver, value)
        _running.discard(id(result))

    _running.add(id(result))
    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError:
        _running.discard(id(result))
        raise
    return result
