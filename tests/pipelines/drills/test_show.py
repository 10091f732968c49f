"""A drill that breaks a promise fails, and what it measured is written all the same."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from rich.console import Console

from callpipe.pipelines.drills import show
from callpipe.pipelines.drills.crash import Crash
from callpipe.pipelines.drills.stage import DrillError

GOOD = Crash("sentence", 0.5, 0.4, 1.2, remembered=True, told=True)
SILENT = Crash("tool", 1.0, None, None, remembered=False, told=False, ending="the caller gave up")


@pytest.fixture(autouse=True)
def unwatched(blockbuster: BlockBuster) -> None:
    """A drill's command has nothing else to do while it makes its folder."""
    blockbuster.deactivate()


@asynccontextmanager
async def no_processes(*_folder: Path, **_bots: object) -> AsyncGenerator[None]:
    yield


async def shown(name: str, folder: Path) -> str:
    console = Console(record=True, width=160)
    try:
        await show.run_drill(name, console, folder / "told.json")
    except DrillError as broken:
        console.print(str(broken))
    return console.export_text()


@pytest.mark.parametrize(
    ("done", "kept", "worst"),
    [
        ([GOOD, GOOD], [True, True], "the phrase came after 0.40 s, the model after 1.20 s"),
        ([GOOD, SILENT], [True, False], "the phrase came after 0.40 s, the model after 1.20 s"),
        ([SILENT], [False], ""),
    ],
)
async def test_each_call_and_the_worst_of_them_are_shown(
    done: Sequence[Crash],
    kept: list[bool],
    worst: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def crashes(*_words: object, **_options: object) -> Sequence[Crash]:
        return done

    monkeypatch.setattr(show, "serving", no_processes)
    monkeypatch.setattr(show, "crashes", crashes)
    text = await shown("crash", tmp_path)
    told = json.loads((tmp_path / "told.json").read_bytes())
    assert [call["kept"] for call in told["calls"]] == kept
    assert told["kept"] is all(kept)
    assert ("a promise was not kept" in text) is not all(kept)
    assert text.count("BROKEN") == kept.count(False)
    assert worst in text
    assert ("At the worst" in text) is bool(worst)
