"""The life of one generation of a call: start, get a media stream, talk, end, each under a deadline of its own.

pipecat waits for an `EndFrame` without a deadline, and a `CancelFrame` queues behind it: one processor that
hangs or raises on `EndFrame` would keep the call for ever. So the pipeline is asked to end, then to cancel,
then it is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from loguru import logger
from pipecat.frames.frames import EndFrame
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.pipeline import Pipeline as StockPipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker, ProcessorUnusablePolicy
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.asyncio.task_manager import TaskManager
from pipecat.workers.runner import WorkerRunner

from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.errors import where
from callpipe.transports.websocket import WebSocket

from .bot import Bot
from .call import Call
from .call_control import CallControl
from .ongoing import TOKEN_LIFETIME_S, Apologise, HangUp, OngoingCall
from .pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each stage of a call may take, in seconds.

    Attributes:
        start_s: For the start of every processor.
        stream_s: For the media stream to come, where the pipeline runs before it.
        end_s: For ending, beyond what the caller has still to hear.
        cancel_s: For cancelling, when ending was not done in time.
        leave_s: For releasing what an uncancellable pipeline holds.
    """

    start_s: float = 15.0
    stream_s: float = TOKEN_LIFETIME_S
    end_s: float = 5.0
    cancel_s: float = 2.0
    leave_s: float = 2.0


