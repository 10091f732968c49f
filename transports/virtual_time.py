"""An event loop whose clock jumps: an hour of call time runs in seconds, and every run is the same.

For tests and rehearsals. `loop.time` is the clock to pass to whatever takes one. Real sockets and threads
still work, but time does not wait for them, so use `loopback` sockets; for threads it waits where it is asked.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

PATIENCE_S = 5.0
"""How long, in real time, the clock stands still for a thread; one that hangs must not hold it for ever."""

_LOOK_S = 0.02


class _JumpingSelector(selectors.DefaultSelector):  # pyright: ignore[reportUntypedBaseClass, reportGeneralTypeIssues]
    """Instead of waiting for a timer, moves the clock to it.

    Args:
        threads: How many threads the clock has to wait for.
    """

    def __init__(self, threads: Callable[[], int]) -> None:
        super().__init__()
        self.now = 0.0
        self._threads = threads
        self._waiting_since: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            if self._waits():
                return super().select(_LOOK_S)
            self.now += timeout
        return ready

    def _waits(self) -> bool:
        """Say whether the clock stands still for a thread. Once one has hung, no thread is waited for."""
        if not self._threads():
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return time.monotonic() - self._waiting_since < PATIENCE_S


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own that starts at 0.0 s and never waits.

    Args:
        threads: How many threads, beside those of `run_in_executor`, the clock has to wait for at the moment.
            None waits for no thread at all.
    """

    def __init__(self, threads: Callable[[], int] | None = None) -> None:
        self._in_executor = 0
        self._jumping = _JumpingSelector(
            (lambda: 0) if threads is None else lambda: threads() + self._in_executor
        )
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._jumping.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Run a function in a thread, and count it."""
        future = super().run_in_executor(executor, func, *args)
        self._in_executor += 1
        future.add_done_callback(self._left_executor)
        return future

    def _left_executor(self, _: object) -> None:
        self._in_executor -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncio's name
        """Wait for the threads, however long: no virtual deadline tells anything about them."""
        del timeout
        await super().shutdown_default_executor()


def run_virtual(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in virtual time, as `asyncio.run` does in real time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


Test = Callable[..., Coroutine[Any, Any, None]]


def in_virtual_time(*, deadline_s: float | None = None) -> Callable[[Test], Callable[..., None]]:
    """Return a decorator that makes of an async test one that runs in virtual time.

    Args:
        deadline_s: Virtual seconds after which the test fails. None where it waits for a thread: virtual time
            does not, so a deadline would be over at once.
    """

    def decorate(test: Test) -> Callable[..., None]:
        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            run_virtual(asyncio.wait_for(test(*args, **kwargs), deadline_s))

        return run

    return decorate
