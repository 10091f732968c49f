"""Hands a media socket from the server's process to a runner's, with the bytes that were read from it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from callpipe.transports.websocket import WebSocket
from callpipe.transports.websocket_server import UpgradeRequest, media_socket_protocol

MAX_HEAD_BYTES = 32 * 1024
"""A larger request for a WebSocket is refused."""

Take = Callable[[UpgradeRequest, int, bytes], HTTPStatus | None]
"""Takes a socket over, given the request for a WebSocket, its descriptor and the bytes that were read; or
returns the status that refuses it. The descriptor stays the caller's, who closes it."""


def handing_over(take: Take) -> Callable[..., asyncio.BaseProtocol]:
    """Return what uvicorn's `ws=` setting takes, so that WebSockets on its port are handed on unopened.

    Args:
        take: Called with each request for a WebSocket.
    """

    def protocol(**_uvicorns: Any) -> asyncio.BaseProtocol:
        return _HandOver(take)

    return protocol


class _HandOver(asyncio.Protocol):
    """Reads the request for a WebSocket, and leaves everything behind it to another process."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._received += data
        if b"\r\n\r\n" not in self._received and len(self._received) < MAX_HEAD_BYTES:
            return
        request = upgrade_request(self._received)
        if request is None:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        descriptor = self._transport.get_extra_info("socket").fileno()
        refusal = self._take(request, descriptor, self._received)
        if refusal is None:
            self._transport.abort()  # closes our descriptor; the connection lives in the other process
        else:
            self._refuse(refusal)

    def _refuse(self, status: HTTPStatus) -> None:
        assert self._transport is not None
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self._transport.write(head.encode())
        self._transport.close()


def upgrade_request(received: bytes) -> UpgradeRequest | None:
    """Return the request that bytes begin with; None when they begin with none."""
    head, end, _ = received.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if not end or len(words) != 3 or not words[2].startswith("HTTP/"):
        return None
    headers: dict[str, str] = {}
    for line in fields:
        name, colon, value = line.partition(":")
        if not colon:
            return None
        headers[name.strip().lower()] = value.strip()
    return UpgradeRequest(words[1], headers)


async def take_over(descriptor: int, received: bytes, opened: Callable[[WebSocket], None]) -> None:
    """Open the WebSocket on a socket that another process has begun to read.

    Args:
        descriptor: The socket; from now on it is this process's to close.
        received: What the other process has read of it.
        opened: Given the WebSocket when its handshake is complete.

    Raises:
        OSError: The descriptor is no connected socket any more.
    """
    connection = socket.socket(fileno=descriptor)
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    factory = media_socket_protocol(lambda _request: opened)
    loop = asyncio.get_running_loop()
    _, protocol = await loop.connect_accepted_socket(factory, connection)
    cast(asyncio.Protocol, protocol).data_received(received)
