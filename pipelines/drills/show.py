"""The drills that `callpipe demo` knows, shown as tables; each fails where a promise is broken."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..runners.fleet import HEARTBEAT_S
from .crash import BOT_QUIET_MS, Crash, Strike, crashes, hang_runner, kill_runner, kill_server
from .deploy import changeable_bot, deploy
from .stage import DrillError, serving

NOTICED_S = HEARTBEAT_S + 0.5
"""What it takes at most to notice a hung runner."""

HANGING_MS = 9_000
"""A caller who speaks into a line whose process hangs is not heard, so these callers wait that long."""

Told = Mapping[str, Any]
Show = Callable[[Console], Awaitable[Told]]


@dataclass(frozen=True, slots=True)
class Drill:
    """Something that a demo does to the processes of calls.

    Attributes:
        what: What happens, for people.
        show: Does and shows it; returns its figures, `kept` among them.
    """

    what: str
    show: Show


async def run_drill(name: str, console: Console, json_path: Path | None) -> None:
    """Run a drill, show it, and write its figures.

    Args:
        name: One of `DRILLS`.
        console: Where to show it.
        json_path: Where to write the figures; None writes none.

    Raises:
        DrillError: A promise was not kept, or nothing could be measured.
    """
    drill = DRILLS[name]
    console.print(f"{drill.what} Calls are emulated; the processes are real.\n", soft_wrap=True)
    told = await drill.show(console)
    if json_path is not None:
        await asyncio.to_thread(json_path.write_text, json.dumps(told, indent=2) + "\n")
    if not told["kept"]:
        raise DrillError("a promise was not kept; the table says which")


def _striking(strike: Strike, count: int, kept: Callable[[Crash], bool], quiet_ms: int = BOT_QUIET_MS) -> Show:
    async def show(console: Console) -> Told:
        with tempfile.TemporaryDirectory(prefix="callpipe-drill-") as folder:
            async with serving(Path(folder)) as served:
                done = await crashes(served, count, strike=strike, quiet_ms=quiet_ms)
        _show_crashes(console, done, kept)
        return {"kept": all(map(kept, done)), "calls": [{**asdict(each), "kept": kept(each)} for each in done]}

    return show


def _show_crashes(console: Console, done: Sequence[Crash], kept: Callable[[Crash], bool]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("struck in a", "after", "phrase heard after", "model heard after", "word", "ended", ""):
        table.add_column(heading, justify="right" if "after" in heading else "left")
    for each in done:
        word = "remembered" if each.remembered else "forgotten"
        ended = each.ending or "goodbye"
        times = (f"{each.offset_s:.1f} s", _seconds(each.phrase_s), _seconds(each.voice_s))
        table.add_row(each.moment, *times, word, ended, "kept" if kept(each) else "[red]BROKEN")
    console.print(table)
    heard = [(each.phrase_s, each.voice_s) for each in done if each.phrase_s and each.voice_s]
    if heard:
        phrase_s, voice_s = (max(times) for times in zip(*heard, strict=True))
        console.print(
            f"\nAt the worst the phrase came after {phrase_s:.2f} s, the model after {voice_s:.2f} s."
        )


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"


async def _deploy(console: Console) -> Told:
    with tempfile.TemporaryDirectory(prefix="callpipe-drill-") as folder:
        bot = await asyncio.to_thread(changeable_bot, Path(folder) / "bots")
        async with serving(Path(folder) / "data", bots=[bot]) as served:
            done = await deploy(served, bot)
    console.print(
        f"Calls that went on while the bot was reloaded: {done.before}; on the old code: {done.on_old}."
    )
    console.print(f"Calls that came afterwards: {done.after}; on the new code: {done.on_new}.")
    console.print(f"Dropped: {done.dropped}.")
    return {"kept": done.kept, **asdict(done)}


DRILLS: Mapping[str, Drill] = {
    "crash": Drill(
        "The process of each of 20 calls is killed at a random moment.",
        _striking(kill_runner, 20, lambda done: done.kept()),
    ),
    "hang": Drill(
        "The process of each of 3 calls hangs at a random moment.",
        _striking(hang_runner, 3, lambda done: done.kept(NOTICED_S), HANGING_MS),
    ),
    "server": Drill(
        "The server is killed in the middle of each of 3 calls.",
        _striking(kill_server, 3, lambda done: done.unnoticed),
    ),
    "deploy": Drill("A bot is reloaded with changed code under 20 calls.", _deploy),
}
"""What is shipped, by name."""
