"""Small writes to disk without ever holding up the event loop: one thread, a bounded queue, private files."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from loguru import logger

CAPACITY = 16_384
"""Writes that may wait: a recording makes ten a second, of 1.6 kB, so 27 MB at the most."""

GATHER_S = 0.02
"""How long writes gather once none waits, so that the thread wakes 50 times a second and not for each write."""

EXIT_DEADLINE_S = 5.0
"""How long the exit of the process waits for a slow disk."""

Write = Callable[[], None]


class DiskWriter:
    """Runs writes one after the other in a thread of its own.

    May be used from any thread and any event loop. When as many writes wait as may, a new one is refused:
    memory stays bounded and nobody waits for the disk. Whoever submits knows what a refused write means.

    Args:
        capacity: Writes that may wait. Submitters that race may exceed it by one each.
    """

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # SimpleQueue, because its put takes no lock that the thread could hold.
        self._writes: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="disk writer", daemon=True)
        self._thread.start()

    def submit(self, write: Write) -> bool:
        """Queue a write.

        Args:
            write: What to run in the thread. It deals with its own OSError.

        Returns:
            Whether it was taken; False when too many wait.
        """
        if self._closed or self._writes.qsize() >= self._capacity:
            return False
        self._writes.put(write)
        return True

    def submit_last(self, write: Write) -> None:
        """Queue the write that closes a file. It is never refused: there is one for each open file."""
        self._writes.put(write)

    async def flush(self, deadline_s: float) -> bool:
        """Wait until everything queued so far is written.

        Args:
            deadline_s: The longest wait, in seconds of real time whatever the event loop's clock.

        Returns:
            Whether all of it was written in time.
        """
        return await asyncio.to_thread(self.wait, deadline_s)

    def wait(self, deadline_s: float) -> bool:
        """Block until everything queued so far is written; see `flush`."""
        written = threading.Event()
        self._writes.put(written.set)
        return written.wait(deadline_s)

    def close(self, deadline_s: float) -> bool:
        """Refuse new writes, block until those queued are written, and end the thread.

        Returns:
            Whether all of them were written in time.
        """
        self._closed = True
        self._writes.put(None)
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            logger.error("the disk is too slow: about {} writes are lost", self._writes.qsize())
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (write := self._writes.get()) is not None:
            try:
                write()
            except Exception as failure:  # noqa: BLE001  one file's defect must not stop all others
                logger.error("a write to disk failed: {!r}", failure)
            if self._writes.empty():
                time.sleep(GATHER_S)


@functools.cache
def shared_writer() -> DiskWriter:
    """Return this process's writer; what waits when the process exits is written within `EXIT_DEADLINE_S`."""
    writer = DiskWriter()
    atexit.register(writer.close, EXIT_DEADLINE_S)
    return writer


# A forked child has no thread, so it makes a writer of its own.
os.register_at_fork(after_in_child=shared_writer.cache_clear)


def create_private_folder(folder: Path) -> None:
    """Create a folder, and those above it, as far as they are missing, with mode 0700.

    Raises:
        OSError: A folder cannot be created.
    """
    if not folder.is_dir():
        create_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def open_private(path: Path, flags: int) -> int:
    """Open a file that only its owner may read, creating it and its folders when they are missing.

    Args:
        path: The file. Created with mode 0600; missing folders with 0700.
        flags: Of `os.open`; O_CREAT is added.

    Returns:
        The file descriptor.

    Raises:
        OSError: The file or a folder cannot be opened or created.
    """
    create_private_folder(path.parent)
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)


def write_all(descriptor: int, content: bytes, position: int | None = None) -> None:
    """Write all of the content, at a position in bytes or, without one, where the file stands.

    Raises:
        OSError: The disk took only a part, or nothing.
    """
    rest = memoryview(content)
    while rest:
        if position is None:
            written = os.write(descriptor, rest)
        else:
            written = os.pwrite(descriptor, rest, position)
            position += written
        rest = rest[written:]
