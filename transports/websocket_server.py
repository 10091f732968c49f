"""WebSockets that are served: the media sockets on uvicorn's port, and a port of their own for emulators."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import picows

from .websocket import MAX_MESSAGE_BYTES, PicowsSocket, WebSocket

MEDIA_BUFFER_BYTES = 2 * 1024
"""What is read of a media socket at a time, seven packets; picows makes more room when more comes."""

if TYPE_CHECKING:

    class _PicowsProtocol(asyncio.BufferedProtocol):
        """What callpipe needs of picows' protocol class, which is not part of its public face."""

        def __init__(self, *settings: object) -> None: ...
        def get_buffer(self, sizehint: int) -> memoryview: ...

else:
    from picows.picows import WSProtocol as _PicowsProtocol


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """The HTTP request that asks for a WebSocket.

    Attributes:
        path: The request's path, with its query.
        headers: Its headers, names in lower case.
    """

    path: str
    headers: Mapping[str, str]


Accept = Callable[[UpgradeRequest], Callable[[WebSocket], None] | HTTPStatus]
"""Answers an upgrade request with the status that refuses it, or with what is given the open socket."""


def media_socket_protocol(accept: Accept) -> Callable[..., asyncio.BaseProtocol]:
    """Return what uvicorn's `ws=` setting takes, so that WebSockets on its port are served by picows.

    Args:
        accept: Called with each upgrade request before the handshake completes.
    """

    def protocol(**_uvicorns: Any) -> asyncio.BaseProtocol:
        return _UpgradedProtocol(
            None,
            None,
            False,  # we are the server
            _listener(accept),
            logging.getLogger("callpipe.media_socket"),
            True,
            5,
            False,
            20,
            20,
            picows.WSAutoPingStrategy.PING_WHEN_IDLE,
            True,
            MAX_MESSAGE_BYTES,
            None,
            MEDIA_BUFFER_BYTES,
        )

    return protocol


async def serve(accept: Accept, *, host: str = "127.0.0.1", port: int = 0) -> asyncio.Server:
    """Serve WebSockets, and nothing else, on a port of their own; port 0 takes a free one."""
    return await picows.ws_create_server(  # pyright: ignore[reportUnknownMemberType]  untyped kwargs
        _listener(accept), host, port, max_frame_size=MAX_MESSAGE_BYTES
    )


def _listener(accept: Accept) -> Callable[[picows.WSUpgradeRequest], Any]:
    def listener(request: picows.WSUpgradeRequest) -> Any:
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = accept(UpgradeRequest(request.path.decode("latin-1"), headers))
        if isinstance(answer, HTTPStatus):
            refusal = picows.WSUpgradeResponse.create_error_response(answer)
            return picows.WSUpgradeResponseWithListener(refusal, None)
        return _ServedSocket(answer)

    return listener


class _UpgradedProtocol(_PicowsProtocol):
    """picows' protocol, which also takes the request that uvicorn has already read."""

    def data_received(self, data: bytes) -> None:
        """Feed the bytes of the upgrade request."""
        while data:
            buffer = self.get_buffer(len(data))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            self.buffer_updated(size)
            data = data[size:]


class _ServedSocket(PicowsSocket):
    def __init__(self, opened: Callable[[WebSocket], None]) -> None:
        super().__init__()
        self._opened = opened

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        super().on_ws_connected(transport)
        self._opened(self)
