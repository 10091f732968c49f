"""While a call is redacted no word of it is kept: not in the recording, not in journal or transcript."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import ErrorFrame

from callpipe.pipelines import Call, Pipeline, passthrough_call, realtime_call
from callpipe.pipelines.errors import CallNotRunningError
from callpipe.pipelines.records.journal import read_journal, transcript
from callpipe.pipelines.records.restore import restore
from callpipe.processors.tools import ToolContext, tool
from callpipe.transports.call_events import REDACTED
from callpipe.transports.lane import MediaProcessor
from callpipe.transports.redaction import RedactionFrame
from callpipe.transports.speech.interfaces import CallTool, Say
from callpipe.transports.speech.tones import ToneEar

from .steered_call import Actions, Stage, hold_call

SECRET = "4242 4242"
SCRIPT: Mapping[str, Actions] = {
    "BEFORE": [Say("HEARD BEFORE")],
    SECRET: [CallTool("charge", {"card": SECRET})],
    "ECHO": [Say(f"IT IS {SECRET}")],
    "AFTER": [Say("HEARD AFTER")],
}


@tool
async def charge(card: str) -> str:
    """Charge a card.

    Args:
        card: Its number.
    """
    return f"charged {card}"


def build(call: Call) -> Pipeline:
    return passthrough_call(call, instructions="Be brief.", tools=[charge])


class Kept:
    """What is left of a call on the disk."""

    def __init__(self, folder: Path) -> None:
        self.events = list(read_journal(folder / "journal.jsonl"))
        self.everything = (folder / "journal.jsonl").read_text() + transcript(self.events)
        with wave.open(str(folder / "recording.wav")) as file:
            both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        self.seconds = len(both) / 8_000
        self.caller, self.bot = (
            " ".join(ToneEar().hear(both[:, side].tobytes(), 8_000).split()) for side in (0, 1)
        )

    def told(self, name: str) -> list[Any]:
        return [event for event in self.events if event["event"] == name]


def keep(
    play: Callable[[Stage], Awaitable[None]],
    folder: Path,
    build: Callable[[Call], Pipeline] = build,
    *,
    ends: bool = False,
) -> Kept:
    hold_call(play, build, script=SCRIPT, folder=folder, ends=ends)
    return Kept(folder)


async def say(stage: Stage, words: str, wait_s: float = 4.0) -> None:
    stage.caller_says(words)
    await asyncio.sleep(wait_s)


async def a_secret(stage: Stage) -> None:
    await say(stage, "BEFORE")
    async with stage.call.redacted():
        await say(stage, SECRET)
    await asyncio.sleep(2)
    await say(stage, "AFTER")


def realtime(call: Call) -> Pipeline:
    return realtime_call(call, instructions="Be brief.", tools=[charge])


@pytest.mark.parametrize("chain", [build, realtime])
def test_what_is_said_and_done_in_a_redaction_is_kept_nowhere(
    chain: Callable[[Call], Pipeline], tmp_path: Path
) -> None:
    kept = keep(a_secret, tmp_path, chain)

    assert "4242" not in kept.everything
    assert (kept.caller, kept.bot) == ("BEFORE AFTER", "HEARD BEFORE HEARD AFTER")
    texts = [(event["text"], event.get("redacted", False)) for event in kept.told("caller_turn")]
    assert texts == [("BEFORE", False), (REDACTED, True), ("AFTER", False)]
    [called] = kept.told("tool_call")
    assert (called["arguments"], called["output"], called["outcome"]) == (REDACTED, REDACTED, "ok")
    assert [event["on"] for event in kept.told("redaction")] == [True, False]
    assert f"Caller: {REDACTED}" in transcript(kept.events)


def test_without_a_redaction_the_same_call_is_kept(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        await say(stage, SECRET)

    kept = keep(play, tmp_path)
    assert kept.everything.count(SECRET) >= 4
    assert kept.caller == SECRET


def test_the_recording_stays_as_long_as_the_call(tmp_path: Path) -> None:
    (tmp_path / "redacted").mkdir()
    (tmp_path / "plain").mkdir()

    async def plain(stage: Stage) -> None:
        await say(stage, "BEFORE")
        await say(stage, SECRET)
        await asyncio.sleep(2)
        await say(stage, "AFTER")

    redacted = keep(a_secret, tmp_path / "redacted")
    assert redacted.seconds == pytest.approx(keep(plain, tmp_path / "plain").seconds, abs=0.02)


def test_who_speaks_at_the_end_is_withheld_until_they_have_finished(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        async with stage.call.redacted():
            stage.caller_says("ECHO")
            await asyncio.sleep(0.1)  # the caller has only begun
        await asyncio.sleep(5)
        async with stage.call.redacted():
            await stage.call.say(f"IT IS {SECRET} {SECRET} {SECRET}")
            await asyncio.sleep(0.3)  # the bot has only begun
        await asyncio.sleep(5)
        await say(stage, "AFTER")

    kept = keep(play, tmp_path)
    turns = [event["text"] for event in kept.events if event["event"] in ("caller_turn", "bot_turn")]
    assert turns == [REDACTED, REDACTED, REDACTED, "AFTER", "HEARD AFTER"]
    assert "4242" not in kept.everything
    assert (kept.caller, kept.bot) == ("AFTER", "HEARD AFTER")


def test_redactions_may_be_nested_and_overlap_in_several_tasks(tmp_path: Path) -> None:
    async def hold(call: Call, from_s: float, to_s: float) -> None:
        await asyncio.sleep(from_s)
        async with call.redacted(), call.redacted():
            await asyncio.sleep(to_s - from_s)

    async def play(stage: Stage) -> None:
        both = [asyncio.create_task(hold(stage.call, *times)) for times in ((0, 3), (1, 7))]
        await asyncio.sleep(3.5)
        await say(stage, SECRET, 3)
        await asyncio.gather(*both)
        await asyncio.sleep(2)
        await say(stage, "AFTER")

    kept = keep(play, tmp_path)
    assert "4242" not in kept.everything + kept.caller + kept.bot
    assert [event["on"] for event in kept.told("redaction")] == [True, False]
    assert kept.caller == "AFTER"


def test_an_exception_or_a_cancelled_task_ends_its_redaction_and_no_other(tmp_path: Path) -> None:
    async def fail(call: Call) -> None:
        async with call.redacted():
            raise LookupError

    async def play(stage: Stage) -> None:
        with pytest.raises(LookupError):
            await fail(stage.call)
        async with stage.call.redacted():
            with pytest.raises(LookupError):
                await fail(stage.call)
            for cancel_after_s in (0, 0.1):
                task = asyncio.create_task(say_redacted(stage))
                await asyncio.sleep(cancel_after_s)
                task.cancel()
                await asyncio.wait({task})
            await say(stage, SECRET)
        await asyncio.sleep(2)
        await say(stage, "AFTER")

    async def say_redacted(stage: Stage) -> None:
        async with stage.call.redacted():
            await asyncio.sleep(60)

    kept = keep(play, tmp_path)
    assert "4242" not in kept.everything + kept.caller
    assert kept.caller == "AFTER"
    assert [event["on"] for event in kept.told("redaction")] == [True, False, True, False]


@pytest.mark.parametrize("after_goodbye", [True, False])
def test_a_call_may_end_in_a_redaction(tmp_path: Path, after_goodbye: bool) -> None:
    async def play(stage: Stage) -> None:
        await say(stage, "BEFORE")
        async with stage.call.redacted():
            await say(stage, SECRET, 2)
            await stage.call.say(SECRET)
            await asyncio.sleep(0.5)
            await stage.call.end(after_goodbye=after_goodbye)
            await asyncio.sleep(1)

    kept = keep(play, tmp_path, ends=True)
    assert "4242" not in kept.everything + kept.caller + kept.bot
    assert kept.caller == "BEFORE"


def test_the_caller_may_hang_up_in_a_redaction(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        task = asyncio.create_task(hold_on(stage))
        await say(stage, SECRET, 1)
        assert not task.done()

    async def hold_on(stage: Stage) -> None:
        async with stage.call.redacted():
            await asyncio.sleep(3)

    kept = keep(play, tmp_path)
    assert "4242" not in kept.everything + kept.caller


def test_a_call_that_does_not_run_is_not_redacted_and_says_so(tmp_path: Path) -> None:
    calls: list[Call] = []

    def build(call: Call) -> Pipeline:
        calls.append(call)
        return passthrough_call(call, instructions="Be brief.")

    async def play(stage: Stage) -> None:
        async with stage.call.redacted():
            pass

    keep(play, tmp_path, build)

    async def too_late() -> None:
        async with calls[0].redacted():
            pytest.fail("redacted what is over")

    with pytest.raises(CallNotRunningError, match="has ended"):
        asyncio.run(too_late())


def test_a_tool_redacts_what_it_is_told_and_gives(tmp_path: Path) -> None:
    @tool
    async def charge(context: ToolContext, card: str) -> str:
        """Charge a card.

        Args:
            card: Its number.
        """
        async with context.resources.redacted():
            await asyncio.sleep(0.1)
            return card

    def build(call: Call) -> Pipeline:
        return passthrough_call(call, instructions="Be brief.", tools=[charge])

    async def play(stage: Stage) -> None:
        await say(stage, SECRET)

    kept = keep(play, tmp_path, build)
    [called] = kept.told("tool_call")
    assert called["redacted"] is True
    assert SECRET not in json.dumps(called)
    # It had begun to run before: that is why a redaction begins before the caller is asked.
    assert SECRET in json.dumps(kept.told("tool_started"))


def test_a_call_whose_process_died_in_a_redaction_stays_redacted(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        async with stage.call.redacted():
            await asyncio.sleep(0.5)
        await asyncio.sleep(2)
        await say(stage, SECRET)

    died = [{"t": 1.0, "event": "redaction", "on": True}]
    assert not restore([*died, {"t": 2.0, "event": "redaction", "on": False}]).redacted
    hold_call(play, build, script=SCRIPT, folder=tmp_path, restored=restore(died))
    kept = Kept(tmp_path)
    assert "4242" not in kept.everything + kept.caller
    assert [event["on"] for event in kept.told("redaction")] == [True]


def test_what_the_model_is_told_in_a_redaction_is_not_kept(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        async with stage.call.redacted():
            await stage.call.tell(f"The card is {SECRET}")
            await stage.call.say(f"{SECRET} {SECRET} {SECRET} {SECRET} {SECRET} {SECRET}")
            await asyncio.sleep(8)

    kept = keep(play, tmp_path)
    assert kept.told("author_told")
    assert kept.told("bot_speaking")
    assert "4242" not in kept.everything + kept.bot


class Failing(MediaProcessor):
    """Tells an error in which a caller's words stand."""

    async def process_event(self, frame: Any, direction: Any) -> None:
        await self.push_frame(frame, direction)
        if isinstance(frame, RedactionFrame):
            await self.push_frame(ErrorFrame(f"bad card {SECRET}"), direction)


def test_errors_lose_their_words_while_it_lasts(tmp_path: Path) -> None:
    def build(call: Call) -> Pipeline:
        first, *rest = passthrough_call(call, instructions="Be brief.").processors[1:-1]
        return Pipeline([first, Failing(), *rest])

    async def play(stage: Stage) -> None:
        async with stage.call.redacted():
            await asyncio.sleep(0.2)

    kept = keep(play, tmp_path, build)
    assert [event["message"] for event in kept.told("error")] == [REDACTED, f"bad card {SECRET}"]
