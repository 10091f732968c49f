"""One end of the socket between a server and a runner: datagrams in order, and descriptors with them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from callpipe.transports.errors import CallpipeError

from .messages import MAX_DATAGRAM_BYTES

MAX_WAITING = 1_024
"""Datagrams that may wait for a peer that does not read; one that is this far behind is hung."""

READ_AT_ONCE = 32
"""Datagrams read before other work gets its turn."""


class LinkClosedError(CallpipeError):
    """The peer is gone, or too far behind."""


class Link:
    """A connected `SOCK_SEQPACKET` socket of the Unix domain, driven by the event loop.

    Args:
        connection: The socket; the link closes it.
        received: Called with each datagram, and the descriptor that came with it, which is then the receiver's.
        closed: Called once when the peer has closed its end, or is too far behind.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        received: Callable[[bytes, int | None], None],
        closed: Callable[[], None],
    ) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._received = received
        self._told_closed = closed
        self._waiting: deque[tuple[bytes, int | None]] = deque()
        self._open = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection.fileno(), self._readable)

    @property
    def peer_pid(self) -> int:
        """The process at the other end, as the kernel says."""
        credentials = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[:4], "little", signed=True)

    def send(self, datagram: bytes, descriptor: int | None = None) -> None:
        """Send a datagram; a descriptor may come along and stays the sender's.

        Raises:
            LinkClosedError: The peer is gone.
        """
        if not self._open:
            raise LinkClosedError("the peer is gone")
        if not self._waiting and self._sent(datagram, descriptor):
            return
        if len(self._waiting) >= MAX_WAITING:
            self._lost()
            raise LinkClosedError("the peer does not read")
        if not self._waiting:
            self._loop.add_writer(self._connection.fileno(), self._writable)
        self._waiting.append((datagram, None if descriptor is None else os.dup(descriptor)))

    def close(self) -> None:
        """Close this end; nobody is told."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._connection.fileno())
        self._loop.remove_writer(self._connection.fileno())
        while self._waiting:
            _drop(self._waiting.popleft()[1])
        self._connection.close()

    def _sent(self, datagram: bytes, descriptor: int | None) -> bool:
        try:
            descriptors = [] if descriptor is None else [descriptor]
            socket.send_fds(self._connection, [datagram], descriptors)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as gone:
            self._lost()
            raise LinkClosedError(f"the peer is gone: {gone.strerror}") from None
        return True

    def _writable(self) -> None:
        with suppress(LinkClosedError):
            while self._waiting and self._sent(*self._waiting[0]):
                _drop(self._waiting.popleft()[1])
            if not self._waiting:
                self._loop.remove_writer(self._connection.fileno())

    def _readable(self) -> None:
        for _ in range(READ_AT_ONCE):
            try:
                datagram, descriptors, *_ = socket.recv_fds(self._connection, MAX_DATAGRAM_BYTES, 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                datagram, descriptors = b"", []
            if not datagram:
                self._lost()
                return
            self._received(datagram, descriptors[0] if descriptors else None)
            if not self._open:
                return

    def _lost(self) -> None:
        if self._open:
            self.close()
            self._loop.call_soon(self._told_closed)


def _drop(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)
