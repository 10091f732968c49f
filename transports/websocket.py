"""The two hot WebSockets, the carrier's and the model's, behind one small interface.

`picows` carries them: it costs less than half of `websockets` per message (tests/bench/wire.py measures it).
Everything that touches picows, its private protocol class included, is in this file.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import picows

from .errors import HandshakeLateError, SocketBacklogError, SocketClosedError, SocketRefusedError

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""A larger message closes the socket with 1009. The model may send 15 MiB in one event."""

MAX_WAITING_MESSAGES = 512
"""Received messages that wait to be read; beyond it the socket is not read, and TCP slows the peer down."""

MAX_UNSENT_BYTES = 4 * 1024 * 1024
"""Bytes that may wait in our process for a peer that does not read."""

MEDIA_BUFFER_BYTES = 2 * 1024
"""What is read of a media socket at a time, seven packets; picows makes more room when more comes."""

MODEL_BUFFER_BYTES = 4 * 1024
"""The same of a socket that we opened: 400 ms of the bot's audio in PCMU."""

PING_AFTER_S = 5.0
"""A socket that we opened is pinged when nothing came for so long."""

PONG_DEADLINE_S = 5.0
"""How long the peer may take to answer; then the connection counts as broken."""

ABNORMAL_CLOSURE = 1006

_TEXT = picows.WSMsgType.TEXT

if TYPE_CHECKING:

    class _PicowsProtocol(asyncio.BufferedProtocol):
        """What callpipe needs of picows' protocol class, which is not part of its public face."""

        def __init__(self, *settings: object) -> None: ...
        def get_buffer(self, sizehint: int) -> memoryview: ...

else:
    from picows.picows import WSProtocol as _PicowsProtocol


class WebSocket(Protocol):
    """An open WebSocket: sending never waits, receiving does."""

    def send(self, message: bytes | str) -> None:
        """Send a text message (UTF-8). It is written at once or buffered, never awaited.

        Raises:
            SocketClosedError: The socket is closed.
            SocketBacklogError: The peer does not read.
        """
        ...

    async def receive(self) -> str | bytes:
        """Return the next message: text as `str`, binary as `bytes`.

        Raises:
            SocketClosedError: The socket is closed and every message before that was read.
        """
        ...

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        """Close the socket; after `deadline_s` the connection is dropped. Closing twice is harmless."""
        ...


Take = Callable[[str | bytes], bool]
"""Takes a message the moment it comes; False leaves it to `WebSocket.receive`."""


@runtime_checkable
class OfferingSocket(Protocol):
    """A WebSocket whose messages can be taken without waking a task, which costs 4 microseconds and more."""

    def offer_to(self, take: Take) -> None:
        """Offer each message that comes, while none waits to be received. `take` must not raise."""
        ...


