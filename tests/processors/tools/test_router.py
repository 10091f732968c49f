"""Every tool call is answered once: alone, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pipecat.clocks.system_clock import SystemClock
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    StartFrame,
    TextFrame,
)
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.utils.asyncio.task_manager import TaskManager

from callpipe.processors.tools import ToolContext, ToolDefinitionError, ToolRouter, end_call, tool
from callpipe.processors.tools.router import GRACE_S
from callpipe.transports.call_events import ToolCalledFrame
from callpipe.transports.conversation_events import ToolStartedFrame
from callpipe.transports.frames import ToolCallFrame, ToolResultFrame
from callpipe.transports.lane import DOWNSTREAM, UPSTREAM, MediaProcessor
from callpipe.transports.virtual_time import run_virtual


class Side(MediaProcessor):
    """What stands before or behind the router: it writes down what reaches it, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.times: list[float] = []

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        self.frames.append(frame)
        self.times.append(asyncio.get_running_loop().time())

    @property
    def results(self) -> list[ToolResultFrame]:
        return [frame for frame in self.frames if isinstance(frame, ToolResultFrame)]

    @property
    def audits(self) -> list[ToolCalledFrame]:
        return [frame for frame in self.frames if isinstance(frame, ToolCalledFrame)]


@dataclass
class Line:
    """A router between a model and a journal."""

    router: ToolRouter
    model: Side
    journal: Side

    async def call(self, name: str, call_id: str = "call_1", **arguments: object) -> None:
        await self.write(name, json.dumps(arguments), call_id)

    async def write(self, name: str, arguments: str, call_id: str = "call_1") -> None:
        call = ToolCallFrame(call_id=call_id, tool_name=name, arguments=arguments)
        await self.push(call)

    async def push(self, frame: Frame) -> None:
        await self.router.queue_frame(frame, DOWNSTREAM)

    @property
    def outcomes(self) -> dict[str, str]:
        return {result.call_id: result.outcome for result in self.model.results}

    def told(self, call_id: str = "call_1") -> Any:
        [output] = [result.output for result in self.model.results if result.call_id == call_id]
        return json.loads(output)


def setup_of(loop: asyncio.AbstractEventLoop) -> FrameProcessorSetup:
    worker = cast("PipelineWorker", SimpleNamespace(app_resources="the call"))
    return FrameProcessorSetup(clock=SystemClock(), task_manager=TaskManager(loop=loop), pipeline_worker=worker)


def on_a_line(
    play: Callable[[Line], Coroutine[Any, Any, None]],
    *tools: Callable[..., Any],
    max_running: int = 8,
) -> Line:
    """Play a scene on a started line in virtual time, then let the router be cleaned up."""

    async def main() -> Line:
        loop = asyncio.get_running_loop()
        router = ToolRouter(tools, max_running=max_running, clock=loop.time)
        line = Line(router, Side(), Side())
        line.model.link(router)
        router.link(line.journal)
        for processor in (line.model, router, line.journal):
            await processor.setup(setup_of(loop))
        for processor in (line.model, router, line.journal):
            await processor.queue_frame(StartFrame(), DOWNSTREAM)
        for side in (line.model, line.journal):
            side.frames.clear()
            side.times.clear()
        await play(line)
        await router.cleanup()
        return line

    return run_virtual(main())


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    await asyncio.sleep(1)
    return a + b


@tool(timeout_s=60)
async def think(seconds: float) -> str:
    """Think for a while."""
    await asyncio.sleep(seconds)
    return "done"


def test_a_call_is_answered_upstream_and_audited_downstream() -> None:
    async def play(line: Line) -> None:
        await line.call("add", a=1, b=2)
        await asyncio.sleep(5)

    line = on_a_line(play, add)
    [result] = line.model.frames
    assert isinstance(result, ToolResultFrame)
    assert (result.call_id, result.tool_name, result.output) == ("call_1", "add", '{"result":3}')
    assert (result.outcome, result.duration_ms, result.ends_call) == ("ok", pytest.approx(1000), False)
    started, audit = line.journal.frames
    assert isinstance(started, ToolStartedFrame)
    assert isinstance(audit, ToolCalledFrame)
    assert (started.call_id, started.tool_name, started.arguments) == ("call_1", "add", audit.arguments)
    assert (started.at, started.side_effects) == (pytest.approx(0), True)
    assert (audit.call_id, audit.tool_name, audit.arguments) == ("call_1", "add", '{"a": 1, "b": 2}')
    assert (audit.output, audit.outcome) == (result.output, "ok")
    assert (audit.at, audit.duration_ms) == (pytest.approx(1), pytest.approx(1000))


