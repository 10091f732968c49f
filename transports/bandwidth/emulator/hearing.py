"""Turns what a caller hears into words, beside the call's clock."""

from __future__ import annotations

import asyncio

from ...speech.interfaces import Ear
from .narrowband import SAMPLE_RATE
from .ongoing import RunBlocking
from .sightings import Sightings

SHORTEST_MS = 60.0
"""Less than this is no word."""


class Hearing:
    """Understands burst after burst of the bot's speech, in their order.

    Args:
        ear: Understands them; None where nobody listens.
        sightings: Where the words go.
        run_blocking: Runs the ear.
        tasks: What the work runs in.
    """

    def __init__(
        self, ear: Ear | None, sightings: Sightings, run_blocking: RunBlocking, tasks: asyncio.TaskGroup
    ) -> None:
        self._ear = None if sightings.tells_words else ear
        self._sightings = sightings
        self._run_blocking = run_blocking
        self._tasks = tasks
        self._one_by_one = asyncio.Lock()

    def bot_spoke(self, pcm: bytes, began_ms: float) -> None:
        """Take a burst of speech, PCM16 at 8 kHz, and when it began."""
        if self._ear is not None and len(pcm) / 16 >= SHORTEST_MS:
            self._sightings.listening += 1
            self._tasks.create_task(self._understand(self._ear, pcm, began_ms))

    async def finish(self) -> None:
        """Wait until everything is understood."""
        while self._sightings.listening:
            async with self._one_by_one:
                pass
            await asyncio.sleep(0)

    async def _understand(self, ear: Ear, pcm: bytes, began_ms: float) -> None:
        async with self._one_by_one:
            try:
                text = await self._run_blocking(lambda: ear.hear(pcm, SAMPLE_RATE))
                self._sightings.bot_said(text, began_ms)
            finally:
                self._sightings.listening -= 1
