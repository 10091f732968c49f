"""A call's folder belongs to one runner at a time; the kernel takes it from one that dies."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from pathlib import Path

from callpipe.processors.disk import open_private

from ..errors import PipelinesError

PATIENCE_S = 3.0
"""How long a runner waits for another one to let go of a call; the dead let go at once."""

LOOK_AGAIN_S = 0.01


class CallTakenError(PipelinesError):
    """Another runner still writes a call's journal and recording."""


class Ownership:
    """The folders of the calls that this process has."""

    def __init__(self) -> None:
        self._locks: dict[Path, int] = {}

    async def take(self, folder: Path, *, patience_s: float = PATIENCE_S) -> None:
        """Make a call's folder this process's own.

        Raises:
            CallTakenError: Another process has it, and keeps it.
            OSError: The disk does not let us.
        """
        if folder not in self._locks:
            self._locks[folder] = await asyncio.to_thread(_lock, folder / "journal.jsonl", patience_s)

    def release(self, folder: Path) -> None:
        """Let another process have a call's folder."""
        descriptor = self._locks.pop(folder, None)
        if descriptor is not None:
            os.close(descriptor)


def _lock(path: Path, patience_s: float) -> int:
    descriptor = open_private(path, os.O_RDWR)
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise CallTakenError(f"another runner has {path.parent.name}") from None
            time.sleep(LOOK_AGAIN_S)
        else:
            return descriptor
