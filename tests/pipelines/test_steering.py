"""A running call is steered from anywhere: what the model is asked, what the caller hears of it."""

from __future__ import annotations

import asyncio

import pytest
from loguru import logger
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callpipe.pipelines import Call, Pipeline, passthrough_call
from callpipe.pipelines.errors import CallNotRunningError
from callpipe.processors import RealtimeLLM
from callpipe.processors.tools import ToolContext, ToolRouter, tool
from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.call_events import BargeInFrame, BotTurnFrame, CallerTurnFrame, TurnLatencyFrame
from callpipe.transports.lane import DOWNSTREAM, UPSTREAM, MediaProcessor
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.speech.interfaces import CallTool, Say
from callpipe.transports.steering import SayFrame

from .steered_call import Stage, hold_call, plain

LONG = "0123456789 ABCDEFGHIJ KLMNOPQRST UVWXYZ"


def model(call: Call, *, tools: ToolRouter | None = None) -> RealtimeLLM:
    return RealtimeLLM(
        settings=RealtimeSettings(instructions="Be brief.", audio_format=PCMU_8K),
        tools=tools.tools if tools is not None else (),
        api_key="",
        connect=call.connect,
        clock=call.clock,
    )


# Say, tell, change.


def test_what_the_author_says_is_heard_and_remembered_as_the_bots_words() -> None:
    async def play(stage: Stage) -> None:
        await stage.call.say("YOUR TABLE IS READY")
        await asyncio.sleep(3)
        assert stage.heard() == "YOUR TABLE IS READY"

    stage = hold_call(play)

    [turn] = stage.told(BotTurnFrame)
    assert (turn.text, turn.interrupted) == ("YOUR TABLE IS READY", False)
    assert stage.model.server_events("error") == []


def test_it_follows_the_answer_in_progress_or_cuts_it_off_where_the_author_interrupts() -> None:
    async def play(stage: Stage) -> None:
        await stage.call.say(LONG)
        await asyncio.sleep(1)
        await stage.call.say("NEXT")
        await asyncio.sleep(3)
        assert stage.heard() == LONG + "NEXT"
        await stage.call.say(LONG)
        await asyncio.sleep(0.2 + 10 * 0.04 - 0.02)
        await stage.call.interrupt()
        await stage.call.say("NOW")
        await asyncio.sleep(1)
        assert stage.heard() == LONG + "NEXT" + LONG[:10] + "NOW"

    stage = hold_call(play)

    cut = [turn for turn in stage.told(BotTurnFrame) if turn.interrupted]
    assert [turn.heard_ms for turn in cut] == [pytest.approx(400, abs=40)]
    assert stage.told(BargeInFrame) == []
    assert stage.model.server_events("error") == []


def test_a_message_is_answered_where_the_author_wishes_it() -> None:
    async def play(stage: Stage) -> None:
        await stage.call.tell("THE KITCHEN CLOSES SOON")
        await asyncio.sleep(1)
        assert stage.heard() == ""
        await stage.call.tell("THE KITCHEN HAS CLOSED", respond=True)
        await asyncio.sleep(1)
        assert stage.heard() == "HELLO"  # what this model says before anybody has spoken

    stage = hold_call(play)

    assert stage.messages("system") == ["THE KITCHEN CLOSES SOON", "THE KITCHEN HAS CLOSED"]
    assert len(stage.requests()) == 1


@tool
async def weather() -> str:
    """Tell the weather."""
    return "rain"


def test_other_instructions_and_tools_hold_from_the_next_answer_on() -> None:
    async def play(stage: Stage) -> None:
        stage.caller_says("A")
        await asyncio.sleep(2)
        assert (stage.brain.instructions, stage.brain.tools) == ("Be brief.", [])
        await stage.call.change(instructions="Speak French.", tools=[weather])
        stage.caller_says("WEATHER")
        await asyncio.sleep(4)
        assert stage.brain.instructions.startswith("Speak French.")
        assert stage.brain.tools == ["weather"]
        assert stage.heard() == "WHATGOT RAIN"

    hold_call(play, script={"WEATHER": [CallTool("weather", {})]})


# The caller's line.


