"""The media lane: processors that pass audio on at once, in one order with every other frame.

A hop through a stock pipecat processor costs 10 to 20 microseconds: two queues, two tasks, observers, trace
strings. In the lane a processor hands audio straight to the next one, in about 0.2 microseconds. All frames,
not only audio, go that way (pipecat's direct mode), so they keep one order: with a way of its own, a new
answer's audio would overtake the interruption before it. Where the lane meets a stock processor, audio takes
that one's queue. Events are told to observers when they are first pushed; what nobody asked for (each further
hop, and who processes what) is not told.

Rules for whoever writes a lane processor: never await I/O in `process_event`; I/O lives in tasks the processor
owns. `process_audio` is synchronous.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from loguru import logger
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    FrameProcessorPauseFrame,
    FrameProcessorPauseUrgentFrame,
    FrameProcessorResumeFrame,
    FrameProcessorResumeUrgentFrame,
    InterruptionFrame,
    StartFrame,
    SystemFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameCallback, FrameDirection, FrameProcessor
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.frame_queue import FrameQueue

from .audio.formats import Tracks
from .errors import where
from .frames import AUDIO_FRAMES
from .neighbours import audio_goes_to, neighbour

DOWNSTREAM = FrameDirection.DOWNSTREAM
UPSTREAM = FrameDirection.UPSTREAM

MAX_HELD_FRAMES = 1_000
"""Frames that may wait for the start of the pipeline: 20 s of audio."""

PIPECATS_OWN = (
    StartFrame,
    EndFrame,
    CancelFrame,
    ErrorFrame,
    InterruptionFrame,
    FrameProcessorPauseFrame,
    FrameProcessorPauseUrgentFrame,
    FrameProcessorResumeFrame,
    FrameProcessorResumeUrgentFrame,
)
"""Frames that pipecat itself acts on in every processor: they take its way through all of them."""

PER_FRAME = (
    "on_before_process_frame",
    "on_after_process_frame",
    "on_before_push_frame",
    "on_after_push_frame",
)
"""pipecat's events of each single frame."""

PIPECATS_QUEUES = ("_FrameProcessor__input_queue", "_FrameProcessor__process_queue")
"""Where frames wait in pipecat, but for direct mode; both together take 3 kB a processor."""

_UNUSED = FrameQueue()
"""Stands for the queues of all lane processors: nothing is ever put into it."""

Rest: TypeAlias = Coroutine[Any, Any, None] | None
"""What passing audio on has left to be awaited: usually nothing."""


@functools.cache
def _is_pipecats_own(kind: type[Frame]) -> bool:
    """Return whether pipecat acts on such a frame; it is asked three times on every hop of an event."""
    return issubclass(kind, PIPECATS_OWN)


@functools.cache
def _is_audio(kind: type[Frame]) -> bool:
    return issubclass(kind, AUDIO_FRAMES)


