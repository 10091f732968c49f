"""What the kernel tells of processes: processor time, memory, descriptors."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """What a process holds.

    Attributes:
        rss_bytes: Its memory.
        descriptors: Its open files and sockets.
    """

    rss_bytes: int
    descriptors: int


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used; 0.0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def usage(pid: int) -> Usage:
    """Return what a process holds.

    Raises:
        OSError: It is gone.
    """
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Usage(pages * PAGE_BYTES, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()))
