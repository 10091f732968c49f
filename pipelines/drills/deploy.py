"""The deploy drill: a bot is reloaded with changed code under calls that go on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from callpipe.transports.bandwidth.emulator import Caller, CallReport, parse_script
from callpipe.transports.speech.tones import ToneVoice

from ..records.journal import read_journal
from ..runners.control import ask_to_reload
from ..waiting import until
from .stage import DRILLED_BOT, Serving

RINGING_S = 30.0
"""How long the calls may take to be answered."""

SCRIPT = """
steps:
  - wait_for_bot
  - say: tell me a story
  - wait_for_bot: {quiet_ms: 1500, deadline_s: 30}
  - say: goodbye
  - wait_for_hang_up
"""


@dataclass(frozen=True, slots=True)
class Deploy:
    """A reload under calls.

    Attributes:
        before: Calls that went on when the bot was reloaded.
        after: Calls that came afterwards.
        dropped: Those of both that ended other than by their goodbye, or changed their process.
        on_old: How many of the calls before it were on the old version to their end.
        on_new: How many of the calls after it were on the new version.
    """

    before: int
    after: int
    dropped: int
    on_old: int
    on_new: int

    @property
    def kept(self) -> bool:
        """Whether no call was dropped, and each was on the version it should be."""
        return self.dropped == 0 and (self.on_old, self.on_new) == (self.before, self.after)


def changeable_bot(folder: Path) -> Path:
    """Return a copy of the drilled bot, to be changed. It blocks while it copies."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(DRILLED_BOT, folder / DRILLED_BOT.name))


async def deploy(serving: Serving, bot: Path, *, before: int = 20, after: int = 5) -> Deploy:
    """Reload a bot under calls.

    Args:
        serving: Who serves it.
        bot: Its file, which is changed.
        before: How many calls go on meanwhile.
        after: How many come afterwards.
    """
    carrier = serving.carrier()
    ongoing = [asyncio.create_task(carrier.place_call(_caller())) for _ in range(before)]
    await until(lambda: len(carrier.live) >= before, RINGING_S)
    await asyncio.to_thread(_change, bot)
    version = await ask_to_reload(serving.data_dir, "drilled")
    later = [asyncio.create_task(carrier.place_call(_caller())) for _ in range(after)]
    reports = await asyncio.gather(*ongoing, *later)
    versions = [await asyncio.to_thread(_versions, serving, report) for report in reports]
    return Deploy(
        before,
        after,
        dropped=sum(report.ending.ended_by != "bot" or bool(report.streams_lost_at) for report in reports),
        on_old=sum(version not in each for each in versions[:before]),
        on_new=sum(each == {version} for each in versions[before:]),
    )


def _caller() -> Caller:
    return Caller(parse_script(SCRIPT), ToneVoice())


def _change(bot: Path) -> None:
    bot.write_text(bot.read_text() + "\n# Changed.\n")


def _versions(serving: Serving, report: CallReport) -> set[str]:
    """Return the versions of the bot that a call's generations ran."""
    path = serving.data_dir / "calls" / report.call_id / "journal.jsonl"
    return _named(event for event in read_journal(path) if event["event"] == "generation_began")


def _named(events: Iterable[dict[str, str]]) -> set[str]:
    return {event["bot_version"] for event in events}
