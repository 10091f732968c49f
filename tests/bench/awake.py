"""Keeps cores from sleeping while they are measured.

A virtual core that halts is woken by its host: that takes the guest 15 microseconds of CPU more each time and
sometimes milliseconds, as long as the host likes. It is neither a system's doing nor its merit, so a process of
the idle class, which gives way to every other, spins on each core in all measurements.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator, Iterable

SPIN = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextlib.contextmanager
def kept_awake(cores: Iterable[int]) -> Generator[None]:
    """Keep some cores awake. The processes end with this one, whatever becomes of it."""
    spinning = [_spin_on(core) for core in cores]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def _spin_on(core: int) -> subprocess.Popen[bytes]:
    def give_way() -> None:
        os.sched_setaffinity(0, {core})
        os.nice(19)  # niced time is not counted as other processes' work
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    return subprocess.Popen([sys.executable, "-ISc", SPIN], preexec_fn=give_way)  # noqa: PLW1509  no threads yet
