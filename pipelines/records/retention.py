"""Deletes what is kept of calls after so many days: recording, journal, transcript, index row."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loguru import logger

from .call_index import CallIndex, IndexVersionError
from .call_records import CallRecords

SWEEP_INTERVAL_S = 24 * 60 * 60.0

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did.

    Attributes:
        calls: How many calls are gone.
        failed: How many could not be deleted; the next sweep tries again.
    """

    calls: int
    failed: int = 0


def sweep(data_dir: Path, kept_days: int, now: datetime) -> Swept:
    """Delete every call that ended earlier than `kept_days` ago. It blocks.

    A call's age is its newest file's, or its row's where that is newer, so that no call that goes on is ever
    deleted. Files go before their row: a sweep that is killed leaves nothing that the next one does not find.

    Args:
        data_dir: `Settings.data_dir`.
        kept_days: For how many days calls are kept.
        now: With a time zone.

    Raises:
        IndexVersionError: Another version of callpipe made the index.
        sqlite3.Error: The index cannot be used.
        OSError: The folder of calls cannot be read.
    """
    before = now.astimezone(UTC) - timedelta(days=kept_days)
    index, records = CallIndex(data_dir / "calls.sqlite"), CallRecords(data_dir)
    seen = index.last_seen() if index.path.exists() else {}
    rows = {records.folder(call_id): call_id for call_id in seen}
    calls = data_dir / "calls"
    folders = {entry for entry in calls.iterdir() if entry.is_dir()} if calls.is_dir() else set[Path]()
    old = [
        folder
        for folder in folders | rows.keys()
        if max(_changed_at(folder), seen.get(rows.get(folder, ""), LONG_AGO)) < before
    ]
    failed = 0
    for folder in old:
        try:
            if folder in folders:
                shutil.rmtree(folder)
        except OSError as failure:
            logger.error("{} can't be deleted: {}", folder, failure.strerror or type(failure).__name__)
            failed += 1
            continue
        if folder in rows:
            index.forget(rows[folder])
    return Swept(len(old) - failed, failed)


async def sweep_daily(
    data_dir: Path, kept_days: int, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Sweep at once and then every day, until cancelled. What goes wrong is logged, and tried again."""
    while True:
        try:
            swept = await asyncio.to_thread(sweep, data_dir, kept_days, now())
        except (OSError, sqlite3.Error, IndexVersionError) as failure:
            logger.error("old calls can't be deleted: {}", failure)
        else:
            if swept.calls or swept.failed:
                logger.info("{} calls older than {} days are deleted", swept.calls, kept_days)
        await asyncio.sleep(SWEEP_INTERVAL_S)


def _changed_at(folder: Path) -> datetime:
    """Return when anything in a folder was last changed; long ago when there is no such folder."""
    times = [LONG_AGO]
    with suppress(FileNotFoundError):  # another sweep may be faster
        for path in (folder, *folder.iterdir()):
            with suppress(FileNotFoundError):
                times.append(datetime.fromtimestamp(path.lstat().st_mtime, UTC))
    return max(times)
