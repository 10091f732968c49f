"""Makes sure that a process is dead."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from contextlib import suppress

from loguru import logger

DEATH_DEADLINE_S = 2.0
"""How long a killed process may take to be gone."""


def is_gone(process: int) -> bool:
    """Whether a process has exited.

    Args:
        process: Its pidfd.
    """
    looked_at = select.poll()
    looked_at.register(process, select.POLLIN)
    return bool(looked_at.poll(0))


async def gone(process: int) -> None:
    """Kill a process and wait until it is gone.

    Args:
        process: Its pidfd, which is closed then.
    """
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(process, gone.set)
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
        await asyncio.wait_for(gone.wait(), DEATH_DEADLINE_S)
    except TimeoutError:
        logger.error("a killed runner is still there after {:.0f} s", DEATH_DEADLINE_S)
    finally:
        loop.remove_reader(process)
        os.close(process)