class CallLife:
    """Runs the pipeline of one generation, from before its media stream or from its start, to its end.

    Args:
        bot: The bot that answers.
        call: The call; its transport may still be without a media stream.
        ongoing: Where the generation's intent is stored.
        observers: What watches the pipeline, the journal's observer among them.
        deadlines: How long each stage may take.
    """

    def __init__(
        self,
        bot: Bot,
        call: Call,
        ongoing: OngoingCall,
        *,
        observers: list[BaseObserver],
        deadlines: Deadlines | None = None,
    ) -> None:
        self._bot = bot
        self._call = call
        self._generation = ongoing.generations[call.generation - 1]
        self._observers = observers
        self._deadlines = deadlines or Deadlines()
        self._pipeline: Pipeline | None = None
        self._attached = asyncio.Event()
        self._stream_over = asyncio.Event()
        self._told_to_end: str | None = None

    @property
    def attached(self) -> bool:
        """Whether the call has, or had, its media stream."""
        return self._call.transport.attached

    def build(self) -> bool:
        """Have the bot build the pipeline; False when it can't, and the caller is to get an apology."""
        try:
            with logger.contextualize(call_id=self._call.call_id):
                self._pipeline = self._bot.build(self._call)
        except Exception as failure:  # noqa: BLE001  a bot author's function may raise anything; the caller is told
            logger.error("call {}: bot {} failed: {}", self._call.call_id, self._bot.name, where(failure))
            self._generation.wants(Apologise("the bot failed to build its pipeline"))
        return self._pipeline is not None

    def attach(self, socket: WebSocket, start: StartMessage) -> None:
        """Give the call its media stream.

        Raises:
            MediaFormatError: The inbound track is not PCMU at 8 kHz.
        """
        self._call.transport.attach(socket, start)
        self._attached.set()

    def end(self, reason: str) -> None:
        """End the call from outside: its carrier says it is over, or the server stops."""
        self._told_to_end = self._told_to_end or reason
        self._generation.wants(HangUp())
        self._stream_over.set()

    def release(self, reason: str) -> None:
        """Close the media stream without the bot's wish: the call goes on in another generation."""
        self._told_to_end = self._told_to_end or reason
        self._stream_over.set()

    async def run(self) -> str:
        """Run the call to its end; build the pipeline first where that was not done.

        Returns:
            Why it ended: ``bot`` (it hung up), ``caller`` (the media stream stopped), ``no media stream`` (it
            did not come), ``max duration``, ``bot failed``, ``stuck`` (the pipeline had to be left behind), or
            what `end` or `release` was told.
        """
        if self._pipeline is None and not self.build():
            await self._call.transport.close()
            return "bot failed"
        assert self._pipeline is not None
        with logger.contextualize(call_id=self._call.call_id):
            return await self._run_pipeline(self._pipeline)

    async def _run_pipeline(self, pipeline: Pipeline) -> str:
        control = CallControl(self._generation, self._stream_over)
        tasks = TaskManager()
        worker = self._worker(StockPipeline([control, *self._call.remote.around(pipeline)]), tasks)
        self._watch_stream()
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        run = asyncio.create_task(runner.run(), name=f"call {self._call.call_id}")
        try:
            reason = await self._until_over(run, control)
            if not await self._ended(run, worker, control):
                reason = "stuck"
                await self._leave(run, tasks, pipeline)
        except asyncio.CancelledError:
            await self._leave(run, tasks, pipeline)
            raise
        finally:
            await self._call.transport.close()
        return reason

    def _worker(self, pipeline: StockPipeline, tasks: TaskManager) -> PipelineWorker:
        return PipelineWorker(
            pipeline,
            app_resources=self._call,
            cancel_timeout_secs=self._deadlines.cancel_s,
            check_dangling_tasks=False,
            conversation_id=self._call.call_id,
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
            observers=[*self._observers, *self._pipeline.observers] if self._pipeline else self._observers,
            params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
            processor_unusable_policy=ProcessorUnusablePolicy.END,
            setup_timeout_secs=self._deadlines.start_s,
            start_timeout_secs=self._deadlines.start_s,
            task_manager=tasks,
        )

    def _watch_stream(self) -> None:
        async def stream_over(*_: object) -> None:
            self._stream_over.set()

        self._call.transport.add_event_handler(  # pyright: ignore[reportUnknownMemberType]  an untyped callable
            "on_client_disconnected", stream_over
        )

    async def _until_over(self, run: asyncio.Task[None], control: CallControl) -> str:
        """Wait until the pipeline is through, begins to end, or has to."""
        if not await self._stream_came(run):
            return self._told_to_end or "no media stream"
        over = (self._stream_over, control.ending)
        if not await _first_of(run, *over, timeout_s=self._bot.max_call_s):
            return "max duration"
        if self._stream_over.is_set():
            return self._told_to_end or "caller"
        if not control.ending.is_set():
            self._generation.wants(Apologise("the pipeline did not start"))
        return "bot failed" if isinstance(self._generation.intent, Apologise) else "bot"

    async def _stream_came(self, run: asyncio.Task[None]) -> bool:
        """Wait for the media stream; False when there will be none, and nobody hears what the bot has said.

        A bot may say goodbye before: its pipeline then ends when that was heard.
        """
        if not self.attached:
            await _first_of(run, self._attached, self._stream_over, timeout_s=self._deadlines.stream_s)
        if self.attached or run.done():
            return True
        self._stream_over.set()
        await self._call.transport.close()
        return False

    async def _ended(self, run: asyncio.Task[None], worker: PipelineWorker, control: CallControl) -> bool:
        """Ask the pipeline to end, then to cancel; return whether it did either in time."""
        if not run.done() and not control.ending.is_set():
            await worker.queue_frame(EndFrame())
        unheard_s = self._call.transport.unheard_ms(self._call.clock()) / 1000
        stream_lives = not self._stream_over.is_set()
        await asyncio.wait({run}, timeout=self._deadlines.end_s + (unheard_s if stream_lives else 0.0))
        if not run.done():
            logger.warning("call {}: the pipeline did not end in time and is cancelled", self._call.call_id)
            await asyncio.wait_for(worker.cancel(), self._deadlines.cancel_s)
            await asyncio.wait({run}, timeout=self._deadlines.cancel_s)
        return run.done()

    async def _leave(self, run: asyncio.Task[None], tasks: TaskManager, pipeline: Pipeline) -> None:
        """Release what a pipeline that neither ends nor cancels holds, and go."""
        logger.error("call {}: the pipeline is stuck and left behind", self._call.call_id)
        run.cancel()
        of_pipeline = cast(
            "Sequence[asyncio.Task[None]]",
            tasks.current_tasks(),  # pyright: ignore[reportUnknownMemberType]  pipecat's tasks are untyped
        )
        for task in of_pipeline:
            task.cancel()
        cleanups = [asyncio.create_task(processor.cleanup()) for processor in _leaves(pipeline)]
        left = {run, *of_pipeline, *cleanups}
        _, stuck = await asyncio.wait(left, timeout=self._deadlines.leave_s)
        for task in stuck:
            task.cancel()


async def _first_of(run: asyncio.Task[None], *events: asyncio.Event, timeout_s: float) -> bool:
    """Wait until a pipeline is through or an event is set; False when neither came in time."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait({run, *waits}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return bool(done)


def _leaves(pipeline: StockPipeline) -> list[FrameProcessor]:
    return [processor for processor in pipeline.processors if not isinstance(processor, StockPipeline)]
