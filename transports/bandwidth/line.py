"""What the two halves of the transport share: one media stream's socket, clock and playhead."""

from __future__ import annotations

from collections.abc import Callable

from ..audio.line_tracks import LineTracks
from ..audio.playhead import CarrierClock, Playhead
from ..errors import SocketBacklogError, SocketClosedError
from ..websocket import WebSocket

CLOSE_DEADLINE_S = 1.0


class MediaLine:
    """One call's line to the carrier.

    Args:
        socket: The media socket.
        clock: Monotonic seconds.
        playhead: What the caller has heard.

    Attributes:
        over: Nothing that is sent reaches the caller any more.
        closed_by_us: The bot ended the stream.
        backlog: Why sending failed, when the carrier did not read.
        tracks: Both tracks for the recorder, once somebody asked for them.
    """

    def __init__(self, socket: WebSocket, clock: Callable[[], float], playhead: Playhead) -> None:
        self.socket = socket
        self.clock = clock
        self.playhead = playhead
        self.over = False
        self.closed_by_us = False
        self.backlog: SocketBacklogError | None = None
        self.carrier_clock = CarrierClock()
        self.tracks: LineTracks | None = None

    def send(self, message: bytes) -> bool:
        """Send a message; False when it can't reach the caller any more."""
        if self.over:
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
        """End the media stream."""
        self.over = True
        self.closed_by_us = True
        await self.socket.close(deadline_s=CLOSE_DEADLINE_S)
