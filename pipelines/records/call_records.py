"""Where calls are written down: a folder a call, and an index of all of them."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loguru import logger

from callpipe.processors.disk import Write, open_private, shared_writer, write_all
from callpipe.processors.wav import StereoWavWriter
from callpipe.transports.restored import Restored

from ..bot_profile import BotProfile
from ..errors import UnknownCallError
from ..ongoing import OngoingCall
from .call_index import CallIndex, IndexedCall
from .journal import CallFigures, Journal, figures, read_journal, transcript
from .restore import restore

RESTORE_DEADLINE_S = 0.3
"""How long a call that goes on waits for a slow disk."""

FLUSH_DEADLINE_S = 5.0
"""How long the end of a call waits for a slow disk."""

MAX_CALLS_OF_A_DAY = 100_000

_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class CallRecords:
    """The records of calls below one data directory.

    Args:
        data_dir: The directory; made when it is missing.
        clock: Monotonic seconds.

    Attributes:
        summed_up: Told of each call that is over, on the disk's thread: its bot, and its figures.
    """

    def __init__(self, data_dir: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._calls = data_dir / "calls"
        self._index = CallIndex(data_dir / "calls.sqlite")
        self._clock = clock
        self.summed_up: Callable[[str, CallFigures], None] = _nobody_counts

    def folder(self, call_id: str) -> Path:
        """Return where a call's files are kept. An id that is no plain file name is kept by its hash."""
        plain = _PLAIN_ID.fullmatch(call_id)
        return self._calls / (call_id if plain else hashlib.sha256(call_id.encode()).hexdigest()[:32])

    def today(self) -> list[IndexedCall]:
        """Return the calls that began today, in UTC, and some before. It blocks while it reads."""
        return self._index.recent(MAX_CALLS_OF_A_DAY)

    def journal(self, ongoing: OngoingCall) -> Journal:
        """Return a call's journal, which several processes may write; its time is the call's."""
        path = self.folder(ongoing.call_id) / "journal.jsonl"
        return Journal(path, call_id=ongoing.call_id, began_at=ongoing.answered_at, clock=self._clock)

    async def restored(self, call_id: str) -> Restored:
        """Return what a call's conversation has come to, as its journal tells.

        An own earlier generation's last events are waited for, but no longer than a caller can be kept waiting.
        """
        if not await shared_writer().flush(RESTORE_DEADLINE_S):
            logger.error("call {}: the disk is too slow; its last words may be missing", call_id)
        return await asyncio.to_thread(self._restored, call_id)

    def _restored(self, call_id: str) -> Restored:
        try:
            return restore(read_journal(self.folder(call_id) / "journal.jsonl"))
        except OSError as failure:
            logger.error("call {}: its conversation can't be restored: {}", call_id, failure)
            return Restored()

    def note(self, call_id: str, event: str, **fields: object) -> None:
        """Write an event into the journal of a call that may be over; nothing where the call has no journal."""
        path = self.folder(call_id) / "journal.jsonl"

        def write() -> None:
            if path.exists():
                journal = Journal(path, call_id=call_id, clock=self._clock, writer=_AtOnce())
                journal.write(event, at=None, **fields)
                journal.close()

        _on_disk(call_id, write)

    def begin(self, bot: BotProfile, ongoing: OngoingCall, *, recorded: bool) -> Journal:
        """Begin a call's journal and enter the call into the index."""
        journal = self.journal(ongoing)
        journal.write(
            "call_started",
            call_id=ongoing.call_id,
            bot=bot.name,
            bot_version=bot.version,
            direction=ongoing.parties.direction,
        )
        enter = functools.partial(self._enter, ongoing, bot.version, datetime.now(UTC), recorded=recorded)
        _on_disk(ongoing.call_id, enter)
        return journal

    def _enter(self, ongoing: OngoingCall, bot_version: str, started_at: datetime, *, recorded: bool) -> None:
        """Enter a call into the index."""
        folder = self.folder(ongoing.call_id)
        self._index.started(
            ongoing.call_id,
            bot=ongoing.bot,
            bot_version=bot_version,
            direction=ongoing.parties.direction,
            started_at=started_at,
            recording=folder / "recording.wav" if recorded else None,
            journal=folder / "journal.jsonl",
            transcript=folder / "transcript.txt",
        )

    async def end(self, ongoing: OngoingCall, journal: Journal, reason: str) -> None:
        """Close a call's journal, write its transcript and its figures."""
        journal.write("call_ended", reason=reason)
        journal.close()
        await self.sum_up(ongoing, reason)

    def has_ended(self, call_id: str) -> bool:
        """Whether a call's journal tells of its end. It blocks while it reads."""
        try:
            events = read_journal(self.folder(call_id) / "journal.jsonl")
            return any(event["event"] == "call_ended" for event in events)
        except OSError:
            return False

    async def sum_up(self, ongoing: OngoingCall, reason: str) -> None:
        """Write the transcript and the figures of a call whose journal is closed."""
        _on_disk(ongoing.call_id, functools.partial(self._sum_up, ongoing, reason))
        await shared_writer().flush(FLUSH_DEADLINE_S)

    def _sum_up(self, ongoing: OngoingCall, reason: str) -> None:
        folder = self.folder(ongoing.call_id)
        events = list(read_journal(folder / "journal.jsonl"))
        descriptor = open_private(folder / "transcript.txt", os.O_WRONLY | os.O_TRUNC)
        try:
            write_all(descriptor, transcript(events).encode())
        finally:
            os.close(descriptor)
        come_to = figures(events)
        self.summed_up(ongoing.bot, come_to)
        recording = folder / "recording.wav"
        ended = functools.partial(
            self._index.ended, ongoing.call_id, ended_at=datetime.now(UTC), reason=reason, figures=come_to
        )
        try:
            ended()
        except UnknownCallError:  # the process that began the call died before it had entered it
            version, began = _beginning(events)
            self._enter(ongoing, version, began, recorded=recording.exists())
            ended()
        _complete(recording, events)


