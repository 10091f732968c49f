"""One media stream of a probe: plays tones, and follows what comes back on both tracks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.audio.g711 import decode_mulaw, encode_mulaw
from callpipe.transports.bandwidth.errors import MalformedMessageError
from callpipe.transports.bandwidth.messages import CLEAR, MediaMessage, parse, play_audio
from callpipe.transports.errors import SocketClosedError
from callpipe.transports.websocket import WebSocket

from .findings import Findings, frames

LISTEN_S = 3.0
HEARD_DEADLINE_S = 3.0
"""Sound that is not on the outbound track by then will not come."""
LOUD = 2_000
"""Of a tone of 8000; a line's noise stays below."""
PACKET = 160
QUIET_S = 0.5

_t = np.arange(8_000) / 8_000
TONE = encode_mulaw((8_000 * np.sin(2 * np.pi * 1_000 * _t)).astype("<i2").tobytes())
"""A second of 1 kHz."""


class ProbedStream:
    """A media stream that is listened to.

    Args:
        socket: Its socket, before its start message.
        clock: Monotonic seconds.

    Attributes:
        over: Set when the socket is closed.
    """

    def __init__(self, socket: WebSocket, clock: Callable[[], float]) -> None:
        self.over = asyncio.Event()
        self._socket = socket
        self._clock = clock
        self._arrivals: dict[str, list[tuple[float, int]]] = {"inbound": [], "outbound": []}
        self._loud_at: list[tuple[float, float]] = []  # when, and the milliseconds that were loud
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def measure(self, findings: Findings) -> None:
        """Measure what a stream in good health shows."""
        await asyncio.sleep(LISTEN_S)
        findings.frames = frames(self._arrivals["inbound"])
        findings.outbound_frames = frames(self._arrivals["outbound"])
        findings.short_start_ms = await self._start_of(TONE[:PACKET])
        if findings.short_start_ms is None:
            return
        await self._quiet()
        findings.long_start_ms = await self._start_of(TONE * 2)
        await asyncio.sleep(0.5)
        cleared_at = self._clock()
        self._socket.send(CLEAR)
        await self._quiet()
        findings.clear_ms = max((self._loud_at[-1][0] - cleared_at) * 1000, 0.0)
        began = len(self._loud_at)
        self._send(TONE * 5)
        await self._until(lambda: len(self._loud_at) > began)
        await self._quiet()
        findings.held_ms = sum(ms for _, ms in self._loud_at[began:])

    async def close(self) -> float:
        """Close the socket, and return when that was begun."""
        at = self._clock()
        await self._socket.close()
        return at

    def reset(self) -> float:
        """Reset the connection without a close frame, where the socket can; return when."""
        abort = getattr(self._socket, "abort", None)
        if abort is not None:
            abort()
        return self._clock()

    async def leave(self) -> None:
        """Stop listening."""
        self._reading.cancel()
        await self._socket.close()

    def _send(self, audio: bytes) -> None:
        for begin in range(0, len(audio), PACKET):
            self._socket.send(play_audio(audio[begin : begin + PACKET], PCMU_8K))

    async def _start_of(self, audio: bytes) -> float | None:
        """Send audio, and return after how many milliseconds it is heard."""
        began, sent_at = len(self._loud_at), self._clock()
        self._send(audio)
        if not await self._until(lambda: len(self._loud_at) > began):
            return None
        return (self._loud_at[began][0] - sent_at) * 1000

    async def _quiet(self) -> None:
        while self._loud_at and not self.over.is_set():
            quiet_s = self._clock() - self._loud_at[-1][0]
            if quiet_s >= QUIET_S:
                return
            await asyncio.sleep(QUIET_S - quiet_s)

    async def _until(self, happened: Callable[[], bool]) -> bool:
        try:
            async with asyncio.timeout(HEARD_DEADLINE_S):
                while not happened():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _read(self) -> None:
        try:
            while True:
                self._take(await self._socket.receive())
        except SocketClosedError:
            self.over.set()

    def _take(self, text: str | bytes) -> None:
        try:
            message = parse(text)
            if not isinstance(message, MediaMessage) or message.track not in self._arrivals:
                return
            audio = message.audio
        except MalformedMessageError:
            return
        now = self._clock()
        self._arrivals[message.track].append((now, len(audio)))
        if message.track == "outbound":
            loud = np.abs(np.frombuffer(decode_mulaw(audio), "<i2")).max(initial=0) > LOUD
            if loud:
                self._loud_at.append((now, len(audio) / 8))
                self._news.set()
