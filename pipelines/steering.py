"""What a bot's author may do with a running call: let the model speak, know, hear; end the call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from pipecat.frames.frames import CancelFrame, EndFrame, EndWorkerFrame, Frame, InterruptionFrame, StartFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callpipe.processors.tools import Tool
from callpipe.transports.lane import DOWNSTREAM, UPSTREAM, MediaProcessor
from callpipe.transports.redaction import RedactionFrame
from callpipe.transports.steering import (
    ChangeFrame,
    EndWhenHeardFrame,
    HoldFrame,
    MuteCallerFrame,
    ResumeFrame,
    SayFrame,
    SteeringFrame,
    TellFrame,
    UnmuteCallerFrame,
)

from .errors import CallNotRunningError


class CallRemote:
    """Reaches into a call's pipeline from outside, while it runs."""

    def __init__(self) -> None:
        self._head = _PipelineEnd(DOWNSTREAM)
        self._tail = _PipelineEnd(UPSTREAM)
        self._redactions = 0

    def around(self, pipeline: FrameProcessor) -> list[FrameProcessor]:
        """Return a pipeline between the two ends by which it is reached; once for each call."""
        return [self._head, pipeline, self._tail]

    async def push(self, frame: Frame, direction: FrameDirection = DOWNSTREAM) -> None:
        """Push a frame into the pipeline at its head.

        Raises:
            CallNotRunningError: The pipeline has not started, or is ending.
        """
        if not self._head.running:
            raise CallNotRunningError("has ended" if self._head.ended else "has not started")
        await self._head.push_frame(frame, direction)

    async def redact(self, clock: Callable[[], float]) -> None:
        """Keep nothing that is said until `reveal` was called as often as this.

        Raises:
            CallNotRunningError: The pipeline has not started, or is ending.
        """
        self._redactions += 1
        try:
            if self._redactions == 1:
                await self.push(RedactionFrame(clock(), on=True))
        except BaseException:  # also a cancelled task: nobody will call `reveal` for it
            await self.reveal(clock)
            raise

    def stay_redacted(self, clock: Callable[[], float]) -> None:
        """Keep nothing from the pipeline's start to the call's end; to be called before it starts."""
        self._redactions += 1
        self._head.opening = lambda: RedactionFrame(clock(), on=True)

    async def reveal(self, clock: Callable[[], float]) -> None:
        """Take one `redact` back. What an ended pipeline redacted stays so."""
        self._redactions -= 1
        if self._redactions == 0:
            with suppress(CallNotRunningError):
                await self.push(RedactionFrame(clock(), on=False))


class _PipelineEnd(MediaProcessor):
    """Stands at an end of the pipeline, and turns steering frames around that went the wrong way.

    Args:
        inward: The direction into the pipeline.

    Attributes:
        running: The pipeline has started and is not ending.
        ended: The pipeline is ending, or has ended.
        opening: Makes the frame that follows StartFrame into the pipeline; None for none.
    """

    def __init__(self, inward: FrameDirection) -> None:
        super().__init__(name="PipelineHead" if inward is DOWNSTREAM else "PipelineTail")
        self._inward = inward
        self.running = False
        self.ended = False
        self.opening: Callable[[], Frame] | None = None

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Note the pipeline's start and end; take steering frames that come out of it."""
        if isinstance(frame, (EndFrame, CancelFrame)):
            self.running, self.ended = False, True
        if isinstance(frame, SteeringFrame) and direction is not self._inward:
            await self._turn_around(frame)
        else:
            await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self.running = not self.ended
            if self.opening is not None:
                await self.push_frame(self.opening(), self._inward)

    async def _turn_around(self, frame: SteeringFrame) -> None:
        if not frame.turned:
            frame.turned = True
            await self.push_frame(frame, self._inward)
        elif isinstance(frame, EndWhenHeardFrame):  # the transport plays what it has before an end
            await self.push_frame(EndWorkerFrame(reason="asked for"), UPSTREAM)
        else:
            await self.push_error(f"no model in this pipeline takes a {type(frame).__name__}")