def test_other_frames_pass_both_ways() -> None:
    async def play(line: Line) -> None:
        await line.push(TextFrame("down"))
        await line.router.queue_frame(TextFrame("up"), UPSTREAM)
        await line.router.queue_frame(ToolCallFrame(call_id="c", tool_name="add", arguments="{}"), UPSTREAM)
        await line.router.queue_frame(EndFrame(), UPSTREAM)

    line = on_a_line(play, add)
    assert [type(frame) for frame in line.journal.frames] == [TextFrame]
    assert [type(frame) for frame in line.model.frames] == [TextFrame, ToolCallFrame, EndFrame]


def test_a_tool_knows_its_call_and_may_end_it() -> None:
    contexts: list[ToolContext] = []

    def look(context: ToolContext) -> None:
        """Look around."""

    async def keep(context: ToolContext) -> None:
        """Keep the context."""
        contexts.append(context)

    async def play(line: Line) -> None:
        await line.call("keep", "call_1")
        await line.call("end_call", "call_2")
        await asyncio.sleep(1)

    line = on_a_line(play, look, keep, end_call)
    assert [(one.call_id, one.tool_name, one.resources) for one in contexts] == [("call_1", "keep", "the call")]
    assert [(result.tool_name, result.ends_call) for result in line.model.results] == [
        ("keep", False),
        ("end_call", True),
    ]


def test_a_hanging_tool_is_answered_at_its_deadline_while_others_run() -> None:
    async def play(line: Line) -> None:
        await line.call("think", "slow", seconds=3600)
        await line.call("add", "quick", a=1, b=1)
        await asyncio.sleep(100)

    line = on_a_line(play, think, add)
    assert line.outcomes == {"quick": "ok", "slow": "timeout"}
    assert line.model.times == pytest.approx([1, 60])


def test_an_interruption_does_not_touch_a_running_tool() -> None:
    async def play(line: Line) -> None:
        await line.call("think", seconds=2)
        await asyncio.sleep(1)
        await line.push(InterruptionFrame())
        await line.router.queue_frame(InterruptionFrame(), UPSTREAM)
        await asyncio.sleep(5)

    line = on_a_line(play, think)
    assert line.outcomes == {"call_1": "ok"}
    assert [audit.outcome for audit in line.journal.audits] == ["ok"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ad", "There is no tool ad; nothing was done. Did you mean add?"),
        ("book_a_flight", "There is no tool book_a_flight; nothing was done. There are: add, think."),
        ("", "There is no tool ; nothing was done. There are: add, think."),
        ("x" * 1_000, f"There is no tool {'x' * 64}; nothing was done. There are: add, think."),
    ],
)
def test_an_unknown_tool_is_refused_and_the_nearest_named(name: str, told: str) -> None:
    async def play(line: Line) -> None:
        await line.call(name)
        await asyncio.sleep(1)

    line = on_a_line(play, think, add)
    assert line.outcomes == {"call_1": "refused"}
    assert line.told() == {"error": told}
    assert [audit.tool_name for audit in line.journal.audits] == [name]


def test_a_call_that_comes_twice_is_answered_once() -> None:
    runs: list[int] = []

    async def count() -> None:
        """Count the runs."""
        runs.append(1)
        await asyncio.sleep(1)

    async def play(line: Line) -> None:
        await line.call("count")
        await line.call("count")
        await asyncio.sleep(5)
        await line.call("count")
        await line.call("nothing_like_it")
        await asyncio.sleep(5)

    line = on_a_line(play, count)
    assert len(runs) == len(line.model.results) == len(line.journal.audits) == 1


def test_only_so_many_ids_are_remembered() -> None:
    async def play(line: Line) -> None:
        for number in range(1_025):
            await line.call("missing", f"call_{number}")
        await line.call("missing", "call_0")
        await line.call("missing", "call_1024")
        await asyncio.sleep(1)

    assert len(on_a_line(play).model.results) == 1_026


def test_calls_beyond_max_running_are_refused_until_one_has_ended() -> None:
    async def play(line: Line) -> None:
        for call_id in ("a", "b", "c"):
            await line.call("think", call_id, seconds=2)
        await asyncio.sleep(3)
        await line.call("think", "d", seconds=2)
        await asyncio.sleep(3)

    line = on_a_line(play, think, max_running=2)
    assert line.outcomes == {"a": "ok", "b": "ok", "c": "refused", "d": "ok"}
    assert line.told("c") == {"error": "Busy: 2 tools are running. Call again when one has answered."}


