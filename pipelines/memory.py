"""What a process has of the machine's memory."""

from __future__ import annotations

import resource
from pathlib import Path


def rss_bytes() -> int:
    """Return the memory of this process that is in the machine's. It blocks while it reads."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()
