"""Two ends of a WebSocket in memory, with a line between them that delays. For emulators and tests."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field

from .errors import SocketClosedError
from .websocket import Take


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one direction of a line takes.

    Attributes:
        one_way_ms: What every message takes.
        jitter_ms: What a message takes more at the most, drawn evenly. Messages never overtake each other.
        seed: Makes the jitter repeatable.
    """

    one_way_ms: float = 0.0
    jitter_ms: float = 0.0
    seed: int = 0


@dataclass
class _Direction:
    latency: Latency
    random: random.Random = field(init=False)
    last_arrival: float = 0.0
    on_the_line: deque[str | bytes | SocketClosedError] = field(
        default_factory=deque["str | bytes | SocketClosedError"]
    )

    def __post_init__(self) -> None:
        self.random = random.Random(self.latency.seed)  # noqa: S311  jitter is no secret

    def arrival(self, now: float) -> float:
        jitter_ms = self.random.uniform(0, self.latency.jitter_ms) if self.latency.jitter_ms else 0.0
        self.last_arrival = max(self.last_arrival, now + (self.latency.one_way_ms + jitter_ms) / 1000)
        return self.last_arrival


class LoopbackSocket:
    """One end of an in-memory WebSocket; has the interface of `websocket.WebSocket`."""

    def __init__(self, direction: _Direction) -> None:
        self._loop = asyncio.get_running_loop()
        self._direction = direction
        self._peer: LoopbackSocket | None = None
        self._messages: deque[str | bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed: SocketClosedError | None = None
        self._hung_up = False
        self._take: Take | None = None

    def send(self, message: bytes | str) -> None:
        """Send a text message; see `WebSocket.send`."""
        if self._closed is not None:
            raise self._closed
        self._deliver(message.decode() if isinstance(message, bytes) else message)

    def send_binary(self, message: bytes) -> None:
        """Send a binary message, which callpipe itself never does."""
        self._deliver(message)

    async def receive(self) -> str | bytes:
        """Return the next message; see `WebSocket.receive`."""
        while not self._messages:
            if self._closed is not None:
                raise self._closed
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._messages.popleft()

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        """Close both ends; see `WebSocket.close`. The peer learns of it after the line's delay."""
        del deadline_s
        self._end(code, reason)

    def offer_to(self, take: Take) -> None:
        """Offer each message that comes; see `OfferingSocket.offer_to`."""
        self._take = take

    def abort(self) -> None:
        """Break the connection without a close frame."""
        self._end(1006, "")

    def _end(self, code: int, reason: str) -> None:
        if self._hung_up:
            return
        self._hung_up = True
        self._closing(code, reason)
        self._deliver(SocketClosedError(code, reason))

    def _deliver(self, message: str | bytes | SocketClosedError) -> None:
        """Put a message, or the end, on the line. It keeps their order: timers due together have none."""
        self._direction.on_the_line.append(message)
        arrival = self._direction.arrival(self._loop.time())
        if arrival <= self._loop.time():
            self._next_arrives()
        else:
            self._loop.call_at(arrival, self._next_arrives)

    def _next_arrives(self) -> None:
        assert self._peer is not None
        message = self._direction.on_the_line.popleft()
        if isinstance(message, SocketClosedError):
            self._peer._closing(message.code, message.reason)
        else:
            self._peer._arrived(message)

    def _arrived(self, message: str | bytes) -> None:
        if self._closed is not None:
            return
        if self._take is not None and not self._messages and self._take(message):
            return
        self._messages.append(message)
        self._wake()

    def _closing(self, code: int, reason: str) -> None:
        if self._closed is None:
            self._closed = SocketClosedError(code, reason)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def link(self, peer: LoopbackSocket) -> None:
        """Make `peer` the other end."""
        self._peer = peer


def socket_pair(
    there: Latency | None = None, back: Latency | None = None
) -> tuple[LoopbackSocket, LoopbackSocket]:
    """Return both ends of an in-memory WebSocket.

    Args:
        there: What messages of the first end take to reach the second.
        back: What messages of the second end take to reach the first.
    """
    first, second = (
        LoopbackSocket(_Direction(there or Latency())),
        LoopbackSocket(_Direction(back or Latency())),
    )
    first.link(second)
    second.link(first)
    return first, second
