"""What the kernel tells of processes: processor time and descriptors."""

import os
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used; 0.0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def descriptors(pid: int) -> int:
    """Return how many open files and sockets a process has.

    Raises:
        OSError: It is gone.
    """
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
