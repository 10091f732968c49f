"""Whatever tools do, whatever the model writes and however the call ends: one answer for each call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from pipecat.clocks.system_clock import SystemClock
from pipecat.frames.frames import CancelFrame, EndFrame, Frame, InterruptionFrame, StartFrame
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.utils.asyncio.task_manager import TaskManager

from callpipe.processors.tools import ToolRouter, tool
from callpipe.transports.call_events import ToolCalledFrame
from callpipe.transports.frames import ToolCallFrame, ToolResultFrame
from callpipe.transports.lane import DOWNSTREAM, MediaProcessor
from callpipe.transports.virtual_time import run_virtual


class Side(MediaProcessor):
    """What stands before or behind the router: it keeps what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        self.frames.append(frame)


async def started(router: ToolRouter) -> tuple[Side, Side]:
    """Start a router, and return what stands before and behind it."""
    model, journal = Side(), Side()
    model.link(router)
    router.link(journal)
    worker = cast("PipelineWorker", SimpleNamespace(app_resources=None))
    tasks = TaskManager(loop=asyncio.get_running_loop())
    for processor in (model, router, journal):
        await processor.setup(FrameProcessorSetup(SystemClock(), tasks, worker))
    for processor in (model, router, journal):
        await processor.queue_frame(StartFrame(), DOWNSTREAM)
    return model, journal


class Breakdown(BaseException):
    """Neither an Exception nor one of Python's own."""


async def give(result: object) -> object:
    return result


async def fail(failure: BaseException) -> object:
    raise failure


async def hang(seconds: float) -> object:
    await asyncio.sleep(seconds)
    return seconds


async def ignore_cancellation(seconds: float) -> object:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        await asyncio.sleep(1)
    return seconds


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
behaviours = st.one_of(
    st.tuples(st.just(give), any_json | st.builds(object) | st.binary()),
    st.tuples(
        st.just(fail),
        st.sampled_from(
            [ValueError("x"), SystemExit(1), Breakdown(), asyncio.CancelledError(), StopIteration()]
        ),
    ),
    st.tuples(st.sampled_from([hang, ignore_cancellation]), st.floats(0, 30)),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("act"), st.just("{}"), behaviours),
        st.tuples(st.text(st.characters()), st.just("{}"), behaviours),
        st.tuples(st.just("act"), st.text(st.characters()) | any_json.map(json.dumps), behaviours),
    ),
    max_size=12,
)


Calls = list[tuple[str, str, tuple[Callable[[Any], Awaitable[object]], Any]]]


@settings(max_examples=300, deadline=None)
@given(
    steps,
    st.lists(st.sampled_from([InterruptionFrame, EndFrame, CancelFrame]), max_size=3),
    st.floats(0, 3),
)
def test_every_call_is_answered_exactly_once(
    calls: Calls, disturbances: list[type[Frame]], pause: float
) -> None:
    ahead = iter([behaviour for _, _, behaviour in calls])

    @tool(timeout_s=5)
    async def act() -> object:
        """Behave as told."""
        behave, with_what = next(ahead)
        return await behave(with_what)

    async def main() -> tuple[Side, Side]:
        router = ToolRouter([act], max_running=3, clock=asyncio.get_running_loop().time)
        model, journal = await started(router)
        for number, (name, arguments, _) in enumerate(calls):
            call = ToolCallFrame(call_id=f"call_{number}", tool_name=name, arguments=arguments)
            await router.queue_frame(call, DOWNSTREAM)
            await asyncio.sleep(pause)
        for disturbance in disturbances:
            await router.queue_frame(disturbance(), DOWNSTREAM)
        await asyncio.sleep(pause)
        await router.cleanup()
        return model, journal

    model, journal = run_virtual(main())
    results = [frame for frame in model.frames if isinstance(frame, ToolResultFrame)]
    audits = [frame for frame in journal.frames if isinstance(frame, ToolCalledFrame)]
    expected = sorted(f"call_{number}" for number in range(len(calls)))
    assert sorted(result.call_id for result in results) == expected
    assert sorted(audit.call_id for audit in audits) == expected
    assert {result.call_id: result.output for result in results} == {
        audit.call_id: audit.output for audit in audits
    }
    assert all(set(json.loads(result.output)) in ({"result"}, {"error"}) for result in results)
