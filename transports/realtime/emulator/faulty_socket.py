"""The server's end of a session's socket: sends events, and breaks as the session's faults say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

import msgspec

from ...errors import SocketBacklogError, SocketClosedError
from ...websocket import WebSocket
from .faults import Disconnect, Drop
from .faulty_line import FaultyLine, Later, Outcome, Raw
from .server_events import ServerEvent
from .session_log import SessionLog

CLOSING_DEADLINE_S = 1.0


class FaultySocket:
    """Sends a session's events.

    Args:
        socket: The open socket to the client.
        line: What goes wrong.
        log: Keeps every event that was really sent.
        clock: Monotonic seconds.
        abort: Breaks the connection without a close frame.
    """

    def __init__(
        self,
        socket: WebSocket,
        line: FaultyLine,
        log: SessionLog,
        *,
        clock: Callable[[], float],
        abort: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._line = line
        self._log = log
        self._clock = clock
        self._abort = abort
        self._closed = False
        self._timers: list[asyncio.TimerHandle] = []
        self._closing: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to count the session's time."""
        self._follow(self._line.opened())

    def send(self, events: Iterable[ServerEvent]) -> None:
        """Send events, as far as the faults let them through."""
        for event in events:
            self._follow(self._line.outcomes(event))

    def close(self, code: int, reason: str) -> None:
        """Send nothing more, and close the socket."""
        if not self._closed:
            self._closed = True
            closing = self._socket.close(code, reason, deadline_s=CLOSING_DEADLINE_S)
            self._closing = asyncio.get_running_loop().create_task(closing)

    async def end(self) -> None:
        """The session is over: nothing strikes any more."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        if self._closing is not None:
            await asyncio.wait({self._closing}, timeout=CLOSING_DEADLINE_S + 1)

    def _follow(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            if self._closed:
                return
            match outcome:
                case Later(seconds=seconds):
                    self._timers.append(asyncio.get_running_loop().call_later(seconds, self._strike, outcome))
                case Drop():
                    self._closed = True
                    self._abort()
                case Disconnect(code=code, reason=reason):
                    self.close(code, reason)
                case Raw(text):
                    self._put(text.encode())
                case _:
                    self._put(msgspec.json.encode(outcome))
                    self._log.sent(outcome, self._clock())

    def _strike(self, later: Later) -> None:
        self._follow(self._line.strike(later.what))

    def _put(self, message: bytes) -> None:
        # A closed socket ends the session where its messages are read.
        with suppress(SocketClosedError, SocketBacklogError):
            self._socket.send(message)
