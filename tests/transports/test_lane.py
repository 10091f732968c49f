"""The lane keeps one order for all frames, alone and with stock pipecat processors between."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pipecat.audio.vad.vad_analyzer import VADAnalyzer
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FrameProcessed, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from callpipe.transports.frames import EncodedAudio, InputEncodedAudioFrame, OutputEncodedAudioFrame
from callpipe.transports.lane import PIPECATS_QUEUES, MediaProcessor

MAX_HELD_FRAMES = 1_000

WATCHED = (
    StartFrame,
    EndFrame,
    CancelFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)


class Source(MediaProcessor):
    """The head of a pipeline; tests push frames from it."""


class Passing(MediaProcessor):
    """A lane processor that changes nothing."""


class Stock(FrameProcessor):
    """A stock processor with its queues and tasks."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class QuietVAD(VADAnalyzer):
    """A VAD that hears nothing: what counts here is its processor's place in the pipeline."""

    def num_frames_required(self) -> int:
        return 160

    def voice_confidence(self, buffer: bytes) -> float:
        return 0.0


class Written(MediaProcessor):
    """The tail of a pipeline: writes down what arrives, and lets an interruption flush it as an output does."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def process_audio(self, frame: Frame) -> Frame | None:
        self.order.append(audio_name(frame))
        return None

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        if direction is FrameDirection.DOWNSTREAM:
            name = type(frame).__name__.removesuffix("Frame")
            if isinstance(frame, WATCHED) or name == "Interruption":
                self.order.append(name)
        await self.push_frame(frame, direction)


def audio_name(frame: Frame) -> str:
    if isinstance(frame, (InputEncodedAudioFrame, OutputEncodedAudioFrame)):
        return f"encoded {frame.encoded.audio[0]}"
    assert isinstance(frame, (InputAudioRawFrame, OutputAudioRawFrame))
    return f"{'caller' if isinstance(frame, InputAudioRawFrame) else 'bot'} {frame.audio[0]}"


def bot(number: int) -> TTSAudioRawFrame:
    return TTSAudioRawFrame(bytes([number]) + bytes(319), 8000, 1)


def caller(number: int) -> InputAudioRawFrame:
    return InputAudioRawFrame(bytes([number]) + bytes(319), 8000, 1)


def encoded(number: int) -> OutputEncodedAudioFrame:
    return OutputEncodedAudioFrame(EncodedAudio(audio=bytes([number] * 160)))


def nothing_between() -> list[FrameProcessor]:
    return []


def stock_between() -> list[FrameProcessor]:
    return [Stock()]


def recorder_between() -> list[FrameProcessor]:
    return [AudioBufferProcessor(sample_rate=8000)]


def vad_between() -> list[FrameProcessor]:
    return [VADProcessor(vad_analyzer=QuietVAD(sample_rate=8000))]


BETWEEN = [nothing_between, stock_between, recorder_between, vad_between]


@asynccontextmanager
async def running(
    processors: Sequence[FrameProcessor], observers: list[BaseObserver] | None = None
) -> AsyncGenerator[PipelineWorker]:
    worker = PipelineWorker(
        Pipeline(list(processors)),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
        observers=observers,
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    try:
        yield worker
    finally:
        if not run.done():
            await worker.cancel()
        await asyncio.wait_for(run, 5)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("between", BETWEEN)
async def test_audio_before_start_follows_it(between: Callable[[], list[FrameProcessor]]) -> None:
    source, written = Source(), Written()
    early = [bot(1), bot(2)]
    async with running([source, Passing(), *between(), Passing(), written]):
        for frame in early:
            await source.queue_frame(frame)
        await until(lambda: len(written.order) >= 3)
    assert written.order[:3] == ["Start", "bot 1", "bot 2"]


@pytest.mark.parametrize("between", BETWEEN)
async def test_interruption_comes_between_the_old_answer_and_the_new(
    between: Callable[[], list[FrameProcessor]],
) -> None:
    source, written = Source(), Written()
    async with running([source, Passing(), *between(), Passing(), written]) as worker:
        await until(lambda: "Start" in written.order)
        for frame in (TTSStartedFrame(), bot(1), bot(2)):
            await source.push_frame(frame)
        await source.broadcast_interruption()
        for frame in (TTSStartedFrame(), bot(3), bot(4), TTSStoppedFrame()):
            await source.push_frame(frame)
        await worker.queue_frame(EndFrame())
        await until(lambda: "End" in written.order)
    interrupted = written.order.index("Interruption")
    assert written.order[interrupted:] == [
        "Interruption",
        "TTSStarted",
        "bot 3",
        "bot 4",
        "TTSStopped",
        "End",
    ]
    assert "bot 3" not in written.order[:interrupted]


@pytest.mark.parametrize("between", BETWEEN)
async def test_speech_boundaries_stay_around_their_audio(
    between: Callable[[], list[FrameProcessor]],
) -> None:
    source, written = Source(), Written()
    async with running([source, Passing(), *between(), Passing(), written]) as worker:
        await until(lambda: "Start" in written.order)
        frames = [
            TTSStartedFrame(),
            bot(1),
            bot(2),
            TTSStoppedFrame(),
            TTSStartedFrame(),
            bot(3),
            TTSStoppedFrame(),
        ]
        for frame in frames:
            await source.push_frame(frame)
        await worker.queue_frame(EndFrame())
        await until(lambda: "End" in written.order)
    assert written.order == [
        "Start", "TTSStarted", "bot 1", "bot 2", "TTSStopped", "TTSStarted", "bot 3", "TTSStopped", "End",
    ]  # fmt: skip


@pytest.mark.parametrize("between", BETWEEN)
async def test_caller_audio_and_speech_edges_keep_their_order(
    between: Callable[[], list[FrameProcessor]],
) -> None:
    source, written = Source(), Written()
    async with running([source, Passing(), *between(), Passing(), written]) as worker:
        await until(lambda: "Start" in written.order)
        frames = [caller(1), UserStartedSpeakingFrame(), caller(2), UserStoppedSpeakingFrame(), caller(3)]
        for frame in frames:
            await source.push_frame(frame)
        await until(lambda: "caller 3" in written.order)
        await worker.queue_frame(EndFrame())
        await until(lambda: "End" in written.order)
    assert written.order == [
        "Start", "caller 1", "UserStartedSpeaking", "caller 2", "UserStoppedSpeaking", "caller 3", "End",
    ]  # fmt: skip


async def test_stock_processors_never_take_encoded_audio_for_pcm() -> None:
    source, recorder, written = Source(), AudioBufferProcessor(sample_rate=8000), Written()
    async with running([source, recorder, written]):
        await until(lambda: "Start" in written.order)
        await source.push_frame(encoded(7))
        await until(lambda: "encoded 7" in written.order)
        assert not recorder.has_audio()


def errors_of(worker: PipelineWorker) -> list[str]:
    """What the pipeline is told of errors, from now on."""
    errors: list[str] = []

    @worker.event_handler("on_pipeline_error")
    async def on_error(_worker: PipelineWorker, frame: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        errors.append(frame.error)

    return errors


async def test_a_processor_that_raises_on_audio_costs_that_frame_only(logged: list[str]) -> None:
    class Broken(MediaProcessor):
        def process_audio(self, frame: Frame) -> Frame | None:
            if audio_name(frame) != "bot 9":
                raise LookupError("what the caller said")
            return frame

    source, written = Source(), Written()
    async with running([source, Broken(), written]) as worker:
        errors = errors_of(worker)
        await until(lambda: "Start" in written.order)
        for _ in range(100):
            await source.push_frame(bot(1))
        await source.push_frame(bot(9))
        await until(lambda: "bot 9" in written.order)
        await until(lambda: len(errors) == 7)
    assert written.order.count("bot 1") == 0
    assert errors[-1] == "audio frame lost, 64 so far"
    assert logged


async def test_a_processor_that_raises_on_an_event_costs_that_event_only() -> None:
    class Broken(MediaProcessor):
        async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
            if isinstance(frame, UserStartedSpeakingFrame):
                raise LookupError("no such table")
            await super().process_event(frame, direction)

    source, written = Source(), Written()
    async with running([source, Broken(), written]) as worker:
        errors = errors_of(worker)
        await until(lambda: "Start" in written.order)
        await source.push_frame(UserStartedSpeakingFrame())
        await source.push_frame(UserStoppedSpeakingFrame())
        await until(lambda: written.order[-1] == "UserStoppedSpeaking" and errors != [])
    assert "UserStartedSpeaking" not in written.order
    assert errors == ["Error processing frame: no such table"]


async def test_audio_skips_observers_that_want_a_frame_once_and_reaches_those_that_want_every_push() -> None:
    class Watching(BaseObserver):
        def __init__(self, *, observe_every_push: bool) -> None:
            super().__init__(observe_every_push=observe_every_push)  # pyright: ignore[reportUnknownMemberType]
            self.audio = 0

        async def on_push_frame(self, data: FramePushed) -> None:
            self.audio += isinstance(data.frame, TTSAudioRawFrame)

    for every_push, expected in ((False, 1), (True, 3)):
        source, written, watching = Source(), Written(), Watching(observe_every_push=every_push)
        async with running([source, Passing(), Passing(), written], [watching]):
            await until(lambda written=written: "Start" in written.order)
            await source.push_frame(bot(1))
            await until(lambda written=written: "bot 1" in written.order)
            await until(lambda watching=watching, expected=expected: watching.audio >= expected)
            assert watching.audio == expected


async def test_an_observer_that_asked_for_it_is_told_who_processes_an_event() -> None:
    source, passing, written, by = Source(), Passing(), Written(), list[FrameProcessor]()

    class Following(BaseObserver):
        async def on_process_frame(self, data: FrameProcessed) -> None:
            if isinstance(data.frame, UserStartedSpeakingFrame):
                by.append(data.processor)

    async with running([source, passing, written], [Following(observe_every_push=False)]):
        await until(lambda: "Start" in written.order)
        await source.push_frame(UserStartedSpeakingFrame())
        await until(lambda: written in by)
    assert by[:2] == [passing, written]


@pytest.mark.parametrize("between", BETWEEN)
async def test_audio_reaches_the_end_of_the_pipeline_where_a_handler_asked_for_it(
    between: Callable[[], list[FrameProcessor]],
) -> None:
    source, reached = Source(), list[Frame]()
    worker = PipelineWorker(
        Pipeline([source, *between(), Passing()]), enable_rtvi=False, idle_timeout_secs=None
    )
    worker.set_reached_downstream_filter((TTSAudioRawFrame,))

    @worker.event_handler("on_frame_reached_downstream")
    async def reached_downstream(_worker: PipelineWorker, frame: Frame) -> None:
        reached.append(frame)

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    await source.queue_frame(bot(1))
    await until(lambda: [type(frame) for frame in reached] == [TTSAudioRawFrame])
    await worker.cancel()
    await asyncio.wait_for(run, 5)


async def test_per_frame_event_handlers_are_called_for_audio_when_somebody_asked() -> None:
    source, passing, written = Source(), Passing(), Written()
    seen: list[str] = []

    @passing.event_handler("on_before_process_frame")
    async def before(_processor: FrameProcessor, frame: Frame) -> None:  # pyright: ignore[reportUnusedFunction]
        if isinstance(frame, TTSAudioRawFrame):
            seen.append(audio_name(frame))

    async with running([source, passing, written]):
        await until(lambda: "Start" in written.order)
        await source.push_frame(bot(5))
        await until(lambda: "bot 5" in written.order)
    assert seen == ["bot 5"]


async def test_nothing_passes_after_cancel() -> None:
    source, passing, written = Source(), Passing(), Written()
    async with running([source, passing, written]) as worker:
        # The worker pushes its first frame once the start is over; cancelled before, it sends no CancelFrame.
        await worker.queue_frame(bot(0))
        await until(lambda: "bot 0" in written.order)
        await worker.cancel()
        await until(lambda: "Cancel" in written.order)
        await passing.queue_frame(bot(1))
    assert written.order[-1] == "Cancel"


async def test_frames_held_before_start_are_bounded() -> None:
    passing = Passing()
    for number in range(MAX_HELD_FRAMES + 50):
        await passing.queue_frame(bot(number % 256))
    assert len(passing._lane_held) == MAX_HELD_FRAMES  # pyright: ignore[reportPrivateUsage]


def test_pipecat_still_keeps_what_the_lane_reads() -> None:
    processor = Passing()
    handlers = processor._event_handlers  # pyright: ignore[reportPrivateUsage]
    for name in (
        "on_before_process_frame",
        "on_after_process_frame",
        "on_before_push_frame",
        "on_after_push_frame",
    ):
        assert handlers[name].handlers == []
    assert hasattr(processor, "_cancelling")


def test_lane_processors_have_no_queues_of_their_own() -> None:
    names = [name for name, held in vars(FrameProcessor()).items() if isinstance(held, asyncio.Queue)]
    assert sorted(names) == sorted(PIPECATS_QUEUES), "pipecat's names"
    first, second = vars(MediaProcessor()), vars(MediaProcessor())
    assert all(first[name] is second[name] for name in names)
