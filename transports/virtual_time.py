"""An event loop whose clock jumps: an hour of call time runs in seconds, and every run is the same.

For tests and rehearsals. `loop.time` is the clock to pass to whatever takes one. Real sockets and threads
still work, but time does not wait for them, so use `loopback` sockets.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _JumpingSelector(selectors.DefaultSelector):  # pyright: ignore[reportUntypedBaseClass, reportGeneralTypeIssues]
    """Instead of waiting for a timer, moves the clock to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own that starts at 0.0 s and never waits."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._jumping.now

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