def test_a_muted_caller_cuts_nothing_off_and_is_heard_again_after_the_notice() -> None:
    async def play(stage: Stage) -> None:
        await stage.call.mute_caller()
        await stage.call.say(LONG)
        await stage.call.unmute_caller(when_heard=True)
        await asyncio.sleep(0.5)
        stage.caller_says("HELLO HELLO")
        await asyncio.sleep(2)
        assert stage.heard() == LONG
        stage.caller_says("B")
        await asyncio.sleep(2)
        assert stage.heard() == LONG + "WHAT"

    stage = hold_call(play)

    assert len(stage.told(CallerTurnFrame)) == 1
    assert stage.told(BargeInFrame) == []
    [entry] = stage.told(TurnLatencyFrame)
    assert entry.measured_from == "audio"


def test_a_muted_callers_turn_in_progress_ends_and_is_answered_before_the_notice() -> None:
    async def play(stage: Stage) -> None:
        stage.caller_says("0123456789")
        await asyncio.sleep(0.2)
        await stage.call.mute_caller()
        await stage.call.say("NOTICE")
        await asyncio.sleep(3)
        assert stage.heard() == "WHATNOTICE"

    hold_call(play)


def test_a_caller_on_hold_is_not_sent_to_the_model() -> None:
    async def play(stage: Stage) -> None:
        await stage.call.hold()
        await asyncio.sleep(0.1)
        before_ms = stage.model.caller_audio_ms
        stage.caller_says("C")
        await asyncio.sleep(2)
        assert stage.model.caller_audio_ms == before_ms
        await stage.call.say("STILL THERE")
        await asyncio.sleep(1)
        await stage.call.resume()
        stage.caller_says("D")
        await asyncio.sleep(2)
        assert stage.heard() == "STILL THEREWHAT"

    stage = hold_call(play)

    assert len(stage.told(CallerTurnFrame)) == 1


# The end.


def test_the_call_ends_when_the_goodbye_was_heard() -> None:
    async def play(stage: Stage) -> None:
        await stage.call.say(LONG)
        await stage.call.end()
        await asyncio.sleep(0.2 + len(LONG) * 0.04 - 0.2)
        assert stage.told(BotTurnFrame) == []
        await asyncio.sleep(0.5)
        assert stage.heard() == LONG

    stage = hold_call(play, ends=True)

    assert stage.reason == "bot"


def test_the_call_ends_at_once_where_the_author_says_so() -> None:
    async def play(stage: Stage) -> None:
        await stage.call.say("NOT HEARD")
        await stage.call.end(after_goodbye=False)
        await asyncio.sleep(0.2)

    stage = hold_call(play, ends=True)

    assert (stage.reason, stage.heard()) == ("bot", "")


def test_a_call_that_has_not_started_or_has_ended_says_so() -> None:
    calls: list[CallNotRunningError] = []

    def build(call: Call) -> Pipeline:
        with pytest.raises(CallNotRunningError) as refused:
            call.say("TOO EARLY").send(None)
        calls.append(refused.value)
        return plain(call)

    async def play(stage: Stage) -> None:
        await stage.call.end()
        await asyncio.sleep(1)
        with pytest.raises(CallNotRunningError) as refused:
            await stage.call.say("TOO LATE")
        calls.append(refused.value)

    hold_call(play, build, ends=True)

    assert [call.reason for call in calls] == ["has not started", "has ended"]


# From anywhere.


class Pushing(MediaProcessor):
    """Pushes a frame one way when it is told to."""

    def __init__(self, direction: FrameDirection) -> None:
        super().__init__()
        self.direction = direction

    async def say(self, text: str) -> None:
        await self.push_frame(SayFrame(text), self.direction)


@pytest.mark.parametrize("direction", [UPSTREAM, DOWNSTREAM])
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("stock", [False, True])
def test_frames_reach_the_model_from_either_side_and_whichever_way_they_set_out(
    direction: FrameDirection, behind: bool, stock: bool
) -> None:
    pushing = Pushing(direction)

    def build(call: Call) -> Pipeline:
        between: list[FrameProcessor] = [IdentityFilter()] if stock else []
        the_model = model(call)
        chain = [the_model, *between, pushing] if behind else [pushing, *between, the_model]
        return Pipeline([call.transport.input(), *chain, call.transport.output()])

    async def play(stage: Stage) -> None:
        await pushing.say("FROM HERE")
        await asyncio.sleep(1.5)
        assert stage.heard() == "FROM HERE"

    stage = hold_call(play, build)
    assert len(stage.requests()) == 1


