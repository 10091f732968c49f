"""A handshake on a real connection, as far as its faults let it come; then the WebSocket takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import cast

from ...websocket import WebSocket
from ...websocket_server import UpgradeRequest, media_socket_protocol
from .admission import Handshake
from .faults import Fault, RefuseHandshake

_MAX_HEAD_BYTES = 64 * 1024
_HEAD_DEADLINE_S = 10.0

Judge = Callable[["FaultyHandshake", UpgradeRequest], Callable[[WebSocket], None] | HTTPStatus]
"""Lets a request in, or refuses it."""


class FaultyHandshake(asyncio.Protocol):
    """One connection until its handshake is answered.

    Args:
        faults: The faults of the session that the client wants.
        judge: Asked when the faults let the handshake through.

    Attributes:
        faults: The same.
    """

    def __init__(self, faults: Sequence[Fault], judge: Judge) -> None:
        self.faults = faults
        self._judge = judge
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._complete = False
        self._answered = False

    def abort(self) -> None:
        """Break the connection without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    def abort_unanswered(self) -> None:
        """Break the connection when its handshake was not answered."""
        if not self._answered:
            self.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request."""
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(_HEAD_DEADLINE_S, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer nothing any more."""
        self._stop_timer()

    def data_received(self, data: bytes) -> None:
        """Take a piece of the request, and answer it in time when it is whole."""
        self._head += data
        if len(self._head) > _MAX_HEAD_BYTES:
            self.abort()
        elif b"\r\n\r\n" in self._head and not self._complete:
            self._complete = True
            self._stop_timer()
            handshake = Handshake.under(self.faults)
            if handshake.answered:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(handshake.delay_s, self._answer, handshake.refusal)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _answer(self, refusal: RefuseHandshake | None) -> None:
        transport = self._transport
        assert transport is not None
        self._answered = True
        if refusal is not None:
            transport.write(_refusal(refusal))
            transport.close()
            return
        protocol = media_socket_protocol(lambda request: self._judge(self, request))()
        taking = cast("asyncio.Protocol", protocol)
        transport.set_protocol(taking)
        taking.connection_made(transport)
        taking.data_received(self._head)


def _refusal(refusal: RefuseHandshake) -> bytes:
    lines = [f"HTTP/1.1 {refusal.status} Refused", "Content-Length: 0", "Connection: close"]
    if refusal.retry_after_s is not None:
        lines.append(f"Retry-After: {refusal.retry_after_s}")
    return "\r\n".join([*lines, "", ""]).encode()
