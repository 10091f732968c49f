"""Waiting for what tells nobody when it comes about."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LOOK_AGAIN_S = 0.05


async def until(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Wait until a condition holds; return whether it does when it is left off.

    Args:
        condition: Looked at every `LOOK_AGAIN_S`.
        deadline_s: After so many seconds it is left off.
    """
    deadline = time.monotonic() + deadline_s
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110  nobody sets an event for it
        await asyncio.sleep(LOOK_AGAIN_S)
    return condition()
