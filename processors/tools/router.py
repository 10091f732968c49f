"""Runs the tools the model calls, and answers every call once."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from loguru import logger
from pipecat.frames.frames import CancelFrame, EndFrame, Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup

from callpipe.transports.call_events import ToolCalledFrame
from callpipe.transports.conversation_events import ToolStartedFrame
from callpipe.transports.frames import ToolCallFrame, ToolResultFrame
from callpipe.transports.lane import DOWNSTREAM, UPSTREAM, MediaProcessor
from callpipe.transports.steering import FillerFrame, ToolsChangedFrame

from .answer import Answer, problem
from .context import ToolContext
from .errors import ToolDefinitionError
from .tool import Tool

if TYPE_CHECKING:
    from pipecat.pipeline.worker import PipelineWorker

GRACE_S = 2.0
"""Seconds running tools have when the call ends."""

GIVING_UP_S = 0.5
"""Seconds the answers of cancelled tools may take to be pushed."""

MAX_REMEMBERED_IDS = 1_024
"""Tool calls whose ids are remembered, so that none runs twice."""

MAX_NAME_LENGTH = 64
"""Characters of a made-up tool name that are told back."""


class ToolRouter(MediaProcessor):
    """Runs the tools the model calls.

    Each `ToolCallFrame` that comes downstream is answered by one `ToolResultFrame` upstream, followed by one
    `ToolCalledFrame` downstream for the journal: whether the tool answers, raises, hangs, does not exist, or
    the arguments don't fit. A `ToolStartedFrame` tells the journal before of a tool that begins to run. A call
    id that was seen before is ignored. Interruptions don't touch a running tool. When the call ends, running
    tools have `GRACE_S` left, then they are cancelled; `EndFrame` and `CancelFrame` follow the last answer, so
    that the journal has it. When the model's tools are changed in the middle of the call, the new ones are run
    from then on.

    Args:
        tools: Tools, or functions to make tools of.
        max_running: Tools that may run at a time; further calls are refused.
        clock: Monotonic seconds.

    Raises:
        ToolDefinitionError: A function can't be a tool, or two tools share a name.
    """

    def __init__(
        self,
        tools: Sequence[Tool | Callable[..., Any]],
        *,
        max_running: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._known = _by_name([one if isinstance(one, Tool) else Tool(one) for one in tools])
        self._max_running = max_running
        self._clock = clock
        self._worker: PipelineWorker | None = None
        self._running = 0
        self._seen: dict[str, None] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._closing = False
        self._last_frames: deque[Frame] = deque()
        self._ending: asyncio.Task[None] | None = None

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools, for the model's session."""
        return tuple(self._known.values())

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Remember the worker, whose resources the tools are given."""
        await super().setup(setup)
        self._worker = setup.pipeline_worker

    async def cleanup(self) -> None:
        """Give running tools their grace, or what is left of it, then cancel them."""
        self._closing = True
        ending = self._ending or self._begin_ending()
        await asyncio.wait({ending}, timeout=GRACE_S + 2 * GIVING_UP_S)
        await super().cleanup()

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Take the model's tool calls; let the end of the call wait for running tools."""
        if direction is DOWNSTREAM and isinstance(frame, ToolCallFrame):
            self._take(frame)
        elif direction is DOWNSTREAM and isinstance(frame, ToolsChangedFrame):
            self._known = _by_name([one for one in frame.tools if isinstance(one, Tool)])
        elif direction is DOWNSTREAM and isinstance(frame, (EndFrame, CancelFrame)):
            await self._end_with(frame)
        else:
            await self.push_frame(frame, direction)

    def _take(self, call: ToolCallFrame) -> None:
        """Start answering a call, in a task that no interruption reaches."""
        if call.call_id in self._seen:
            logger.warning("{}: a tool call came twice and is answered once", self)
            return
        self._seen[call.call_id] = None
        if len(self._seen) > MAX_REMEMBERED_IDS:
            del self._seen[next(iter(self._seen))]
        refusal = self._refusal(call)
        if refusal is None:
            self._running += 1
            answering = self._run(call, self._known[call.tool_name])
        else:
            answering = self._give(call, refusal, 0.0)
        task = asyncio.create_task(answering, name=f"{self} tool call")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def _refusal(self, call: ToolCallFrame) -> Answer | None:
        """Return why a call can't run, if so."""
        if self._closing:
            return problem("refused", "The call is ending; nothing was done.")
        if call.tool_name not in self._known:
            return problem("refused", self._unknown(call.tool_name))
        if self._running >= self._max_running:
            return problem(
                "refused", f"Busy: {self._running} tools are running. Call again when one has answered."
            )
        return None

    def _unknown(self, name: str) -> str:
        """Tell the model that there is no such tool, and which it may have meant."""
        known = sorted(self._known)
        nearest = difflib.get_close_matches(name[:MAX_NAME_LENGTH], known, n=1)
        guess = f"Did you mean {nearest[0]}?" if nearest else f"There are: {', '.join(known) or 'none'}."
        return f"There is no tool {name[:MAX_NAME_LENGTH]}; nothing was done. {guess}"

    async def _run(self, call: ToolCallFrame, tool: Tool) -> None:
        resources = self._worker.app_resources if self._worker is not None else None
        context = ToolContext(call_id=call.call_id, tool_name=tool.name, resources=resources)
        began_at = self._clock()
        await self.push_frame(
            ToolStartedFrame(began_at, call.call_id, tool.name, call.arguments, tool.side_effects)
        )
        if tool.filler:
            await self.push_frame(FillerFrame(call.call_id, tool.filler, tool.filler_after_ms), UPSTREAM)
        try:
            answer = await tool.answer(call.arguments, context)
        except asyncio.CancelledError:  # by _end, and this task has only the answer left to do
            answer = problem("cancelled", "The call ended before the tool did.")
        self._running -= 1
        await self._give(call, answer, (self._clock() - began_at) * 1_000)

    async def _give(self, call: ToolCallFrame, answer: Answer, duration_ms: float) -> None:
        """Answer the model, and the journal."""
        result = ToolResultFrame(
            call_id=call.call_id,
            tool_name=call.tool_name,
            output=answer.output,
            outcome=answer.outcome,
            duration_ms=duration_ms,
            ends_call=answer.ends_call,
        )
        audit = ToolCalledFrame(
            at=self._clock(),
            call_id=call.call_id,
            tool_name=call.tool_name,
            arguments=call.arguments,
            output=answer.output,
            outcome=answer.outcome,
            duration_ms=duration_ms,
        )
        await self.push_frame(result, UPSTREAM)
        await self.push_frame(audit, DOWNSTREAM)

    async def _end_with(self, last_frame: Frame) -> None:
        """Pass on a frame that ends the call: at once, or from a task when tools are still running."""
        self._closing = True
        if self._ending is None and self._calls:
            self._begin_ending()
        if self._ending is None or self._ending.done():
            await self.push_frame(last_frame, DOWNSTREAM)
        else:
            self._last_frames.append(last_frame)

    def _begin_ending(self) -> asyncio.Task[None]:
        self._ending = asyncio.create_task(self._end(), name=f"{self} ending")
        return self._ending

    async def _end(self) -> None:
        """Give running tools their grace, cancel them, and let the last frames follow their answers."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=GRACE_S)
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls, timeout=GIVING_UP_S)
        while self._last_frames:
            await self.push_frame(self._last_frames.popleft(), DOWNSTREAM)


def _by_name(tools: Sequence[Tool]) -> dict[str, Tool]:
    """Return the tools by name.

    Raises:
        ToolDefinitionError: Two share a name.
    """
    named: dict[str, Tool] = {}
    for one in tools:
        other = named.setdefault(one.name, one)
        if other is not one:
            raise ToolDefinitionError(
                one.name, one.place, f"the tool at {other.place} has the same name; rename one with name="
            )
    return named
