"""Writes run in order in one thread, nobody waits for a slow disk, and an exiting process waits in bounds."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callpipe.processors.disk import DiskWriter, open_private, shared_writer, write_all


@pytest.fixture
def writer() -> Iterator[DiskWriter]:
    writer = DiskWriter(capacity=8)
    yield writer
    assert writer.close(5.0)


class Stuck:
    """A disk that does nothing until it is released."""

    def __init__(self, writer: DiskWriter) -> None:
        self._released = threading.Event()
        reached = threading.Event()

        def wait() -> None:
            reached.set()
            self._released.wait(30)

        assert writer.submit(wait)
        reached.wait(5)

    def release(self) -> None:
        self._released.set()


async def test_writes_run_in_order_in_a_thread_of_their_own(writer: DiskWriter) -> None:
    ran: list[tuple[int, str]] = []

    def write(number: int) -> None:
        ran.append((number, threading.current_thread().name))

    for number in range(5):
        assert writer.submit(lambda number=number: write(number))
    assert await writer.flush(5.0)
    assert ran == [(number, "disk writer") for number in range(5)]


def test_a_full_queue_refuses_and_never_waits(writer: DiskWriter) -> None:
    stuck = Stuck(writer)
    ran: list[int] = []
    started = time.monotonic()
    taken = [writer.submit(lambda number=number: ran.append(number)) for number in range(12)]
    writer.submit_last(lambda: ran.append(99))
    assert time.monotonic() - started < 0.5
    assert taken == [True] * 8 + [False] * 4
    assert not writer.wait(0.05)
    stuck.release()
    assert writer.wait(5.0)
    assert ran == [0, 1, 2, 3, 4, 5, 6, 7, 99]
    assert writer.submit(lambda: None)


async def test_a_write_that_raises_does_not_stop_the_others(writer: DiskWriter, logged: list[str]) -> None:
    ran: list[int] = []
    writer.submit(lambda: ran.append(1 // 0))
    writer.submit(lambda: ran.append(2))
    assert await writer.flush(5.0)
    assert ran == [2]
    assert sum("ZeroDivisionError" in message for message in logged) == 1


def test_it_serves_several_event_loops_and_threads(writer: DiskWriter) -> None:
    ran: list[str] = []

    async def main(name: str) -> None:
        assert writer.submit(lambda: ran.append(name))
        assert await writer.flush(5.0)

    threads = [threading.Thread(target=asyncio.run, args=(main(name),)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ran) == ["a", "b", "c"]


def test_closing_gives_up_on_a_stuck_disk_at_its_deadline(logged: list[str]) -> None:
    writer = DiskWriter()
    stuck = Stuck(writer)
    writer.submit(lambda: None)
    started = time.monotonic()
    assert not writer.close(0.1)
    assert 0.1 <= time.monotonic() - started < 2.0
    assert any("too slow" in message for message in logged)
    assert not writer.submit(lambda: None)
    stuck.release()
    assert writer.close(5.0)


def test_the_process_has_one_writer() -> None:
    assert shared_writer() is shared_writer()


EXITING = """
import os, sys, time
from callpipe.processors.disk import shared_writer
def write(number):
    time.sleep(0.02)
    os.write(1, b"%d " % number)
for number in range(10):
    shared_writer().submit(lambda number=number: write(number))
"""

FORKING = """
import os
from callpipe.processors.disk import shared_writer
shared_writer()
child = os.fork()
if child == 0:
    shared_writer().submit(lambda: os.write(1, b"child"))
    os._exit(0 if shared_writer().wait(5.0) else 1)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(("program", "output"), [(EXITING, b"0 1 2 3 4 5 6 7 8 9 "), (FORKING, b"child")])
def test_an_exiting_process_writes_what_waits_and_a_forked_one_has_its_own_writer(
    program: str, output: bytes
) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.stdout == output
    assert done.returncode == 0


def test_a_private_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    descriptor = open_private(path, os.O_RDWR)
    write_all(descriptor, b"hello world")
    write_all(descriptor, b"W", 6)
    os.close(descriptor)
    assert path.read_bytes() == b"hello World"
