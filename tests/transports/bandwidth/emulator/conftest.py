"""A server under test that lives in the test: its documents, its media sockets, and what it was told."""

from __future__ import annotations

import array
import asyncio
import base64
import inspect
import json
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from callpipe.transports.audio.g711 import encode_mulaw
from callpipe.transports.bandwidth.emulator.caller import Caller
from callpipe.transports.bandwidth.emulator.carrier import Carrier
from callpipe.transports.bandwidth.emulator.line import Line
from callpipe.transports.bandwidth.emulator.report import CallReport
from callpipe.transports.bandwidth.emulator.script import parse_script
from callpipe.transports.errors import SocketClosedError, SocketRefusedError
from callpipe.transports.loopback import socket_pair
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket import WebSocket

Bot = Callable[["BotSocket"], Awaitable[None]]

STREAM = (
    '<StartStream name="one" mode="bidirectional" destination="wss://bot.example/media"'
    ' destinationUsername="u" destinationPassword="p" streamEventUrl="/stream"/>'
)
STREAM_AND_WAIT = f'{STREAM}<StopStream name="one" wait="true"/>'


def bxml(*verbs: str) -> str:
    return f"<?xml version='1.0' encoding='UTF-8'?><Response>{''.join(verbs)}</Response>"


def tone(duration_ms: float, rate: int = 8_000, hertz: float = 440, amplitude: int = 8_000) -> bytes:
    samples = round(duration_ms * rate / 1000)
    wave = (round(amplitude * math.sin(2 * math.pi * hertz * n / rate)) or 200 for n in range(samples))
    return array.array("h", wave).tobytes()


class ToneOnly:
    """A voice that says every text as one tone, 50 ms a character."""

    sample_rate = 8_000

    def speak(self, text: str) -> Iterator[bytes]:
        for _ in text:
            yield tone(50)


@dataclass
class BotSocket:
    """The server's end of a media stream."""

    socket: WebSocket
    clock: Callable[[], float]
    received: list[tuple[float, dict[str, Any]]] = field(default_factory=list[tuple[float, dict[str, Any]]])

    def play(self, pcm: bytes, rate: int = 8_000) -> None:
        if rate == 8_000:
            content_type, payload = "audio/pcmu", encode_mulaw(pcm)
        else:
            content_type = f"audio/pcm;rate={rate};channels=1;bit-depth=16;endian=little;encoding=signed"
            payload = pcm
        media = {"contentType": content_type, "payload": base64.b64encode(payload).decode()}
        self.socket.send(json.dumps({"eventType": "playAudio", "media": media}))

    def clear(self) -> None:
        self.socket.send('{"eventType":"clear"}')

    async def next(self) -> dict[str, Any]:
        message = json.loads(await self.socket.receive())
        self.received.append((self.clock(), message))
        return message

    async def until_speech(self) -> None:
        """Read until the caller says something that is not silence."""
        while True:
            message = await self.next()
            if message["eventType"] == "media" and set(base64.b64decode(message["payload"])) != {0xFF}:
                return

    async def until_silence(self, packets: int = 10) -> None:
        """Read until the caller has been silent for so many packets."""
        silent = 0
        while silent < packets:
            message = await self.next()
            silent = silent + 1 if set(base64.b64decode(message.get("payload", ""))) == {0xFF} else 0

    async def until_packets(self, packets: int) -> None:
        """Read until so many packets of the caller's have come."""
        while len(self.media()) < packets:
            await self.next()

    async def until_closed(self) -> int:
        """Read until the stream is over; return the close code."""
        try:
            while True:
                await self.next()
        except SocketClosedError as closed:
            return closed.code

    def media(self) -> list[tuple[float, dict[str, Any]]]:
        return [(at, message) for at, message in self.received if message["eventType"] == "media"]


@dataclass
class Webhook:
    path: str
    authorization: str | None
    payload: dict[str, Any]


class FakeServer:
    """Answers webhooks with the documents it is given, and media sockets with the bot it is given."""

    def __init__(self, documents: Mapping[str, object], bot: Bot | None = None) -> None:
        self.documents = documents
        self.bot = bot
        self.webhooks: list[Webhook] = []
        self.handshakes: list[tuple[str, Mapping[str, str]]] = []
        self.sockets: list[BotSocket] = []
        self.bots: list[asyncio.Task[None]] = []

    def carrier(self, line: Line | None = None, **settings: Any) -> Carrier:
        loop = asyncio.get_running_loop()

        async def at_once(function: Callable[[], Any]) -> Any:
            return function()

        defaults: dict[str, Any] = {
            "initiate_url": "https://bot.example/initiate",
            "status_url": "https://bot.example/status",
            "username": "bandwidth",
            "password": "secret",
            "http": httpx.AsyncClient(transport=httpx.MockTransport(self.answer)),
            "connect": self.connect,
            "run_blocking": at_once,
            "clock": loop.time,
            "line": line,
        }
        return Carrier(**(defaults | settings))

    async def answer(self, request: httpx.Request) -> httpx.Response:
        payload = json.loads(await request.aread() or b"{}")
        path = request.url.path
        self.webhooks.append(Webhook(path, request.headers.get("Authorization"), payload))
        document = self.documents.get(path, httpx.Response(204))
        if inspect.iscoroutinefunction(document):
            document = await document()
        if isinstance(document, Exception):
            raise document
        return document if isinstance(document, httpx.Response) else httpx.Response(200, text=str(document))

    async def connect(self, url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        del deadline_s
        self.handshakes.append((url, headers))
        if self.bot is None:
            raise SocketRefusedError("the handshake was refused with status 401", 401)
        carriers, servers = socket_pair()
        socket = BotSocket(servers, asyncio.get_running_loop().time)
        self.sockets.append(socket)
        self.bots.append(asyncio.get_running_loop().create_task(self._serve(socket, self.bot)))
        return carriers

    def events(self) -> list[str]:
        return [str(webhook.payload["eventType"]) for webhook in self.webhooks]

    def webhook(self, event_type: str) -> Webhook:
        return next(webhook for webhook in self.webhooks if webhook.payload["eventType"] == event_type)

    @staticmethod
    async def _serve(socket: BotSocket, bot: Bot) -> None:
        try:
            await bot(socket)
        finally:
            await socket.socket.close()


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


async def silent_bot(socket: BotSocket) -> None:
    await socket.until_closed()


def place(server: FakeServer, script: str, line: Line | None = None, **settings: Any) -> CallReport:
    """Place a call in virtual time."""

    async def main() -> CallReport:
        report = await server.carrier(line, **settings).place_call(Caller(parse_script(script), ToneOnly()))
        await asyncio.gather(*server.bots)
        return report

    return run_virtual(main())


@dataclass
class Kit:
    """What the tests of a whole call work with."""

    server: type[FakeServer]
    place: Callable[..., CallReport]
    voice: type[ToneOnly]
    tone: Callable[..., bytes]
    bxml: Callable[..., str]
    stream: str
    stream_and_wait: str


@pytest.fixture
def kit() -> Kit:
    return Kit(FakeServer, place, ToneOnly, tone, bxml, STREAM, STREAM_AND_WAIT)
