"""The media lane: processors that pass audio on at once, in one order with every other frame.

A hop through a stock pipecat processor costs 10 to 20 microseconds: two queues, two tasks, observers, trace
strings. In the lane a processor hands audio straight to the next one, in about 0.2 microseconds. All frames,
not only audio, go that way (pipecat's direct mode), so they keep one order: with a way of its own, a new
answer's audio would overtake the interruption before it. Where the lane meets a stock processor, audio takes
that one's queue.

Rules for whoever writes a lane processor: never await I/O in `process_event`; I/O lives in tasks the processor
owns. `process_audio` is synchronous.
"""

from __future__ import annotations

from collections import deque

from loguru import logger
from pipecat.frames.frames import CancelFrame, ErrorFrame, Frame, InterruptionFrame, StartFrame, SystemFrame
from pipecat.pipeline.pipeline import Pipeline, PipelineSink
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameCallback, FrameDirection, FrameProcessor

from .audio.formats import Tracks
from .errors import where
from .frames import AUDIO_FRAMES

DOWNSTREAM = FrameDirection.DOWNSTREAM
UPSTREAM = FrameDirection.UPSTREAM

MAX_HELD_FRAMES = 1_000
"""Frames that may wait for the start of the pipeline: 20 s of audio."""


class MediaProcessor(FrameProcessor):
    """A processor of the media lane.

    Subclasses override `process_audio`, `process_event` and, when they take or give other formats than they
    are offered, `formats`.
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
            name=name, enable_direct_mode=True
        )
        self._lane_open = False
        self._lane_observed = False
        self._lane_next: FrameProcessor | None = None
        self._lane_held: deque[tuple[Frame, FrameDirection, FrameCallback | None]] = deque()
        self._lane_failures = 0
        self._lane_interrupted_at_id = 0

    def formats(self, tracks: Tracks) -> Tracks:
        """Return the formats of both tracks after this processor, given those before it.

        Raises:
            FormatMismatchError: This processor does not take a track's format.
        """
        return tracks

    def process_audio(self, frame: Frame) -> Frame | None:
        """Return what follows downstream for an audio frame: the frame, another one, or None for nothing.

        Audio that is not yours is to be returned as it is: the other track's, and the line's for the recorder.
        """
        return frame

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Process a frame that is not audio. By default it is passed on."""
        await self.push_frame(frame, direction)

    async def queue_frame(
        self,
        frame: Frame,
        direction: FrameDirection = DOWNSTREAM,
        callback: FrameCallback | None = None,
    ) -> None:
        """Take a frame from a neighbour: at once, and audio without any ceremony."""
        if not self._lane_open:
            await self._before_start(frame, direction, callback)
        elif frame.id < self._lane_interrupted_at_id and _is_interruptible(frame):
            # A stock processor's queue lets an interruption overtake the frames before it (pipecat counts a
            # frame's id up, so they are known by it). They belong to the answer that was cut off.
            return
        elif (
            direction is DOWNSTREAM
            and callback is None
            and isinstance(frame, AUDIO_FRAMES)
            and not self._lane_observed
        ):
            await self.pass_audio(frame)
        else:
            if isinstance(frame, InterruptionFrame):
                self._lane_interrupted_at_id = frame.id
            await super().queue_frame(frame, direction, callback)
            if isinstance(frame, CancelFrame):
                self._lane_open = False

    async def pass_audio(self, frame: Frame) -> None:
        """Process an audio frame and hand what follows to the next processor."""
        try:
            following = self.process_audio(frame)
        except Exception as failure:  # noqa: BLE001  a bot author's processor may raise anything; audio goes on
            await self._audio_failed(failure)
            return
        if following is not None and self._lane_next is not None:
            await self._lane_next.queue_frame(following, DOWNSTREAM)

    async def push_audio(self, frame: Frame) -> None:
        """Hand audio of our own to the next processor, once StartFrame has passed."""
        if self._lane_observed:
            await self.push_frame(frame)
        elif self._lane_next is not None:
            await self._lane_next.queue_frame(frame, DOWNSTREAM)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Process a frame as pipecat calls it: events, and audio that somebody observes."""
        await super().process_frame(frame, direction)
        if direction is DOWNSTREAM and isinstance(frame, AUDIO_FRAMES):
            following = self.process_audio(frame)
            if following is not None:
                await self.push_frame(following, direction)
        else:
            await self.process_event(frame, direction)

    async def _before_start(
        self, frame: Frame, direction: FrameDirection, callback: FrameCallback | None
    ) -> None:
        """Hold frames that come before StartFrame has passed, then let them follow it in their order."""
        if isinstance(frame, StartFrame):
            self._lane_next = audio_goes_to(self._next)
            await super().queue_frame(frame, direction, callback)
            self._lane_observed = self._somebody_observes_audio()
            while self._lane_held and not self._cancelling:
                held_frame, held_direction, held_callback = self._lane_held.popleft()
                await super().queue_frame(held_frame, held_direction, held_callback)
            self._lane_open = not self._cancelling
        elif isinstance(frame, (CancelFrame, ErrorFrame)):
            await super().queue_frame(frame, direction, callback)
        elif not self._cancelling:
            if len(self._lane_held) >= MAX_HELD_FRAMES:
                self._lane_held.popleft()
            self._lane_held.append((frame, direction, callback))

    def _somebody_observes_audio(self) -> bool:
        """Whether an observer asked for every push, or an event handler for each of our frames.

        pipecat keeps both in private attributes; tests/transports/test_lane.py holds their names.
        """
        observer = self.processor_setup.observer
        observers = getattr(observer, "_observers", ())
        per_frame = (
            "on_before_process_frame",
            "on_after_process_frame",
            "on_before_push_frame",
            "on_after_push_frame",
        )
        return any(one.observe_every_push for one in observers) or any(
            self._event_handlers[name].handlers for name in per_frame
        )

    async def _audio_failed(self, failure: Exception) -> None:
        """Report the 1st, 2nd, 4th, 8th ... failure, so that a storm stays readable."""
        self._lane_failures += 1
        if self._lane_failures & (self._lane_failures - 1) == 0:
            logger.error("{}: audio frame lost, {} so far: {}", self, self._lane_failures, where(failure))
            await self.push_error(f"audio frame lost, {self._lane_failures} so far", exception=failure)


def audio_goes_to(following: FrameProcessor | None) -> FrameProcessor | None:
    """Return who gets the audio that is handed to a processor, or None when it can be dropped.

    Behind the last processor of a pipeline stands a sink of pipecat's, where a frame costs more than in all of
    the lane. It hands frames to what follows the pipeline, which may as well get them directly, or, in the
    outermost pipeline, to the worker, who has no use for audio unless a handler asked for it.
    """
    while isinstance(following, PipelineSink):
        owner: object = getattr(vars(following)["_downstream_push_frame"], "__self__", None)
        if isinstance(owner, PipelineWorker):
            return following if owner.reached_downstream_types else None
        if not isinstance(owner, Pipeline):
            break
        following = owner._next  # pyright: ignore[reportPrivateUsage]
    return following


def _is_interruptible(frame: Frame) -> bool:
    return frame.interruptible and not isinstance(frame, SystemFrame)
