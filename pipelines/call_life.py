"""The life of one generation of a call: start, talk, end, each under a deadline of its own.

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

from .bot import Bot
from .call import Call
from .call_control import CallControl
from .ongoing import Apologise, HangUp, OngoingCall
from .pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each stage of a call may take, in seconds.

    Attributes:
        start_s: From the media stream's start until every processor has started.
        end_s: For ending, beyond what the caller has still to hear.
        cancel_s: For cancelling, when ending was not done in time.
        leave_s: For releasing what an uncancellable pipeline holds.
    """

    start_s: float = 15.0
    end_s: float = 5.0
    cancel_s: float = 2.0
    leave_s: float = 2.0


class CallLife:
    """Runs the pipeline of one generation from the media stream's start to its end.

    Args:
        bot: The bot that answers.
        call: The call.
        ongoing: Where its intents are stored.
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
        self._ongoing = ongoing
        self._observers = observers
        self._deadlines = deadlines or Deadlines()
        self._stream_over = asyncio.Event()
        self._told_to_end: str | None = None

    def end(self, reason: str) -> None:
        """End the call from outside: its carrier says it is over, or the server stops."""
        self._told_to_end = self._told_to_end or reason
        self._ongoing.wants(HangUp())
        self._stream_over.set()

    async def run(self) -> str:
        """Run the call to its end.

        Returns:
            Why it ended: ``bot`` (it hung up), ``caller`` (the media stream stopped), ``max duration``,
            ``bot failed``, ``stuck`` (the pipeline had to be left behind), or what `end` was told.
        """
        try:
            pipeline = self._bot.build(self._call)
        except Exception as failure:  # noqa: BLE001  a bot author's function may raise anything; the caller is told
            logger.error("call {}: bot {} failed: {!r}", self._call.call_id, self._bot.name, failure)
            self._ongoing.wants(Apologise("the bot failed to build its pipeline"))
            await self._call.transport.close()
            return "bot failed"
        return await self._run_pipeline(pipeline)

    async def _run_pipeline(self, pipeline: Pipeline) -> str:
        control = CallControl(self._ongoing, self._stream_over)
        tasks = TaskManager()
        worker = self._worker(StockPipeline([control, pipeline]), tasks)
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
            observers=self._observers,
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
        stream_over = asyncio.ensure_future(self._stream_over.wait())
        ending = asyncio.ensure_future(control.ending.wait())
        try:
            done, _ = await asyncio.wait(
                {run, stream_over, ending},
                timeout=self._bot.max_call_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            stream_over.cancel()
            ending.cancel()
        if not done:
            return "max duration"
        if stream_over in done:
            return self._told_to_end or "caller"
        if ending not in done:
            self._ongoing.wants(Apologise("the pipeline did not start"))
        return "bot failed" if isinstance(self._ongoing.intent, Apologise) else "bot"

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


def _leaves(pipeline: StockPipeline) -> list[FrameProcessor]:
    return [processor for processor in pipeline.processors if not isinstance(processor, StockPipeline)]