class SteeredCall:
    """The methods of a running call. They work from a tool, from a task of yours, from anywhere.

    For example::

        @tool
        async def check_in(context: ToolContext) -> str:
            \"\"\"Check the guest in.\"\"\"
            await context.resources.say("Your key is ready at the desk.")
            return "done"

    Each raises `CallNotRunningError` before the pipeline has started and once it is ending. None waits for the
    model: what they ask for is done in the order of the calls.
    """

    remote: CallRemote
    clock: Callable[[], float]

    async def say(self, text: str) -> None:
        """Let the model say exactly this, after the answer in progress; `interrupt` first to say it now.

        The model is asked to; it is a model, and may still stumble over a word.
        """
        await self.remote.push(SayFrame(text))

    async def tell(self, text: str, *, respond: bool = False) -> None:
        """Let the model know something: a system message in the conversation.

        Args:
            text: The message.
            respond: Let the model answer to it, rather than keep it in mind.
        """
        await self.remote.push(TellFrame(text, respond=respond))

    async def change(
        self, *, instructions: str | None = None, tools: Sequence[Tool | Callable[..., Any]] | None = None
    ) -> None:
        """Give the model other instructions or other tools from its next response on; None keeps them.

        Raises:
            ToolDefinitionError: A function can't be a tool.
        """
        made = None if tools is None else [one if isinstance(one, Tool) else Tool(one) for one in tools]
        await self.remote.push(ChangeFrame(instructions=instructions, tools=made))

    async def mute_caller(self) -> None:
        """Let the model hear silence instead of the caller, who can't interrupt then.

        For a notice that is to be heard::

            await call.mute_caller()
            await call.say("This call is recorded. Your data is kept for thirty days.")
            await call.unmute_caller(when_heard=True)
        """
        await self.remote.push(MuteCallerFrame())

    async def unmute_caller(self, *, when_heard: bool = False) -> None:
        """Let the model hear the caller again.

        Args:
            when_heard: Only when the caller has heard all that the bot is saying, and has yet to say.
        """
        await self.remote.push(UnmuteCallerFrame(when_heard=when_heard))

    async def hold(self) -> None:
        """Send the model none of the caller's audio until `resume`; what they are saying is dropped."""
        await self.remote.push(HoldFrame())

    async def resume(self) -> None:
        """Send the model the caller's audio again."""
        await self.remote.push(ResumeFrame())

    @asynccontextmanager
    async def redacted(self) -> AsyncGenerator[None]:
        """Keep nothing that is said or typed in here: a card's number, a password.

        For example::

            async with call.redacted():
                await call.say("Your card number, please.")
                await asyncio.wait_for(charged.wait(), 120)  # a tool sets it

        The recording is silent for as long; in journal and transcript stand turns and tool calls without their
        words, arguments and results. A turn or a tool call counts if any part of it lies in here, and whoever
        speaks at the end is withheld until they have finished: at least a second. The model hears everything.
        Redactions may be nested, and overlap in several tasks. When the call ends in one, or its process dies,
        it stays redacted to its end. What was written before stays: when a tool redacts itself, the journal has
        its arguments already.
        """
        await self.remote.redact(self.clock)
        try:
            yield
        finally:
            await self.remote.reveal(self.clock)

    async def interrupt(self) -> None:
        """Stop what the bot is saying; the model knows how far it was heard."""
        await self.remote.push(InterruptionFrame())

    async def end(self, *, after_goodbye: bool = True) -> None:
        """End the call.

        Args:
            after_goodbye: Once the caller has heard what the bot is saying, and has yet to say. Otherwise
                only what is already on its way to the caller is still heard.
        """
        if after_goodbye:
            await self.remote.push(EndWhenHeardFrame())
        else:
            await self.remote.push(EndWorkerFrame(reason="asked for"), UPSTREAM)