@pytest.mark.parametrize("last", [EndFrame, CancelFrame])
def test_the_end_of_the_call_follows_a_tool_that_ends_within_the_grace(last: type[Frame]) -> None:
    async def play(line: Line) -> None:
        await line.call("think", seconds=1.5)
        await asyncio.sleep(1)
        await line.push(last())
        assert [type(frame) for frame in line.journal.frames] == [ToolStartedFrame]
        await asyncio.sleep(5)

    line = on_a_line(play, think)
    assert [type(frame) for frame in line.journal.frames] == [ToolStartedFrame, ToolCalledFrame, last]
    assert line.journal.times[-1] == pytest.approx(1.5)
    assert line.outcomes == {"call_1": "ok"}


@pytest.mark.parametrize("last", [EndFrame, CancelFrame])
def test_a_tool_that_outlasts_the_grace_is_cancelled_and_audited(last: type[Frame]) -> None:
    ended: list[float] = []

    async def hang() -> None:
        """Hang."""
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(asyncio.get_running_loop().time())

    async def play(line: Line) -> None:
        await line.call("hang")
        await asyncio.sleep(1)
        await line.push(last())
        await asyncio.sleep(10)

    line = on_a_line(play, hang)
    assert ended == [pytest.approx(1 + GRACE_S)]
    assert [type(frame) for frame in line.journal.frames] == [ToolStartedFrame, ToolCalledFrame, last]
    assert line.journal.times[-1] == pytest.approx(1 + GRACE_S)
    [audit] = line.journal.audits
    assert (audit.outcome, audit.duration_ms) == ("cancelled", pytest.approx(3000))
    assert line.outcomes == {"call_1": "cancelled"}


def test_the_end_of_an_idle_call_passes_at_once_and_no_tool_runs_after_it() -> None:
    async def play(line: Line) -> None:
        await line.push(EndFrame())
        assert [type(frame) for frame in line.journal.frames] == [EndFrame]
        await line.call("add", a=1, b=2)
        await asyncio.sleep(5)

    line = on_a_line(play, add)
    assert line.told() == {"error": "The call is ending; nothing was done."}


def test_the_frames_that_end_a_call_keep_their_order() -> None:
    async def play(line: Line) -> None:
        await line.call("think", seconds=30)
        await asyncio.sleep(0)
        await line.push(EndFrame())
        await line.push(CancelFrame())
        await asyncio.sleep(10)

    line = on_a_line(play, think)
    assert [type(frame) for frame in line.journal.frames] == [
        ToolStartedFrame, ToolCalledFrame, EndFrame, CancelFrame,
    ]  # fmt: skip


def test_a_cancellation_after_the_end_passes_at_once() -> None:
    async def play(line: Line) -> None:
        await line.call("think", seconds=1)
        await line.push(EndFrame())
        await asyncio.sleep(10)
        await line.push(CancelFrame())
        assert [type(frame) for frame in line.journal.frames] == [
        ToolStartedFrame, ToolCalledFrame, EndFrame, CancelFrame,
    ]  # fmt: skip

    on_a_line(play, think)


@pytest.mark.parametrize("announced", [True, False])
def test_cleanup_ends_what_runs_within_one_grace(announced: bool) -> None:
    async def play(line: Line) -> None:
        await line.call("think", seconds=30)
        await asyncio.sleep(1)
        if announced:
            await line.push(EndFrame())
            await asyncio.sleep(1)
        await line.router.cleanup()
        assert asyncio.get_running_loop().time() == pytest.approx(1 + GRACE_S)

    line = on_a_line(play, think)
    assert [audit.outcome for audit in line.journal.audits] == ["cancelled"]
    assert any(isinstance(frame, EndFrame) for frame in line.journal.frames) is announced


def test_two_tools_may_not_share_a_name() -> None:
    other = tool(name="add")(think.function)
    with pytest.raises(ToolDefinitionError, match=r"tool add \(.*the tool at .* has the same name"):
        ToolRouter([add, other])
    assert [one.name for one in ToolRouter([add, add, think.function]).tools] == ["add", "think"]


def test_no_content_reaches_a_log(logged: list[str]) -> None:
    async def play(line: Line) -> None:
        await line.call("add", "b", a="Zoë", b=555)
        await line.call("add", "c", a=555, b=1)
        await line.call("fail", "d", word="Zoë")
        await line.call("fail", "d", word="Zoë")
        await asyncio.sleep(5)

    async def fail(word: str) -> None:
        """Fail."""
        raise ValueError(word)

    on_a_line(play, add, fail)
    assert any("it raised ValueError" in line for line in logged)
    assert not [line for line in logged if "Zoë" in line or "555" in line or "556" in line]
