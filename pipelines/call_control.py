"""The head of every call's pipeline: stores what the bot wants before the media stream closes."""

from __future__ import annotations

import asyncio

from pipecat.frames.frames import EndFrame, EndWorkerFrame, ErrorFrame, Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callpipe.transports.errors import CallpipeError
from callpipe.transports.lane import MediaProcessor

from .ongoing import Apologise, Generation, HangUp


class CallControl(MediaProcessor):
    """Stands before the transport's input, so it sees an `EndFrame` before the transport's output does.

    The carrier asks what to do as soon as the media stream closes; by then the intent has been stored. An end
    that comes because the media stream was lost is no intent: the call may go on in another generation.

    Args:
        generation: Where the intent is stored.
        stream_over: Set when the media stream is over.

    Attributes:
        ending: Set when the pipeline has begun to end.
    """

    def __init__(self, generation: Generation, stream_over: asyncio.Event) -> None:
        super().__init__(name="CallControl")
        self._generation = generation
        self._stream_over = stream_over
        self.ending = asyncio.Event()

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Store the intent an ending means, and an apology when a processor can't go on."""
        if isinstance(frame, (EndFrame, EndWorkerFrame)):
            if not self._stream_over.is_set():
                self._generation.wants(HangUp())
            self.ending.set()
        elif isinstance(frame, ErrorFrame) and frame.processor is not None and not frame.processor.is_usable:
            self._generation.wants(Apologise(_why(frame.processor, frame.exception)))
        await self.push_frame(frame, direction)


def _why(processor: FrameProcessor, failure: Exception | None) -> str:
    """Return why a call can't go on. Only callpipe's own errors are sure to hold no word of a caller's."""
    words = f"{type(processor).__name__} can't go on"
    if isinstance(failure, CallpipeError):
        return f"{words}: {failure}"
    return words if failure is None else f"{words} ({type(failure).__name__})"
