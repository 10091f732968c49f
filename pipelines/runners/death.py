"""Makes sure that a process is dead."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

from loguru import logger

DEATH_DEADLINE_S = 2.0
"""How long a killed process may take to be gone."""


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
