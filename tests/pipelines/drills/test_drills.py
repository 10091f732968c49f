"""Processes die, hang and are replaced in the middle of calls, and the calls go on."""

import asyncio
from pathlib import Path

import pytest

from callpipe.pipelines.drills import crash
from callpipe.pipelines.drills.deploy import changeable_bot, deploy
from callpipe.pipelines.drills.stage import serving
from callpipe.pipelines.journal import read_journal

pytestmark = pytest.mark.timeout(300)


def _journals(calls: Path) -> list[list[str]]:
    paths = calls.glob("*/journal.jsonl")
    return [[event["event"] for event in read_journal(path)] for path in paths]


async def test_a_call_outlives_the_processes_that_run_it(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as served:
        done = await crash.crashes(served, len(crash.ASKED), seed=1)
    for each in done:
        assert not each.ending, each
        assert each.remembered, each
        assert each.told, each
        assert each.phrase_s is not None, each
    journals = await asyncio.to_thread(_journals, tmp_path / "data" / "calls")
    assert len(journals) == len(done)
    for events in journals:
        assert events.count("runner_died") == 1
        assert events[-1] == "call_ended"


async def test_a_hung_runner_is_killed_and_a_dead_server_replaced(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as served:
        unnoticed = await crash.crash(served, "sentence", 1.0, "fact123", crash.kill_server)
        assert unnoticed.unnoticed, unnoticed
        hung = await crash.crash(served, "sentence", 1.0, "fact456", crash.hang_runner)
        assert not hung.ending, hung
        assert hung.remembered, hung


async def test_a_bot_is_reloaded_under_its_calls(tmp_path: Path) -> None:
    bot = await asyncio.to_thread(changeable_bot, tmp_path / "bots")
    async with serving(tmp_path / "data", bots=[bot]) as served:
        done = await deploy(served, bot, before=3, after=2)
    assert done.kept, done
