"""The two hot WebSockets, the carrier's and the model's, behind one small interface.

`picows` carries them: it costs less than half of `websockets` per message (tests/bench/wire.py measures it).
Everything that touches picows is here and in `websocket_server`.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import picows

from .errors import HandshakeLateError, SocketBacklogError, SocketClosedError, SocketRefusedError
from .rounds import Take, round_of

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""A larger message closes the socket with 1009. The model may send 15 MiB in one event."""

MAX_WAITING_MESSAGES = 512
"""Received messages that wait to be read; beyond it the socket is not read, and TCP slows the peer down."""

MAX_UNSENT_BYTES = 4 * 1024 * 1024
"""Bytes that may wait in our process for a peer that does not read."""

MODEL_BUFFER_BYTES = 4 * 1024
"""What is read of a socket that we opened at a time, 400 ms of audio in PCMU; picows makes more room."""

PING_AFTER_S = 5.0
"""A socket that we opened is pinged when nothing came for so long."""

PONG_DEADLINE_S = 5.0
"""How long the peer may take to answer; then the connection counts as broken."""

MAX_TLS_RECORD_BYTES = 5 + 16 * 1024 + 256
"""RFC 8446, section 5.2: header, and an encrypted record of 16 kB."""

ABNORMAL_CLOSURE = 1006

_TEXT = picows.WSMsgType.TEXT


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


@runtime_checkable
class OfferingSocket(Protocol):
    """A WebSocket whose messages can be taken without waking a task, which costs 4 microseconds and more."""

    def offer_to(self, take: Take) -> None:
        """Offer each message that comes, while none waits to be received.

        Args:
            take: Must not raise; False leaves the message to `WebSocket.receive`.
        """
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
        # What a round calls.
        self.messages: deque[str | bytes] = deque()
        self.take: Take = _not_taken
        self._loop = asyncio.get_running_loop()
        self._transport: picows.WSTransport | None = None
        self._round = round_of(self._loop)
        self._fragments: list[bytes] = []
        self._fragments_bytes = 0
        self._fragments_are_text = False
        self._waiter: asyncio.Future[None] | None = None
        self._closed: SocketClosedError | None = None
        self._gone = self._loop.create_future()
        self._reading = True
        self._offers = False
        self._unsent_bytes: Callable[[], int] = int  # none, before there is a connection
        self._write: Callable[[str | bytes], object] = _not_taken

    # What picows calls.

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Keep the transport."""
        self._transport = transport
        self._unsent_bytes = transport.underlying_transport.get_write_buffer_size
        self._write = functools.partial(transport.send, _TEXT)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Offer a message, or keep it until it is received."""
        kind = frame.msg_type
        if kind is _TEXT and frame.fin:
            try:
                message: str | bytes | None = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                # RFC 6455 has such a socket failed; on a call one bad message costs only itself.
                message = frame.get_payload_as_bytes()
        else:
            message = self._message_of(kind, transport, frame)
        if message is None or self._closed is not None:
            return
        if self._offers:
            coming = self._round.came
            if not coming:
                self._round.soon()
            coming.append((self, message))
        else:
            self.keep(message)

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
        waiting = self._unsent_bytes()
        if waiting > MAX_UNSENT_BYTES:
            transport.disconnect(graceful=False)
            raise SocketBacklogError(waiting, MAX_UNSENT_BYTES)
        if self._round.is_taking:
            self._round.leaving.append((self._write, message))
        else:
            self._write(message)

    async def receive(self) -> str | bytes:
        """See `WebSocket.receive`."""
        messages = self.messages
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
        self.take = take
        self._offers = True

    def keep(self, message: str | bytes) -> None:
        """Let a message wait until it is received."""
        self.messages.append(message)
        if len(self.messages) >= MAX_WAITING_MESSAGES and self._reading:
            self._reading = False
            self._underlying().pause_reading()
        self._wake()

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

    def _message_of(
        self, kind: picows.WSMsgType, transport: picows.WSTransport, frame: picows.WSFrame
    ) -> str | bytes | None:
        """Return the message that a frame completes, if it is not a whole text; see to a close frame."""
        if kind == picows.WSMsgType.BINARY and frame.fin:
            return frame.get_payload_as_bytes()
        if kind == picows.WSMsgType.CLOSE:
            self._close_with(int(frame.get_close_code().value) or 1005, _words(frame.get_close_message()))
            if not transport.is_close_frame_sent:
                transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif kind in (picows.WSMsgType.TEXT, picows.WSMsgType.BINARY, picows.WSMsgType.CONTINUATION):
            return self._joined(kind, frame)
        return None

    def _joined(self, kind: picows.WSMsgType, frame: picows.WSFrame) -> str | bytes | None:
        """Return the message whose last fragment this is."""
        if kind != picows.WSMsgType.CONTINUATION:
            self._fragments, self._fragments_bytes = [], 0
            self._fragments_are_text = kind == picows.WSMsgType.TEXT
        self._fragments.append(frame.get_payload_as_bytes())
        self._fragments_bytes += len(self._fragments[-1])
        if self._fragments_bytes > MAX_MESSAGE_BYTES:  # what follows of the message is too much as well
            self._fragments.clear()
            return None
        if not frame.fin:
            return None
        whole = b"".join(self._fragments)
        self._fragments.clear()
        return whole.decode(errors="replace") if self._fragments_are_text else whole

    def _close_with(self, code: int, reason: str) -> None:
        if self._closed is None:
            self._closed = SocketClosedError(code, reason)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _not_taken(_message: str | bytes) -> bool:
    """Stand for whoever takes messages, or sends them, before there is anybody."""
    return False


def _words(reason: bytes | None) -> str:
    return (reason or b"").decode(errors="replace")


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return the TLS context of this process: with the system's authorities it takes 0.9 MB and 49 ms."""
    return ssl.create_default_context()


def _tls() -> dict[str, Any]:
    """Return a socket's TLS settings.

    The buffers hold one TLS record each; by default 256 kB, and what a stall has filled once stays taken.
    """
    size = MAX_TLS_RECORD_BYTES
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
