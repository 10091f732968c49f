"""Work that nobody waits for: begun, kept until it is done, and cancelled with whoever began it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


class Spawned:
    """The tasks that somebody has begun and that are not done. The event loop alone would not keep them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[None]] = set()

    def begin(self, work: Awaitable[None]) -> asyncio.Future[None]:
        """Do something that nobody has to wait for."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Cancel all that is not done."""
        for task in self._tasks:
            task.cancel()

    async def done(self, deadline_s: float) -> None:
        """Wait until all is done, and cancel what is not in time."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=deadline_s)
            for task in late:
                task.cancel()
