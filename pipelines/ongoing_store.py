"""Keeps ongoing calls on disk, so that a server that died can be followed by one that knows them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loguru import logger
from pydantic import TypeAdapter, ValidationError

from callpipe.processors.disk import open_private

from .bot_profile import BotProfile
from .ongoing import OngoingCall

_CALL = TypeAdapter(OngoingCall)
_BOT = TypeAdapter(BotProfile)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ongoing (call_id TEXT PRIMARY KEY, boot TEXT NOT NULL, call TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS bots (name TEXT PRIMARY KEY, profile TEXT NOT NULL);
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
"""
"""A write has to outlive this process, not the machine: with the machine, its calls are gone too."""

DEADLINE_S = 1.0
"""How long an answer to the carrier waits for a slow disk; the answer matters more than the record of it."""


def boot_id() -> str:
    """Return what names this run of the machine: monotonic times of another mean nothing here."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{time.time() - time.monotonic():.0f}"


class OngoingStore:
    """A SQLite file with the calls that go on, secrets included; mode 0600. One process writes it.

    Args:
        path: The file; made when it is missing.
        boot: Names this run of the machine.
    """

    def __init__(self, path: Path, *, boot: Callable[[], str] = boot_id) -> None:
        self._boot = boot()
        os.close(open_private(path, os.O_RDWR))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ongoing")
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)

    def load(self) -> Iterator[OngoingCall]:
        """Yield the calls of this run of the machine, and forget others. It blocks while it reads."""
        self._database.execute("DELETE FROM ongoing WHERE boot != ?", (self._boot,))
        for call_id, text in self._database.execute("SELECT call_id, call FROM ongoing").fetchall():
            try:
                yield _CALL.validate_json(text)
            except ValidationError:
                logger.error("call {}: what was kept of it can't be read", call_id)

    def bots(self) -> Iterator[BotProfile]:
        """Yield the bots that have answered here, as far as they can be read. It blocks while it reads."""
        for (text,) in self._database.execute("SELECT profile FROM bots").fetchall():
            with contextlib.suppress(ValidationError):
                yield _BOT.validate_json(text)

    async def remember(self, bot: BotProfile) -> None:
        """Keep a bot's profile for a time when none of its processes is there."""
        row = (bot.name, _BOT.dump_json(bot).decode())
        await self._write(bot.name, "INSERT OR REPLACE INTO bots VALUES (?, ?)", row)

    async def save(self, call: OngoingCall) -> None:
        """Write a call down as it is now."""
        text = _CALL.dump_json(call).decode()
        row = (call.call_id, self._boot, text)
        await self._write(call.call_id, "INSERT OR REPLACE INTO ongoing VALUES (?, ?, ?)", row)

    async def forget(self, call_id: str) -> None:
        """Delete a call that is over."""
        await self._write(call_id, "DELETE FROM ongoing WHERE call_id = ?", (call_id,))

    def close(self) -> None:
        """Close the file after what is being written."""
        self._thread.shutdown()
        self._database.close()

    async def _write(self, whose: str, statement: str, row: tuple[str, ...]) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._thread, self._database.execute, statement, row)
        except (sqlite3.Error, TimeoutError) as failure:
            logger.error("{}: its state can't be written: {!r}", whose, failure)
