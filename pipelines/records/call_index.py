"""The index of all calls on this machine: when, which bot, how they went, where their files are."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from callpipe.processors.disk import create_private_folder
from callpipe.transports.errors import Fault

from ..errors import PipelinesError, UnknownCallError
from .journal import CallFigures

SCHEMA_VERSION = 1
"""Kept in the file as SQLite's user_version."""

BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process's."""

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
CREATE TABLE calls (
    call_id TEXT PRIMARY KEY,
    bot TEXT NOT NULL,
    bot_version TEXT NOT NULL,
    direction TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    duration_s REAL,
    reason TEXT,
    turns INTEGER,
    tool_calls INTEGER,
    barge_ins INTEGER,
    cost_usd REAL,
    recording TEXT,
    journal TEXT,
    transcript TEXT
);
CREATE INDEX calls_by_start ON calls (started_at);
PRAGMA user_version = {SCHEMA_VERSION};
"""


class IndexVersionError(PipelinesError):
    """The index was made by another version of callpipe, with other columns.

    Attributes:
        path: The index.
        found: The schema version of the file.
    """

    fault = Fault.OPERATOR

    def __init__(self, path: Path, found: int) -> None:
        super().__init__(f"{path} has schema version {found}, and this callpipe knows {SCHEMA_VERSION}")
        self.path = path
        self.found = found


@dataclass(frozen=True, slots=True)
class IndexedCall:
    """A call as the index keeps it; what is only known at its end is None before. No phone numbers.

    Attributes:
        call_id: The carrier's id.
        bot: The bot's name.
        bot_version: The bot's version.
        direction: ``inbound`` or ``outbound``.
        started_at: ISO 8601, UTC.
        ended_at: ISO 8601, UTC.
        duration_s: See `CallFigures`, as the figures below.
        reason: Why the call ended.
        turns: How often the caller spoke.
        tool_calls: How many tools were called.
        barge_ins: How often the caller cut in.
        cost_usd: What the model cost.
        recording: The WAV file; None when the call is not recorded.
        journal: The journal.
        transcript: The transcript's file.
    """

    call_id: str
    bot: str
    bot_version: str
    direction: str
    started_at: str
    ended_at: str | None
    duration_s: float | None
    reason: str | None
    turns: int | None
    tool_calls: int | None
    barge_ins: int | None
    cost_usd: float | None
    recording: str | None
    journal: str | None
    transcript: str | None


_COLUMNS = ", ".join(field.name for field in fields(IndexedCall))


class CallIndex:
    """A table of calls in an SQLite file, shared by all processes of a machine.

    Every method opens the file, makes one statement and closes it, so any thread and any process may use it
    at any time. All of them block, up to `BUSY_TIMEOUT_S`: on an event loop call them through
    `asyncio.to_thread`.

    Args:
        path: The file; created with mode 0600, its missing folders with 0700.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def started(
        self,
        call_id: str,
        *,
        bot: str,
        bot_version: str,
        direction: str,
        started_at: datetime,
        recording: Path | None = None,
        journal: Path | None = None,
        transcript: Path | None = None,
    ) -> None:
        """Enter a call. A call that is known, because a later generation of it starts, stays as it is.

        Args:
            call_id: The carrier's id.
            bot: The bot's name.
            bot_version: The bot's version.
            direction: ``inbound`` or ``outbound``.
            started_at: With a time zone.
            recording: The WAV file; None when the call is not recorded.
            journal: The journal.
            transcript: The transcript's file.

        Raises:
            IndexVersionError: Another version of callpipe made the file.
            sqlite3.Error: The file cannot be used.
        """
        files = [str(file) if file else None for file in (recording, journal, transcript)]
        with self._opened() as database:
            database.execute(
                "INSERT INTO calls"
                " (call_id, bot, bot_version, direction, started_at, recording, journal, transcript)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (call_id) DO NOTHING",
                (call_id, bot, bot_version, direction, _utc(started_at), *files),
            )

    def ended(self, call_id: str, *, ended_at: datetime, reason: str, figures: CallFigures) -> None:
        """Enter how a call went; when it is told twice, the later one holds.

        Args:
            call_id: The carrier's id.
            ended_at: With a time zone.
            reason: Why it ended.
            figures: What its journal adds up to.

        Raises:
            UnknownCallError: The call was never entered.
            IndexVersionError: Another version of callpipe made the file.
            sqlite3.Error: The file cannot be used.
        """
        with self._opened() as database:
            updated = database.execute(
                "UPDATE calls SET ended_at = ?, duration_s = ?, reason = ?, turns = ?, tool_calls = ?,"
                " barge_ins = ?, cost_usd = ? WHERE call_id = ?",
                (
                    _utc(ended_at),
                    figures.duration_s,
                    reason,
                    figures.turns,
                    figures.tool_calls,
                    len(figures.barge_ins),
                    figures.cost_usd,
                    call_id,
                ),
            )
            if updated.rowcount == 0:
                raise UnknownCallError(call_id)

    def recent(self, limit: int = 20) -> list[IndexedCall]:
        """Return the calls that started last, the latest first.

        Raises:
            IndexVersionError: Another version of callpipe made the file.
            sqlite3.Error: The file cannot be used.
        """
        with self._opened() as database:
            found = database.execute(
                f"SELECT {_COLUMNS} FROM calls ORDER BY started_at DESC, call_id LIMIT ?",  # noqa: S608  our names
                (limit,),
            )
            return [IndexedCall(*row) for row in found]

    def find(self, prefix: str, limit: int = 20) -> list[IndexedCall]:
        """Return the calls whose id begins so, the latest first.

        Raises:
            IndexVersionError: Another version of callpipe made the file.
            sqlite3.Error: The file cannot be used.
        """
        with self._opened() as database:
            found = database.execute(
                f"SELECT {_COLUMNS} FROM calls WHERE substr(call_id, 1, ?) = ?"  # noqa: S608  our names
                " ORDER BY started_at DESC, call_id LIMIT ?",
                (len(prefix), prefix, limit),
            )
            return [IndexedCall(*row) for row in found]

    def last_seen(self) -> dict[str, datetime]:
        """Return every call's id with when it ended, or began where it has no end.

        Raises:
            IndexVersionError: Another version of callpipe made the file.
            sqlite3.Error: The file cannot be used.
        """
        with self._opened() as database:
            found = database.execute("SELECT call_id, coalesce(ended_at, started_at) FROM calls")
            return {call_id: datetime.fromisoformat(moment) for call_id, moment in found}

    def forget(self, call_id: str) -> None:
        """Delete a call's row; one that is not there is no error.

        Raises:
            IndexVersionError: Another version of callpipe made the file.
            sqlite3.Error: The file cannot be used.
        """
        with self._opened() as database:
            database.execute("DELETE FROM calls WHERE call_id = ?", (call_id,))

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        if not self.path.exists():
            self._make()
        database = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            found = _version(database)
            if found != SCHEMA_VERSION:
                raise IndexVersionError(self.path, found)
            yield database
        finally:
            database.close()

    def _make(self) -> None:
        """Make the index under another name, then give it its own, unless another process was faster.

        Two processes that make one file at the same time would get "database is locked" from the change to
        WAL, whatever the timeout. And SQLite's locks end when the process closes any descriptor of the file,
        so it is created and closed before anybody can have opened it.
        """
        create_private_folder(self.path.parent)
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        os.close(descriptor)
        made = Path(name)
        try:
            with closing(sqlite3.connect(made, isolation_level=None)) as database:
                database.executescript(_SCHEMA)
            with suppress(FileExistsError):
                self.path.hardlink_to(made)
        finally:
            made.unlink()


def _version(database: sqlite3.Connection) -> int:
    row: tuple[int] = database.execute("PRAGMA user_version").fetchone()
    return row[0]


def _utc(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("a call's times have a time zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
