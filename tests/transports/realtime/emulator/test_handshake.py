"""Faults of the handshake and broken connections over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest

from callpipe.transports import websocket
from callpipe.transports.errors import SocketClosedError, SocketRefusedError
from callpipe.transports.realtime.emulator import (
    Drop,
    Fault,
    RealtimeEmulatorServer,
    RefuseHandshake,
    SlowHandshake,
    UnansweredHandshake,
    first_sessions,
)
from callpipe.transports.speech.interfaces import Brain
from callpipe.transports.websocket import WebSocket

Brains = Callable[..., Brain]


async def reach(
    server: RealtimeEmulatorServer, headers: Mapping[str, str] | None = None, *, deadline_s: float = 5.0
) -> WebSocket:
    url = f"{server.url}/realtime?model=m".replace("http", "ws", 1)
    return await websocket.connect(url, headers=headers or {}, deadline_s=deadline_s)


def served(brain: Brains, *faults: Fault) -> RealtimeEmulatorServer:
    return RealtimeEmulatorServer(brain, faults=first_sessions(1, *faults))


@pytest.mark.parametrize("retry_after_s", [None, 3])
async def test_a_refusal_with_its_retry_after(brain: Brains, retry_after_s: int | None) -> None:
    async with served(brain, RefuseHandshake(429, retry_after_s)) as server:
        with pytest.raises(SocketRefusedError) as refused:
            await reach(server)
        assert (refused.value.status, refused.value.retry_after_s) == (429, retry_after_s)
        socket = await reach(server)
        await socket.receive()
        await socket.close()


async def test_a_slow_handshake(brain: Brains) -> None:
    async with served(brain, SlowHandshake(0.2)) as server:
        began = time.monotonic()
        socket = await reach(server)
        assert time.monotonic() - began >= 0.2
        await socket.receive()
        await socket.close()


async def test_a_handshake_that_is_never_answered(brain: Brains) -> None:
    async with served(brain, UnansweredHandshake()) as server:
        with pytest.raises(SocketRefusedError) as refused:
            await reach(server, deadline_s=0.2)
        assert refused.value.status is None


async def test_closing_the_server_leaves_no_handshake_waiting(brain: Brains) -> None:
    server = served(brain, UnansweredHandshake())
    async with server:
        waiting = asyncio.create_task(reach(server))
        await asyncio.sleep(0.1)
    with pytest.raises(SocketRefusedError):
        await waiting


async def test_a_connection_that_breaks(brain: Brains) -> None:
    async with served(brain, Drop(1)) as server:
        socket = await reach(server)
        with pytest.raises(SocketClosedError) as closed:
            await socket.receive()
        assert closed.value.code == 1006


async def test_a_client_of_the_beta_is_closed_at_once(brain: Brains) -> None:
    async with served(brain) as server:
        socket = await reach(server, {"OpenAI-Beta": "realtime=v1"})
        with pytest.raises(SocketClosedError) as closed:
            await socket.receive()
        assert closed.value.code == 4000
        assert closed.value.reason == "invalid_request_error.beta_api_shape_disabled"


async def test_a_request_without_an_end_is_given_up(brain: Brains) -> None:
    async with served(brain) as server:
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v1/realtime HTTP/1.1\r\n" + b"x" * 70_000)
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()


async def test_a_request_is_answered_when_it_is_whole(brain: Brains) -> None:
    async with served(brain, RefuseHandshake(503)) as server:
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v1/realtime HTTP/1.1\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        writer.write(b"\r\n")
        assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 503")
        writer.close()
        await writer.wait_closed()
