"""Reading sockets for a pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from callpipe.transports.errors import SocketClosedError
from callpipe.transports.loopback import socket_pair
from callpipe.transports.reading import Reader
from callpipe.transports.websocket import OfferingSocket, WebSocket


class PassedOn:
    """Notes what was passed on; what begins with `slow` only when `go` is set."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.go = asyncio.Event()

    def __call__(self, message: str | bytes) -> Coroutine[Any, Any, None] | None:
        if str(message).startswith("slow"):
            return self._slowly(message)
        self.messages.append(message)
        return None

    async def _slowly(self, message: str | bytes) -> None:
        await self.go.wait()
        self.messages.append(message)


class WithoutOffers:
    """A socket that can only be received from."""

    def __init__(self, socket: WebSocket) -> None:
        self.send, self.receive, self.close = socket.send, socket.receive, socket.close


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_message_is_passed_on_the_moment_it_comes() -> None:
    ours, peer = socket_pair()
    passed_on = PassedOn()
    reading = asyncio.create_task(Reader(passed_on).read(ours))
    await turns()
    peer.send("one")
    peer.send("two")
    assert passed_on.messages == ["one", "two"]
    await peer.close(1001, "over")
    closed = await reading
    assert (closed.code, closed.reason) == (1001, "over")


@pytest.mark.parametrize("offers", [True, False])
async def test_every_message_is_passed_on_in_its_order(*, offers: bool) -> None:
    ours, peer = socket_pair()
    passed_on = PassedOn()
    socket: WebSocket = ours if offers else WithoutOffers(ours)
    assert isinstance(socket, OfferingSocket) is offers
    peer.send("early")
    reading = asyncio.create_task(Reader(passed_on).read(socket))
    await turns()
    for message in ("one", "slow two", "three", "slow four", "five"):
        peer.send(message)
    await turns()
    assert passed_on.messages == ["early", "one"]
    await peer.close()
    passed_on.go.set()
    assert isinstance(await reading, SocketClosedError)
    assert passed_on.messages == ["early", "one", "slow two", "three", "slow four", "five"]


async def test_nothing_is_passed_on_once_reading_was_cancelled() -> None:
    ours, peer = socket_pair()
    passed_on = PassedOn()
    reading = asyncio.create_task(Reader(passed_on).read(ours))
    await turns()
    peer.send("slow one")
    await turns()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    passed_on.go.set()
    peer.send("two")
    await turns()
    assert passed_on.messages == []


async def test_one_socket_is_read_after_the_other() -> None:
    passed_on = PassedOn()
    reader = Reader(passed_on)
    for message in ("one", "two"):
        ours, peer = socket_pair()
        reading = asyncio.create_task(reader.read(ours))
        await turns()
        peer.send(message)
        await peer.close()
        await reading
    assert passed_on.messages == ["one", "two"]
