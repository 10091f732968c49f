"""Tools in pipecat's pipelines: behind the router, and behind one of pipecat's own LLM services."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    FunctionCallFromLLM,
    FunctionCallResultFrame,
    InterruptionFrame,
    LLMContextFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.workers.runner import WorkerRunner

from callpipe.processors.tools import Tool, ToolContext, ToolRouter, end_call, tool
from callpipe.transports.call_events import ToolCalledFrame
from callpipe.transports.frames import ToolCallFrame, ToolResultFrame
from callpipe.transports.lane import DOWNSTREAM, UPSTREAM
from callpipe.transports.virtual_time import run_virtual


class Stock(FrameProcessor):
    """A stock processor with its queues and tasks; it writes down the results that pass."""

    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  pipecat's are untyped
        self.results: list[ToolResultFrame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, ToolResultFrame):
            self.results.append(frame)
        await self.push_frame(frame, direction)


class Watching(BaseObserver):
    """An observer, as a journal is one."""

    def __init__(self, kind: type[Frame], source: type[FrameProcessor]) -> None:
        super().__init__(observe_every_push=True)  # pyright: ignore[reportUnknownMemberType]  pipecat's are untyped
        self._kind = kind
        self._source = source
        self.seen: list[Frame] = []

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, self._kind) and isinstance(data.source, self._source):
            self.seen.append(data.frame)


Play = Callable[[PipelineWorker], Coroutine[Any, Any, None]]


async def run(processors: list[FrameProcessor], observer: BaseObserver, play: Play) -> None:
    worker = PipelineWorker(
        Pipeline(processors),
        enable_rtvi=False,
        idle_timeout_secs=None,
        observers=[observer],
        app_resources="the call",
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
    )
    started = asyncio.Event()

    async def on_started(*_: object) -> None:
        started.set()

    worker.add_event_handler("on_pipeline_started", on_started)  # pyright: ignore[reportUnknownMemberType]  pipecat's are untyped
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.timeout(60):
        running = asyncio.create_task(runner.run())
        await started.wait()
        await play(worker)
        await running


def call_of(name: str, arguments: str = "{}", call_id: str = "call_1") -> ToolCallFrame:
    return ToolCallFrame(call_id=call_id, tool_name=name, arguments=arguments)


@tool
async def look_around(context: ToolContext) -> str:
    """Tell what call this is."""
    return context.resources


@tool
async def think(seconds: float) -> str:
    """Think for a while."""
    await asyncio.sleep(seconds)
    return "done"


@tool
def read() -> str:
    """Read in a thread."""
    return "read"


def route(play: Callable[[Stock, PipelineWorker], Coroutine[Any, Any, None]]) -> tuple[Stock, list[Frame]]:
    """Play a scene between a stock processor and a router, in virtual time."""

    async def main() -> tuple[Stock, list[Frame]]:
        model = Stock()
        router = ToolRouter([look_around, think, end_call], clock=asyncio.get_running_loop().time)
        observer = Watching(ToolCalledFrame, ToolRouter)
        await run([model, router, Stock()], observer, lambda worker: play(model, worker))
        return model, observer.seen

    return run_virtual(main())


def test_a_tool_is_given_the_workers_resources() -> None:
    async def play(model: Stock, worker: PipelineWorker) -> None:
        await model.push_frame(call_of("look_around"), DOWNSTREAM)
        await asyncio.sleep(1)
        await worker.queue_frame(EndFrame())

    model, audits = route(play)
    assert [(result.outcome, result.output) for result in model.results] == [("ok", '{"result":"the call"}')]
    assert len(audits) == 1


@pytest.mark.parametrize(
    ("seconds", "outcome"), [("1.5", "ok"), ("9", "cancelled")], ids=["within the grace", "beyond it"]
)
@pytest.mark.parametrize("last", [EndFrame, CancelFrame])
def test_a_call_that_ends_while_a_tool_runs_is_audited_and_ends(
    last: type[Frame], seconds: str, outcome: str
) -> None:
    async def play(model: Stock, worker: PipelineWorker) -> None:
        await model.push_frame(call_of("think", f'{{"seconds": {seconds}}}'), DOWNSTREAM)
        await asyncio.sleep(0.1)
        await worker.queue_frame(last())

    _, audits = route(play)
    assert [audit.outcome for audit in audits if isinstance(audit, ToolCalledFrame)] == [outcome]


def test_a_barge_in_drops_neither_the_call_nor_the_tool_nor_the_answer() -> None:
    async def play(model: Stock, worker: PipelineWorker) -> None:
        for number in range(3):
            await model.queue_frame(call_of("think", '{"seconds": 2}', f"call_{number}"), DOWNSTREAM)
        await worker.queue_frame(InterruptionFrame())
        await asyncio.sleep(1)
        await model.broadcast_interruption()
        await asyncio.sleep(1)
        await model.queue_frame(InterruptionFrame(), UPSTREAM)
        await asyncio.sleep(1)
        await worker.queue_frame(EndFrame())

    model, audits = route(play)
    assert [result.outcome for result in model.results] == ["ok", "ok", "ok"]
    assert len(audits) == 3


async def test_a_blocking_tool_in_real_time() -> None:
    model = Stock()
    observer = Watching(ToolCalledFrame, ToolRouter)

    async def play(worker: PipelineWorker) -> None:
        await model.push_frame(call_of("read"), DOWNSTREAM)
        while not observer.seen:
            await asyncio.sleep(0.01)
        await worker.queue_frame(EndFrame())

    await run([model, ToolRouter([read])], observer, play)
    assert [result.output for result in model.results] == ['{"result":"read"}']


class StockService(LLMService[Any]):
    """One of pipecat's LLM services whose model calls one tool whenever it is shown a context."""

    def __init__(self, name: str, arguments: dict[str, object]) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  pipecat's are untyped
        self._asked_for = name
        self._with = arguments

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            asked = FunctionCallFromLLM(self._asked_for, "call_1", self._with, frame.context)
            await self.run_function_calls([asked])
        else:
            await self.push_frame(frame, direction)


@pytest.mark.parametrize(
    ("one", "arguments", "told"),
    [
        (look_around, {}, {"result": "the call"}),
        (think, {"seconds": 1}, {"result": "done"}),
        (
            think,
            {"seconds": "long"},
            {
                "error": "Nothing was done. `seconds`: Input should be a valid number, unable to parse string"
                " as a number. Correct the arguments and call again."
            },
        ),
        (end_call, {}, {"result": "The call ends once the caller has heard you."}),
    ],
)
def test_a_stock_service_runs_a_tool_and_gets_one_result(
    one: Tool, arguments: dict[str, object], told: object
) -> None:
    observer = Watching(FunctionCallResultFrame, StockService)

    async def play(worker: PipelineWorker) -> None:
        context = LLMContext(tools=[one.function_schema()])
        await worker.queue_frame(LLMContextFrame(context))
        await asyncio.sleep(5)
        if one is not end_call:
            await worker.queue_frame(EndFrame())

    run_virtual(run([StockService(one.name, arguments), Stock()], observer, play))
    results = [frame.result for frame in observer.seen if isinstance(frame, FunctionCallResultFrame)]
    assert results == [told, told]  # pipecat tells a result up and down the pipeline
