"""The head of a cascade: greets, and does for stock services what steering asks of a realtime model."""

from __future__ import annotations

from pipecat.frames.frames import Frame, LLMMessagesAppendFrame, StartFrame, TTSSpeakFrame
from pipecat.processors.frame_processor import FrameDirection

from callpipe.transports.lane import MediaProcessor
from callpipe.transports.steering import SayFrame, TellFrame


class CascadeHead(MediaProcessor):
    """Stands before the services. `call.say` and `call.tell` become what they understand.

    Args:
        greeting: What the bot says first; None lets the caller speak first.
    """

    def __init__(self, greeting: str | None = None) -> None:
        super().__init__()
        self._greeting = greeting

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Greet behind the StartFrame; translate what steers the model."""
        match frame:
            case StartFrame():
                await self.push_frame(frame, direction)
                if self._greeting is not None:
                    await self.push_frame(TTSSpeakFrame(self._greeting))
            case SayFrame(text=text):
                await self.push_frame(TTSSpeakFrame(text))
            case TellFrame(text=text, respond=respond):
                told = LLMMessagesAppendFrame([{"role": "system", "content": text}], run_llm=respond)
                await self.push_frame(told)
            case _:
                await self.push_frame(frame, direction)