class MediaProcessor(FrameProcessor):
    """A processor of the media lane.

    Subclasses override `process_audio`, `process_event` and, when they take or give other formats than they
    are offered, `formats`.
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
            name=name, enable_direct_mode=True
        )
        for queue in PIPECATS_QUEUES:
            setattr(self, queue, _UNUSED)
        self._lane_open = False
        self._lane_audio_watched = False
        self._lane_events_watched = True
        self._lane_give: Callable[[Frame], Rest] = _nowhere
        self._lane_next: FrameProcessor | None = None
        self._lane_previous: FrameProcessor | None = None
        self._lane_passing: Frame | None = None
        self._lane_held: list[tuple[Frame, FrameDirection, FrameCallback | None]] = []
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

    # Audio.

    def take_audio(self, frame: Frame) -> Rest:
        """Take audio from the processor before, at once where that is possible."""
        if not self._lane_open or self._lane_audio_watched:
            return self.queue_frame(frame)
        # A packet of the caller's is never cut off, and makes its id only when that is asked for.
        if not isinstance(frame, SystemFrame) and self._is_cut_off(frame):
            return None
        return self.pass_audio(frame)

    def pass_audio(self, frame: Frame) -> Rest:
        """Process an audio frame and hand what follows to the next processor."""
        try:
            following = self.process_audio(frame)
        except Exception as failure:  # noqa: BLE001  a bot author's processor may raise anything; audio goes on
            return self._audio_failed(failure)
        return None if following is None else self._lane_give(following)

    def hand_on_audio(self, frame: Frame) -> Rest:
        """Hand audio of our own to the next processor, once StartFrame has passed."""
        return self._lane_give(frame)

    async def push_audio(self, frame: Frame) -> None:
        """Hand audio of our own to the next processor, and await what that leaves to be awaited."""
        rest = self._lane_give(frame)
        if rest is not None:
            await rest

    # Every other frame, and audio that somebody watches.

    async def queue_frame(
        self,
        frame: Frame,
        direction: FrameDirection = DOWNSTREAM,
        callback: FrameCallback | None = None,
    ) -> None:
        """Take a frame from a neighbour: at once, and audio without any ceremony."""
        if not self._lane_open:
            await self._before_start(frame, direction, callback)
        elif frame.id < self._lane_interrupted_at_id and self._is_cut_off(frame):
            return
        elif callback is not None or _is_pipecats_own(type(frame)):
            if isinstance(frame, InterruptionFrame):
                self._lane_interrupted_at_id = frame.id
            await super().queue_frame(frame, direction, callback)
            if isinstance(frame, CancelFrame):
                self._lane_open = False
        elif direction is DOWNSTREAM and not self._lane_audio_watched and _is_audio(type(frame)):
            rest = self.pass_audio(frame)
            if rest is not None:
                await rest
        elif self._lane_events_watched:
            await super().queue_frame(frame, direction, callback)
        else:
            await self._take_event(frame, direction)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Process a frame as pipecat calls it: events, and audio that somebody watches."""
        if self._lane_events_watched or _is_pipecats_own(type(frame)):
            await super().process_frame(frame, direction)
        if direction is DOWNSTREAM and _is_audio(type(frame)):
            following = self.process_audio(frame)
            if following is not None:
                await self.push_frame(following, direction)
        else:
            await self.process_event(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = DOWNSTREAM) -> None:
        """Push a frame to a neighbour. Observers are told of it when it is pushed for the first time."""
        if self._lane_events_watched or _is_pipecats_own(type(frame)):
            await super().push_frame(frame, direction)
            return
        following = self._lane_next if direction is DOWNSTREAM else self._lane_previous
        if following is None:
            return
        try:
            if frame is not self._lane_passing:
                await self._tell_observers(frame, direction, following)
            await following.queue_frame(frame, direction)
        except Exception as failure:  # noqa: BLE001  whatever a neighbour raises, this one goes on, as in pipecat
            await self._failed("Uncaught exception", failure)

    async def _take_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Process a frame that a neighbour has pushed, and so told of."""
        before, self._lane_passing = self._lane_passing, frame
        try:
            if not self._cancelling:
                await self.process_frame(frame, direction)
        except Exception as failure:  # noqa: BLE001  a bot author's processor may raise anything, as in pipecat
            await self._failed("Error processing frame", failure)
        finally:
            self._lane_passing = before

    async def _tell_observers(self, frame: Frame, direction: FrameDirection, following: FrameProcessor) -> None:
        observer = self.processor_setup.observer
        if observer is not None:
            now = self.get_clock().get_time()
            await observer.on_push_frame(FramePushed(self, following, frame, direction, now))

    # The start.

    async def _before_start(
        self, frame: Frame, direction: FrameDirection, callback: FrameCallback | None
    ) -> None:
        """Hold frames that come before StartFrame has passed, then let them follow it in their order."""
        if isinstance(frame, StartFrame):
            self._find_neighbours()
            await super().queue_frame(frame, direction, callback)
            self._find_watchers()
            while self._lane_held and not self._cancelling:
                held_frame, held_direction, held_callback = self._lane_held.pop(0)
                await super().queue_frame(held_frame, held_direction, held_callback)
            self._lane_open = not self._cancelling
        elif isinstance(frame, (CancelFrame, ErrorFrame)):
            await super().queue_frame(frame, direction, callback)
        elif not self._cancelling:
            if len(self._lane_held) >= MAX_HELD_FRAMES:
                self._lane_held.pop(0)
            self._lane_held.append((frame, direction, callback))

    def _find_neighbours(self) -> None:
        self._lane_next = neighbour(self, DOWNSTREAM)
        self._lane_previous = neighbour(self, UPSTREAM)
        listener = audio_goes_to(self)
        while isinstance(listener, MediaProcessor) and listener.lets_audio_by():
            listener = audio_goes_to(listener)
        if isinstance(listener, MediaProcessor):
            self._lane_give = listener.take_audio
        elif listener is not None:
            self._lane_give = listener.queue_frame

    def lets_audio_by(self) -> bool:
        """Whether audio goes by this processor as if it were not there, and nobody watches it."""
        ways = ("take_audio", "pass_audio", "process_audio")
        inherited = all(getattr(type(self), way) is getattr(MediaProcessor, way) for way in ways)
        return inherited and not self._is_handled()

    def _is_handled(self) -> bool:
        """Whether somebody has a handler for each frame. pipecat keeps handlers in a private attribute."""
        return any(self._event_handlers[name].handlers for name in PER_FRAME)

    def _find_watchers(self) -> None:
        """Find out who asked for more than each frame's first push.

        pipecat keeps both in private attributes; tests/transports/test_lane.py holds their names.
        """
        observers: list[BaseObserver] = getattr(self.processor_setup.observer, "_observers", [])
        self._lane_audio_watched = any(one.observe_every_push for one in observers) or self._is_handled()
        self._lane_events_watched = self._lane_audio_watched or any(
            type(one).on_process_frame is not BaseObserver.on_process_frame for one in observers
        )
        if self._lane_audio_watched:
            self._lane_give = self.push_frame

    def _is_cut_off(self, frame: Frame) -> bool:
        """Whether a frame belongs to an answer that was interrupted before it came.

        A stock processor's queue lets an interruption overtake the frames before it. pipecat counts a frame's
        id up, so they are known by it.
        """
        return (
            frame.id < self._lane_interrupted_at_id
            and frame.interruptible
            and not isinstance(frame, SystemFrame)
        )

    async def _audio_failed(self, failure: Exception) -> None:
        """Report the 1st, 2nd, 4th, 8th ... failure, so that a storm stays readable."""
        self._lane_failures += 1
        if self._lane_failures & (self._lane_failures - 1) == 0:
            logger.error("{}: audio frame lost, {} so far: {}", self, self._lane_failures, where(failure))
            await self.push_error(f"audio frame lost, {self._lane_failures} so far", exception=failure)

    async def _failed(self, what: str, failure: Exception) -> None:
        await self.push_error(f"{what}: {failure}", exception=failure, category=ErrorCategory.UNKNOWN)


def _nowhere(_frame: Frame) -> Rest:
    """Hand audio to nobody."""
    return None
