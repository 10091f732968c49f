"""The line between caller and server: how late, how lossy, how far off its clock."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass

from ...errors import SocketClosedError, TransportsError
from ...websocket import WebSocket

PTIME_MS = 20
"""Milliseconds of audio in one packet."""

MAX_ON_THE_WAY = 4_096
"""Messages that may be under way to the carrier; beyond it the socket is not read."""


@dataclass(frozen=True, slots=True)
class Line:
    """How a line treats what crosses it.

    Attributes:
        one_way_ms: What every message takes, in each direction.
        jitter_ms: What a message takes more at the most, drawn evenly. Order is kept, as TCP keeps it.
        loss: The share of the caller's packets, 0.0 to below 1.0, that never reach the carrier.
        burst_packets: How many packets are lost in a row on average.
        drift_ppm: By how much the carrier's sample clock is faster than ours.
        prebuffer_ms: How much audio the carrier gathers before it starts to play.
        seed: Makes jitter and loss repeatable.
    """

    one_way_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    burst_packets: float = 3.0
    drift_ppm: float = 0.0
    prebuffer_ms: float = 0.0
    seed: int = 0


class BurstLoss:
    """Says packet by packet what a lossy line loses: a chain of two states, as Gilbert's model has it."""

    def __init__(self, line: Line) -> None:
        self._random = random.Random(line.seed)  # noqa: S311  loss is no secret
        self._ends = 1 / max(1.0, line.burst_packets)
        self._begins = min(1.0, self._ends * line.loss / (1 - line.loss))
        self._losing = False

    def lost(self) -> bool:
        """Say whether the next packet is lost."""
        chance = self._random.random()
        self._losing = chance >= self._ends if self._losing else chance < self._begins
        return self._losing


class PacketClock:
    """When each 20 ms packet is due by the carrier's sample clock.

    Args:
        started_at: When the first packet begins, in seconds.
        drift_ppm: By how much the carrier's clock is faster.
    """

    def __init__(self, started_at: float, drift_ppm: float = 0.0) -> None:
        self._started_at = started_at
        self._period_s = PTIME_MS / 1000 / (1 + drift_ppm / 1e6)

    def ends_at(self, packet: int) -> float:
        """Return when packet number `packet`, counted from 0, is complete: it is sent then."""
        return self._started_at + (packet + 1) * self._period_s


class _Delay:
    """When a message that leaves now arrives, never before the one ahead of it."""

    def __init__(self, line: Line, seed: int) -> None:
        self._line = line
        self._random = random.Random(seed)  # noqa: S311  jitter is no secret
        self.latest_arrival = 0.0

    def arrival(self, now: float) -> float:
        late_ms = self._line.one_way_ms + self._random.uniform(0, self._line.jitter_ms)
        self.latest_arrival = max(self.latest_arrival, now + late_ms / 1000)
        return self.latest_arrival


def over(line: Line, socket: WebSocket) -> WebSocket:
    """Return `socket` as it is at the far end of `line`."""
    return DelayedSocket(socket, line) if line.one_way_ms or line.jitter_ms else socket


class DelayedSocket:
    """A WebSocket with a line before it: every message takes its time, in both directions."""

    def __init__(self, socket: WebSocket, line: Line) -> None:
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._there = _Delay(line, 2 * line.seed)
        self._back = _Delay(line, 2 * line.seed + 1)
        self._leaving: deque[bytes | str] = deque()
        self._failure: TransportsError | None = None
        self._coming: asyncio.Queue[tuple[float, str | bytes | SocketClosedError]] = asyncio.Queue(
            MAX_ON_THE_WAY
        )
        self._next: tuple[float, str | bytes | SocketClosedError] | None = None
        self._reader = self._loop.create_task(self._read())

    def send(self, message: bytes | str) -> None:
        """Send a text message; see `WebSocket.send`. What the socket raises is raised at the next one."""
        if self._failure is not None:
            raise self._failure
        self._leaving.append(message)
        # Timers of the same moment fire in no fixed order, so each takes whatever message is next.
        self._loop.call_at(self._there.arrival(self._loop.time()), self._deliver)

    async def receive(self) -> str | bytes:
        """Return the next message; see `WebSocket.receive`."""
        if self._next is None:
            self._next = await self._coming.get()
        arrival, message = self._next
        await asyncio.sleep(max(0.0, arrival - self._loop.time()))
        if isinstance(message, SocketClosedError):
            raise message
        self._next = None
        return message

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        """Close the socket when all that was sent has arrived; see `WebSocket.close`."""
        closes_at = self._there.arrival(self._loop.time())
        await asyncio.sleep(max(0.0, closes_at - self._loop.time()))
        await self._socket.close(code, reason, deadline_s=deadline_s)
        self._reader.cancel()
        while not self._coming.empty():
            self._coming.get_nowait()
        self._failure = SocketClosedError(code, reason)
        self._coming.put_nowait((self._loop.time(), self._failure))

    def abort(self) -> None:
        """Reset the connection at once, where it is one that can be reset."""
        abort = getattr(self._socket, "abort", None)
        if abort is not None:
            abort()

    def _deliver(self) -> None:
        message = self._leaving.popleft()
        if self._failure is None:
            try:
                self._socket.send(message)
            except TransportsError as failure:
                self._failure = failure

    async def _read(self) -> None:
        while True:
            try:
                message = await self._socket.receive()
            except SocketClosedError as closed:
                self._failure = self._failure or closed
                await self._coming.put((self._back.arrival(self._loop.time()), closed))
                return
            await self._coming.put((self._back.arrival(self._loop.time()), message))
