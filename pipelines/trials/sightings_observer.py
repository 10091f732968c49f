"""Tells an emulated caller's expectations what only the bot's pipeline knows."""

from __future__ import annotations

from pipecat.observers.base_observer import BaseObserver, FramePushed

from callpipe.transports.bandwidth.emulator import Sightings
from callpipe.transports.call_events import BotTurnFrame, CallEventFrame, ToolCalledFrame


class SightingsObserver(BaseObserver):
    """Fills sightings with tool calls, and with the bot's words where nobody listens for them.

    Args:
        sightings: What is filled.
        events: Where the call's events are kept too, each once.
    """

    def __init__(self, sightings: Sightings, events: list[CallEventFrame]) -> None:
        super().__init__(observe_every_push=False)  # pyright: ignore[reportUnknownMemberType]  untyped kwargs
        self._sightings = sightings
        self._events = events
        self._seen: set[int] = set()

    async def on_push_frame(self, data: FramePushed) -> None:
        """Take an event once."""
        frame = data.frame
        if not isinstance(frame, CallEventFrame) or frame.id in self._seen:
            return
        self._seen.add(frame.id)
        self._events.append(frame)
        if isinstance(frame, ToolCalledFrame):
            self._sightings.tool_called(frame.tool_name, frame.arguments, frame.outcome, frame.output)
        elif isinstance(frame, BotTurnFrame) and self._sightings.tells_words:
            self._sightings.bot_said(frame.heard_text if frame.interrupted else frame.text)
