"""Starts processes of callers, and takes what they tell of the calls that are over."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path

from callers import CallResult, Load

CALLS_OF_A_PROCESS = 50
"""What one process of callers carries on its core with its packets in time."""

MAX_LINE_BYTES = 8 * 1024 * 1024


@asynccontextmanager
async def calling(load: Load, over: Callable[[CallResult], None]) -> AsyncGenerator[list[asyncio.Task[None]]]:
    """Have callers call, in this context.

    Args:
        load: What they do, together.
        over: Told of each call that is over.

    Yields:
        A task for each process, done when its last call is over.
    """
    number = -(-load.calls // CALLS_OF_A_PROCESS)
    parts = [_part(load, place, number) for place in range(number)]
    processes = [await _start(part) for part in parts]
    tasks = [asyncio.create_task(_read(process, over)) for process in processes]
    try:
        yield tasks
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
        await asyncio.gather(*tasks, return_exceptions=True)


def _part(load: Load, place: int, number: int) -> Load:
    """Return one process's part of the load."""
    count = None if load.count is None else (load.count + place) // number
    return replace(load, calls=(load.calls + place) // number, count=count, seed=load.seed * 1_000 + place)


async def _start(load: Load) -> Process:
    words = [sys.executable, str(Path(__file__).with_name("callers.py")), json.dumps(asdict(load))]
    return await asyncio.create_subprocess_exec(*words, stdout=PIPE, limit=MAX_LINE_BYTES)


async def _read(process: Process, over: Callable[[CallResult], None]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        over(CallResult(**json.loads(line)))
    if await process.wait():
        raise RuntimeError(f"a process of callers exited with status {process.returncode}")