def test_where_no_model_is_a_frame_is_an_error_and_the_end_ends_the_call() -> None:
    def build(call: Call) -> Pipeline:
        return Pipeline([call.transport.input(), call.transport.output()])

    async def play(stage: Stage) -> None:
        await stage.call.say("TO NOBODY")
        await stage.call.end()
        await asyncio.sleep(0.1)

    logged: list[str] = []
    sink = logger.add(logged.append, level="ERROR")
    stage = hold_call(play, build, ends=True)
    logger.remove(sink)

    assert stage.reason == "bot"
    assert ["no model in this pipeline takes a SayFrame" in line for line in logged] == [True]
    assert "TO NOBODY" not in str(logged)


# From tools.


@tool
async def check_in(context: ToolContext) -> str:
    """Check the guest in."""
    await context.resources.say("YOUR KEY")
    await context.resources.tell("THE GUEST HAS A KEY")
    return "done"


def test_a_tool_steers_the_call_it_runs_in() -> None:
    def build(call: Call) -> Pipeline:
        return passthrough_call(call, instructions="Be brief.", tools=[check_in])

    async def play(stage: Stage) -> None:
        stage.caller_says("CHECK")
        await asyncio.sleep(4)
        assert stage.heard() == "YOUR KEYGOT DONE"

    stage = hold_call(play, build, script={"CHECK": [CallTool("check_in", {})]})

    assert stage.messages("system") == ["THE GUEST HAS A KEY"]
    assert stage.model.server_events("error") == []


@tool(filler="ONE MOMENT", filler_after_ms=1200)
async def slow() -> str:
    """Take your time."""
    await asyncio.sleep(5)
    return "slow"


@tool
async def quick() -> str:
    """Be quick."""
    return "quick"


def slow_call(call: Call) -> Pipeline:
    return passthrough_call(call, instructions="Be brief.", tools=[slow, quick])


def test_a_slow_tool_is_bridged_once_and_its_answer_follows() -> None:
    async def play(stage: Stage) -> None:
        stage.caller_says("GO")
        await asyncio.sleep(2)
        assert stage.heard() == ""
        await asyncio.sleep(1)
        assert stage.heard() == "ONE MOMENT"
        await asyncio.sleep(5)
        assert stage.heard() == "ONE MOMENTGOT SLOW"

    stage = hold_call(play, slow_call, script={"GO": [CallTool("slow", {})]})

    assert len(stage.requests()) == 2
    assert stage.model.server_events("error") == []


def test_the_model_may_keep_talking_while_a_tool_runs_and_the_filler_waits_for_silence() -> None:
    async def play(stage: Stage) -> None:
        stage.caller_says("GO")
        await asyncio.sleep(8.5)
        assert stage.heard() == LONG + "ONE MOMENT" + "GOT SLOW"

    hold_call(play, slow_call, script={"GO": [Say(LONG), CallTool("slow", {})]})


def test_the_caller_may_talk_to_the_model_while_a_tool_runs() -> None:
    async def play(stage: Stage) -> None:
        stage.caller_says("GO")
        await asyncio.sleep(1)
        stage.caller_says("E")
        await asyncio.sleep(7)
        assert stage.heard() == "WHAT" + "ONE MOMENT" + "GOT SLOW"

    stage = hold_call(play, slow_call, script={"GO": [CallTool("slow", {})]})
    assert stage.model.server_events("error") == []


def test_parallel_tools_are_answered_together_by_one_response() -> None:
    async def play(stage: Stage) -> None:
        stage.caller_says("GO")
        await asyncio.sleep(8)
        assert stage.heard().startswith("ONE MOMENTGOT ")

    stage = hold_call(play, slow_call, script={"GO": [CallTool("quick", {}), CallTool("slow", {})]})

    assert len(stage.requests()) == 2  # the filler, and the answer to both
    assert stage.model.server_events("error") == []


def test_the_wait_for_an_answer_is_measured_from_the_callers_last_sound() -> None:
    async def play(stage: Stage) -> None:
        stage.caller_says("F")
        await asyncio.sleep(3)

    stage = hold_call(play)

    [waited] = stage.told(TurnLatencyFrame)
    # 500 ms of silence end the turn, and the model takes 200 ms to its first sound; a letter lasts 40 ms and
    # its detector works in steps.
    assert waited.response_ms == pytest.approx(700, abs=40)
    assert waited.notice_ms == pytest.approx(500, abs=40)
    assert (waited.wire_ms, waited.heard_ms) == (0, 0)
    assert waited.measured_from == "audio"
