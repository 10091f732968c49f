"""What the two halves of the transport share: one media stream's socket, clock and playhead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..audio.line_tracks import LineTracks
from ..audio.playhead import CarrierClock, Playhead
from ..errors import SocketBacklogError, SocketClosedError
from ..websocket import WebSocket
from .messages import StartMessage

CLOSE_DEADLINE_S = 1.0


class MediaLine:
    """One call's line to the carrier; its media stream may come later than the pipeline that uses it.

    Args:
        clock: Monotonic seconds.
        playhead: What the caller has heard.

    Attributes:
        socket: The media socket, None until the stream is there.
        start: The stream's start message, None until the stream is there.
        attached: Set once the stream is there.
        over: Nothing that is sent reaches the caller any more.
        closed_by_us: The bot ended the stream.
        backlog: Why sending failed, when the carrier did not read.
        tracks: Both tracks for the recorder, once somebody asked for them.
    """

    def __init__(self, clock: Callable[[], float], playhead: Playhead) -> None:
        self.socket: WebSocket | None = None
        self.start: StartMessage | None = None
        self.attached = asyncio.Event()
        self.clock = clock
        self.playhead = playhead
        self.over = False
        self.closed_by_us = False
        self.backlog: SocketBacklogError | None = None
        self.carrier_clock = CarrierClock()
        self.tracks: LineTracks | None = None

    def attach(self, socket: WebSocket, start: StartMessage) -> None:
        """Take the media stream, after its start message."""
        self.socket = socket
        self.start = start
        self.attached.set()

    def send(self, message: bytes) -> bool:
        """Send a message; False when it can't reach the caller, because the stream is over or not there yet."""
        if self.over or self.socket is None:
            return False
        try:
            self.socket.send(message)
        except SocketBacklogError as backlog:
            self.backlog = backlog
        except SocketClosedError:
            # Whoever reads the socket learns of it too, and says how the stream ended.
            pass
        else:
            return True
        self.over = True
        return False

    def ended(self, now: float) -> None:
        """Note that the stream is over: the caller hears no more."""
        self.over = True
        self.playhead.cleared(now)

    async def close(self) -> None:
        """End the media stream; one that is not there yet will find the line over."""
        self.over = True
        self.closed_by_us = True
        if self.socket is not None:
            await self.socket.close(deadline_s=CLOSE_DEADLINE_S)
