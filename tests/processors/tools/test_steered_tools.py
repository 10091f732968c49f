"""What a router does for calls that are steered: fillers of slow tools, tools that change."""

from __future__ import annotations

import asyncio

import pytest
from pipecat.frames.frames import Frame

from callpipe.processors.tools import ToolDefinitionError, tool
from callpipe.transports.frames import ToolCallFrame, ToolResultFrame
from callpipe.transports.steering import FillerFrame, ToolsChangedFrame

from .test_router import Line, on_a_line


@tool(filler="One moment, please.", filler_after_ms=800)
async def slow() -> str:
    """Take your time."""
    await asyncio.sleep(1)
    return "done"


@tool
async def plain() -> str:
    """Do something."""
    return "done"


def told(*frames: Frame) -> list[Frame]:
    """Return what the model is told when these frames come to a router of both tools."""

    async def play(line: Line) -> None:
        for frame in frames:
            await line.push(frame)
        await asyncio.sleep(5)

    return on_a_line(play, slow, plain).model.frames


def call(name: str, call_id: str = "call_1") -> ToolCallFrame:
    return ToolCallFrame(call_id=call_id, tool_name=name, arguments="{}")


def test_the_model_is_told_the_filler_when_the_tool_begins_to_run() -> None:
    filler, result = told(call("slow"))

    assert isinstance(filler, FillerFrame)
    assert (filler.call_id, filler.text, filler.after_ms) == ("call_1", "One moment, please.", 800)
    assert isinstance(result, ToolResultFrame)


def test_a_tool_without_one_has_none() -> None:
    assert [type(frame) for frame in told(call("plain"))] == [ToolResultFrame]


def test_tools_that_change_are_run_from_then_on_and_those_taken_away_are_refused() -> None:
    @tool
    async def new() -> str:
        """Do something new."""
        return "new"

    frames = told(call("slow", "1"), ToolsChangedFrame([new, plain]), call("new", "2"), call("slow", "3"))

    results = [frame for frame in frames if isinstance(frame, ToolResultFrame)]
    assert {result.call_id: result.outcome for result in results} == {"1": "ok", "2": "ok", "3": "refused"}


@pytest.mark.parametrize(("filler", "after_ms"), [(" ", 1200), ("Hm.", -1), ("Hm.", float("inf"))])
def test_a_filler_that_could_not_be_said_is_refused(filler: str, after_ms: float) -> None:
    with pytest.raises(ToolDefinitionError, match="its filler is empty, or its filler_after_ms"):
        tool(filler=filler, filler_after_ms=after_ms)(plain.function)