def _beginning(events: Sequence[Mapping[str, Any]]) -> tuple[str, datetime]:
    """Return the bot's version and when the call began, as far as its journal tells."""
    began = datetime.fromisoformat(events[0]["time"]) if events else datetime.now(UTC)
    versions = [event["bot_version"] for event in events if event["event"] == "call_started"]
    return next(iter(versions), "unknown"), began


def _complete(recording: Path, events: Sequence[Mapping[str, Any]]) -> None:
    """Let a recording last as long as the call did, when the last process that wrote it was killed."""
    told = [event for event in events if event["event"] in ("media_started", "media_stopped", "runner_died")]
    streams = [number for number, event in enumerate(told) if event["event"] == "media_started"]
    ended = told[streams[-1] + 1] if streams and streams[-1] + 1 < len(told) else None
    if ended is not None and ended["event"] == "runner_died" and recording.exists():
        writer = StereoWavWriter(recording, 0.0)
        try:
            writer.lengthen(datetime.fromisoformat(ended["time"]).timestamp())
        finally:
            writer.close()


class _AtOnce:
    """Writes at once, for what is done on the disk's thread already."""

    def submit(self, write: Write) -> bool:
        write()
        return True

    def submit_last(self, write: Write) -> None:
        write()


def _on_disk(call_id: str, work: Callable[[], None]) -> None:
    """Have the disk's thread do something. A call goes on without its record rather than ending for it."""

    def guarded() -> None:
        try:
            work()
        except Exception as failure:  # noqa: BLE001  a full disk, a locked or broken index: the call matters more
            logger.error("call {}: its record can't be written: {!r}", call_id, failure)

    if not shared_writer().submit(guarded):
        logger.error("call {}: its record can't be written: the disk is too slow", call_id)


def _nobody_counts(_bot: str, _figures: CallFigures) -> None:
    """Until somebody wants to know, figures are for the index alone."""
