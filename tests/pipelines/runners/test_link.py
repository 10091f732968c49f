"""Datagrams and descriptors between two processes: in order, bounded, and with a peer that may die."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

from callpipe.pipelines.runners.link import MAX_WAITING, Link, LinkClosedError
from callpipe.pipelines.runners.messages import MAX_DATAGRAM_BYTES


class End:
    """One end, and what came there."""

    def __init__(self, connection: socket.socket) -> None:
        self.received: list[tuple[bytes, int | None]] = []
        self.closed = 0
        self.link = Link(connection, received=self._receive, closed=self._closed)

    def _receive(self, datagram: bytes, descriptor: int | None) -> None:
        self.received.append((datagram, descriptor))

    def _closed(self) -> None:
        self.closed += 1

    @property
    def datagrams(self) -> list[bytes]:
        return [datagram for datagram, _ in self.received]

    async def has(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.received) < count:
                await asyncio.sleep(0.005)

    async def is_told_closed(self) -> None:
        async with asyncio.timeout(10):
            while not self.closed:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def linked() -> AsyncGenerator[tuple[End, End]]:
    ends = [End(connection) for connection in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)]
    try:
        yield ends[0], ends[1]
    finally:
        for end in ends:
            end.link.close()


@asynccontextmanager
async def beside_a_bare_socket() -> AsyncGenerator[tuple[End, socket.socket]]:
    ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end = End(ours)
    peer.setblocking(False)
    try:
        yield end, peer
    finally:
        end.link.close()
        peer.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  names only


async def test_datagrams_arrive_whole_and_in_order() -> None:
    sent = [bytes([number]) * (number * 100 + 1) for number in range(200)] + [b"x" * (MAX_DATAGRAM_BYTES - 1)]
    async with linked() as (one, other):
        for datagram in sent:
            one.link.send(datagram)
        await other.has(len(sent))
    assert other.datagrams == sent
    assert one.closed == other.closed == 0, "who closes is not told"


async def test_a_descriptor_comes_with_its_own_datagram() -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    async with linked() as (one, other):
        one.link.send(b"without")
        one.link.send(b"with", writing)
        one.link.send(b"without again")
        os.close(writing)
        await other.has(3)
    assert other.datagrams == [b"without", b"with", b"without again"]
    (first, received, last) = [descriptor for _, descriptor in other.received]
    assert first is None
    assert last is None
    assert received is not None
    os.write(received, b"through it")
    os.close(received)
    assert os.read(reading, 100) == b"through it"
    os.close(reading)


async def test_what_the_peer_is_slow_to_read_waits_with_its_descriptors() -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    async with beside_a_bare_socket() as (end, peer):
        sent = 0
        while sent < 400:
            end.link.send(b"%04d" % sent + b"." * 4096, writing if sent == 399 else None)
            sent += 1
        os.close(writing)
        received: list[bytes] = []
        passed: list[int] = []
        async with asyncio.timeout(10):
            while len(received) < 400:
                await asyncio.sleep(0)
                try:
                    datagram, with_it, *_ = socket.recv_fds(peer, MAX_DATAGRAM_BYTES, 1)
                except BlockingIOError:
                    continue
                received.append(datagram[:4])
                passed += with_it
    assert received == [b"%04d" % number for number in range(400)]
    (kept,) = passed
    os.write(kept, b"!")
    os.close(kept)
    assert os.read(reading, 1) == b"!"
    os.close(reading)


async def test_a_peer_that_never_reads_is_given_up_and_nothing_stays_open() -> None:
    before = await asyncio.to_thread(descriptors)
    reading, writing = os.pipe2(os.O_NONBLOCK)
    async with beside_a_bare_socket() as (end, _):
        sent = 0
        with suppress(LinkClosedError):
            while sent < 2 * MAX_WAITING:
                end.link.send(b"." * 4096, writing)
                sent += 1
        assert MAX_WAITING <= sent < MAX_WAITING + 300
        await end.is_told_closed()
        with pytest.raises(LinkClosedError):
            end.link.send(b"more")
        assert end.closed == 1
    os.close(reading)
    os.close(writing)
    assert await asyncio.to_thread(descriptors) <= before + 1  # the thread that counts has begun meanwhile


async def test_a_peer_that_is_gone_is_told_once_after_all_it_said() -> None:
    async with beside_a_bare_socket() as (end, peer):
        peer.send(b"last words")
        peer.close()
        await end.is_told_closed()
        await asyncio.sleep(0.02)
        assert (end.datagrams, end.closed) == ([b"last words"], 1)
        with pytest.raises(LinkClosedError, match="gone"):
            end.link.send(b"too late")


async def test_sending_finds_out_that_the_peer_is_gone() -> None:
    async with beside_a_bare_socket() as (end, peer):
        peer.close()
        with pytest.raises(LinkClosedError, match="gone"):
            end.link.send(b"too late")
        await end.is_told_closed()
        assert end.closed == 1


async def test_a_datagram_too_large_for_any_peer_comes_cut_rather_than_hangs() -> None:
    async with beside_a_bare_socket() as (end, peer):
        peer.send(b"x" * (MAX_DATAGRAM_BYTES + 10))
        peer.send(b"next")
        await end.has(2)
    assert end.datagrams == [b"x" * MAX_DATAGRAM_BYTES, b"next"]


async def test_a_second_descriptor_that_nobody_sends_is_not_kept() -> None:
    before = await asyncio.to_thread(descriptors)
    async with beside_a_bare_socket() as (end, peer):
        reading, writing = os.pipe2(os.O_NONBLOCK)
        socket.send_fds(peer, [b"two"], [reading, writing])
        os.close(reading)
        os.close(writing)
        await end.has(1)
        ((_, received),) = end.received
        assert received is not None
        os.close(received)
    assert await asyncio.to_thread(descriptors) <= before + 1


async def test_a_link_closed_while_it_is_read_reads_no_further() -> None:
    ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.setblocking(False)
    received: list[bytes] = []

    def receive(datagram: bytes, _descriptor: int | None) -> None:
        received.append(datagram)
        link.close()

    link = Link(ours, received=receive, closed=lambda: received.append(b"closed"))
    peer.send(b"first")
    peer.send(b"second")
    await asyncio.sleep(0.05)
    link.close()
    peer.close()
    assert received == [b"first"]


async def test_the_kernel_says_who_the_peer_is() -> None:
    async with linked() as (one, _):
        assert one.link.peer_pid == os.getpid()
