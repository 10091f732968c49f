"""Processes die, hang and are replaced in the middle of calls, and the calls go on."""

import asyncio
from pathlib import Path

import pytest

from callpipe.pipelines.drills import crash
from callpipe.pipelines.drills.deploy import changeable_bot, deploy
from callpipe.pipelines.drills.stage import serving
from callpipe.pipelines.records.journal import read_journal
from callpipe.pipelines.runners.control import ReloadError, ask_to_reload
from callpipe.transports.bandwidth.emulator import Caller, parse_script
from callpipe.transports.speech.tones import ToneVoice

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


@pytest.mark.long
async def test_a_hung_runner_is_killed_and_a_dead_server_replaced(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as served:
        unnoticed = await crash.crash(served, "sentence", 1.0, "fact123", strike=crash.kill_server)
        assert unnoticed.unnoticed, unnoticed
        hung = await crash.crash(served, "sentence", 1.0, "fact456", strike=crash.hang_runner, quiet_ms=9_000)
        both = crash.hang_runner_and_kill_server
        left_alone = await crash.crash(served, "sentence", 1.0, "fact789", strike=both, quiet_ms=9_000)
        for each in (hung, left_alone):
            assert not each.ending, each
            assert each.remembered, each


async def test_a_bot_is_reloaded_under_its_calls(tmp_path: Path) -> None:
    bot = await asyncio.to_thread(changeable_bot, tmp_path / "bots")
    async with serving(tmp_path / "data", bots=[bot]) as served:
        done = await deploy(served, bot, before=3, after=2)
        await asyncio.to_thread(bot.write_text, "boom = 1 / 0\n")
        with pytest.raises(ReloadError, match=r"drilled_bot\.py:1: ZeroDivisionError"):
            await ask_to_reload(served.data_dir, "drilled")
        report = await served.carrier().place_call(Caller(SHORT, ToneVoice()))
    assert done.kept, done
    assert (report.cause, report.gave_up) == ("hangup", None)


POISONED = """
import os, signal
from callpipe.pipelines import Bot, Call, Pipeline, realtime_call

bot = Bot("drilled", apology="Sorry, this call can't go on.")


@bot.pipeline
def answer(call: Call) -> Pipeline:
    if call.parties.caller == "+15555550666":
        os.kill(os.getpid(), signal.SIGKILL)
    return realtime_call(call, instructions="You are being drilled.", greeting="hello")
"""

SHORT = parse_script("steps: [wait_for_bot, {say: a story please tell me a story}, wait_for_bot, hang_up]")


async def test_a_call_that_kills_its_runners_is_given_up_and_takes_no_other_with_it(tmp_path: Path) -> None:
    bot = tmp_path / "drilled_bot.py"
    await asyncio.to_thread(bot.write_text, POISONED)
    async with serving(tmp_path / "data", bots=[bot], workers=2) as served:
        carrier = served.carrier()
        healthy = asyncio.create_task(carrier.place_call(Caller(SHORT, ToneVoice())))
        poison = await carrier.place_call(Caller(SHORT, ToneVoice()), from_="+15555550666")
        report = await healthy
    spoken = [event.words for event in poison.events if event.name == "carrier speaks"]
    assert spoken == ["Sorry, this call can't go on."]
    assert poison.cause == "hangup"
    assert (report.cause, report.gave_up) == ("hangup", None)


@pytest.mark.long
async def test_a_server_that_stops_lets_calls_end_and_refuses_new_ones(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as served:
        carrier = served.carrier()
        ongoing = asyncio.create_task(carrier.place_call(Caller(SHORT, ToneVoice())))
        async with asyncio.timeout(10):
            while not carrier.live:
                await asyncio.sleep(0.05)
        served.supervisor.terminate()
        await asyncio.sleep(0.5)
        refused = await carrier.place_call(Caller(SHORT, ToneVoice()))
        report = await ongoing
        assert await asyncio.wait_for(served.supervisor.wait(), 20) == 0
    assert [event.words for event in refused.events if event.name == "carrier speaks"] != []
    assert refused.ending.ended_by == "bot"
    assert (report.ending.ended_by, report.gave_up) == ("caller", None)


@pytest.mark.long
async def test_a_webhook_that_comes_while_there_is_no_server_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as served:
        assert await asyncio.to_thread(crash.kill_server, served, "")
        report = await served.carrier().place_call(Caller(SHORT, ToneVoice()))
    assert (report.cause, report.gave_up) == ("hangup", None)