class Connect(Protocol):
    """Opens a WebSocket; `connect` does it for real, emulators and tests do it in memory."""

    async def __call__(self, url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        """Open a WebSocket to `url` within `deadline_s`.

        Raises:
            SocketRefusedError: The peer refused, did not answer in time, or can't be reached.
        """
        ...


class PicowsSocket(picows.WSListener):
    """A `WebSocket` on a picows connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: picows.WSTransport | None = None
        self._messages: deque[str | bytes] = deque()
        self._fragments: list[bytes] = []
        self._fragments_bytes = 0
        self._fragments_are_text = False
        self._waiter: asyncio.Future[None] | None = None
        self._closed: SocketClosedError | None = None
        self._gone = self._loop.create_future()
        self._reading = True
        self._take: Take | None = None
        self._unsent_bytes: Callable[[], int] = int  # none, before there is a connection

    # What picows calls.

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Keep the transport."""
        self._transport = transport
        self._unsent_bytes = transport.underlying_transport.get_write_buffer_size

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Keep a message until it is read; join the fragments of a fragmented one."""
        kind = frame.msg_type
        if kind is _TEXT and frame.fin:
            try:
                message: str | bytes = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                # RFC 6455 has such a socket failed; on a call one bad message costs only itself.
                message = frame.get_payload_as_bytes()
            take = self._take
            if take is None or self._messages or self._closed is not None or not take(message):
                self._arrived(message)
        elif kind == picows.WSMsgType.BINARY and frame.fin:
            self._arrived(frame.get_payload_as_bytes())
        elif kind == picows.WSMsgType.CLOSE:
            self._close_with(int(frame.get_close_code().value) or 1005, _words(frame.get_close_message()))
            if not transport.is_close_frame_sent:
                transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif kind in (picows.WSMsgType.TEXT, picows.WSMsgType.BINARY, picows.WSMsgType.CONTINUATION):
            self._join(kind, frame)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        """Tell whoever reads that the connection is gone."""
        self._close_with(ABNORMAL_CLOSURE, "")
        self._gone.set_result(None)

    # What callpipe calls.

    def send(self, message: bytes | str) -> None:
        """See `WebSocket.send`."""
        transport = self._transport
        if self._closed is not None or transport is None:
            raise self._closed or SocketClosedError(ABNORMAL_CLOSURE)
        transport.send(_TEXT, message)
        waiting = self._unsent_bytes()
        if waiting > MAX_UNSENT_BYTES:
            transport.disconnect(graceful=False)
            raise SocketBacklogError(waiting, MAX_UNSENT_BYTES)

    async def receive(self) -> str | bytes:
        """See `WebSocket.receive`."""
        messages = self._messages
        while not messages:
            if self._closed is not None:
                raise self._closed
            self._waiter = self._loop.create_future()
            await self._waiter
        message = messages.popleft()
        if not self._reading and len(messages) < MAX_WAITING_MESSAGES // 2:
            self._reading = True
            self._underlying().resume_reading()
        return message

    def offer_to(self, take: Take) -> None:
        """See `OfferingSocket.offer_to`."""
        self._take = take

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        """See `WebSocket.close`."""
        transport = self._transport
        if transport is None or self._gone.done():
            return
        if not transport.is_close_frame_sent and self._closed is None:
            transport.send_close(picows.WSCloseCode(code), reason.encode())
        if not self._reading:
            self._reading = True
            self._underlying().resume_reading()
        _, waiting = await asyncio.wait([self._gone], timeout=deadline_s)
        if waiting:
            transport.disconnect(graceful=False)
        self._close_with(code, reason)

    def abort(self) -> None:
        """Reset the connection: no close frame, and what was sent may be lost. For emulators of bad peers."""
        transport = self._transport
        if transport is None or self._gone.done():
            return
        connection = transport.underlying_transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.disconnect(graceful=False)

    def _underlying(self) -> asyncio.ReadTransport:
        assert self._transport is not None
        return self._transport.underlying_transport

    def _arrived(self, message: str | bytes) -> None:
        if self._closed is not None:
            return
        self._messages.append(message)
        if len(self._messages) >= MAX_WAITING_MESSAGES and self._reading:
            self._reading = False
            self._underlying().pause_reading()
        self._wake()

    def _join(self, kind: picows.WSMsgType, frame: picows.WSFrame) -> None:
        if kind != picows.WSMsgType.CONTINUATION:
            self._fragments, self._fragments_bytes = [], 0
            self._fragments_are_text = kind == picows.WSMsgType.TEXT
        self._fragments.append(frame.get_payload_as_bytes())
        self._fragments_bytes += len(self._fragments[-1])
        if self._fragments_bytes > MAX_MESSAGE_BYTES:  # what follows of the message is too much as well
            self._fragments.clear()
        elif frame.fin:
            whole = b"".join(self._fragments)
            self._fragments.clear()
            self._arrived(whole.decode(errors="replace") if self._fragments_are_text else whole)

    def _close_with(self, code: int, reason: str) -> None:
        if self._closed is None:
            self._closed = SocketClosedError(code, reason)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _words(reason: bytes | None) -> str:
    return (reason or b"").decode(errors="replace")


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return the TLS context of this process: with the system's authorities it takes 0.9 MB and 49 ms."""
    return ssl.create_default_context()


def _tls() -> dict[str, Any]:
    """Return a socket's TLS settings.

    The buffers hold two TLS records each; by default they are 16, and what a stall has filled once stays taken.
    """
    size = 2 * (16 * 1024 + 64)
    return {"ssl_context": _trusted(), "ssl_incoming_bio_size": size, "ssl_outgoing_bio_size": size}


async def connect(url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
    """Open a WebSocket to a ws:// or wss:// URL. See `Connect`."""
    try:
        async with asyncio.timeout(deadline_s):
            _, listener = await picows.ws_connect(  # pyright: ignore[reportUnknownMemberType]  untyped kwargs
                PicowsSocket,
                url,
                **(_tls() if url.startswith("wss:") else {}),
                extra_headers=dict(headers),
                max_frame_size=MAX_MESSAGE_BYTES,
                read_buffer_init_size=MODEL_BUFFER_BYTES,
                websocket_handshake_timeout=deadline_s,
                enable_auto_ping=True,
                auto_ping_idle_timeout=PING_AFTER_S,
                auto_ping_reply_timeout=PONG_DEADLINE_S,
            )
    except picows.WSHandshakeError as refusal:
        response = refusal.response
        status = int(response.status) if response is not None else None
        retry_after = response.headers.get("Retry-After", "") if response is not None else ""
        raise SocketRefusedError(
            f"the handshake was refused with status {status}" if status else "the handshake was not answered",
            status,
            float(retry_after) if retry_after.isdigit() else None,
        ) from refusal
    except TimeoutError as late:
        raise HandshakeLateError(f"no connection within {deadline_s:g} s") from late
    except (OSError, picows.WSError, picows.WSInvalidURL) as failure:
        raise SocketRefusedError(f"no connection: {failure}") from failure
    if not isinstance(listener, PicowsSocket):
        raise SocketRefusedError("the connection ended before the handshake was answered")
    return listener


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
