"""A request for a WebSocket is read, and its socket handed on, also on a connection that was used before."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from callpipe.pipelines.runners.hand_over import MAX_HEAD_BYTES, handing_over, take_over, upgrade_request
from callpipe.pipelines.server import Server
from callpipe.transports.errors import SocketClosedError
from callpipe.transports.websocket import WebSocket
from callpipe.transports.websocket_server import UpgradeRequest

REQUEST = (
    b"GET /bandwidth/a/media?x=1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Authorization: Basic YTpi\r\n\r\n"
)


def test_a_request_is_read_with_its_headers_in_lower_case() -> None:
    request = upgrade_request(REQUEST + b"a first frame")
    assert request is not None
    assert request.path == "/bandwidth/a/media?x=1"
    assert request.headers["authorization"] == "Basic YTpi"
    assert request.headers["upgrade"] == "websocket"


@pytest.mark.parametrize(
    "received",
    [b"", b"GET / HTTP/1.1\r\n", b"GET /\r\n\r\n", b"GET / SIP/2.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n"],
)
def test_what_is_no_request_is_none(received: bytes) -> None:
    assert upgrade_request(received) is None


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda tail: REQUEST[:-2] + tail + b"\r\n\r\n"))
def test_any_bytes_are_a_request_or_none(received: bytes) -> None:
    request = upgrade_request(received)
    assert request is None or all(name == name.lower() for name in request.headers)


class Taker:
    """Takes sockets over as a runner does, in this process."""

    def __init__(self, refusal: HTTPStatus | None = None) -> None:
        self.refusal = refusal
        self.requests: list[UpgradeRequest] = []
        self.opened: asyncio.Queue[WebSocket] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    def __call__(self, request: UpgradeRequest, descriptor: int, received: bytes) -> HTTPStatus | None:
        self.requests.append(request)
        if self.refusal is None:
            taking = take_over(os.dup(descriptor), received, self.opened.put_nowait)
            self._tasks.append(asyncio.create_task(taking))
        return self.refusal


@asynccontextmanager
async def port_of(taker: Taker) -> AsyncGenerator[int]:
    app = FastAPI()
    app.add_api_route("/webhook", answered, methods=["POST"])
    ws: Callable[..., asyncio.BaseProtocol] = handing_over(taker)
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, ws=ws)  # pyright: ignore[reportArgumentType]
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # pyright: ignore[reportAttributeAccessIssue]
    listener = Server.listen("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def answered() -> str:
    return "answered"


def frame(text: bytes) -> bytes:
    """Return a client's text frame, masked with zeros."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


async def test_a_socket_is_handed_on_after_webhooks_on_the_same_connection() -> None:
    taker = Taker()
    async with port_of(taker) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"POST /webhook HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
            answer = await asyncio.wait_for(reader.readuntil(b'"answered"'), 5)
            assert answer.startswith(b"HTTP/1.1 200")
        writer.write(REQUEST)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 101")
        media = await asyncio.wait_for(taker.opened.get(), 5)
        writer.write(frame(b"hello"))
        assert await asyncio.wait_for(media.receive(), 5) == "hello"
        media.send("hello to you")
        assert await asyncio.wait_for(reader.readexactly(14), 5) == b"\x81\x0chello to you"
        writer.close()
        with pytest.raises(SocketClosedError):
            await asyncio.wait_for(media.receive(), 5)
    assert [request.path for request in taker.requests] == ["/bandwidth/a/media?x=1"]


async def test_a_request_in_pieces_is_handed_on_whole() -> None:
    taker = Taker()
    async with port_of(taker) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for at in range(0, len(REQUEST), 40):
            writer.write(REQUEST[at : at + 40])
            await asyncio.sleep(0.01)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 101")
        await (await asyncio.wait_for(taker.opened.get(), 5)).close()
        writer.close()


async def test_a_refusal_is_an_answer() -> None:
    async with port_of(Taker(HTTPStatus.UNAUTHORIZED)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        writer.close()


async def test_a_head_without_end_is_refused() -> None:
    taker = Taker()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(handing_over(taker), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n")
    await writer.drain()
    await asyncio.sleep(0.01)
    writer.write(b"X: " + b"x" * MAX_HEAD_BYTES)
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 400")
    writer.close()
    server.close()
    assert taker.requests == []
