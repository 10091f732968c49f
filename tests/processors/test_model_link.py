"""When a session's successor is opened, and when it has to be taken."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from callpipe.processors.errors import ModelLostError, ModelSocketLostError
from callpipe.processors.model_dialer import SLOW_S, Dialer
from callpipe.processors.model_link import RETRY_ROLLOVER_S, ModelLink
from callpipe.transports.errors import SocketClosedError, SocketRefusedError
from callpipe.transports.loopback import LoopbackSocket, socket_pair
from callpipe.transports.realtime.endpoints import Breakers, Choice, RealtimeEndpoint
from callpipe.transports.realtime.opening import Opened
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket import WebSocket

NOON = 1_795_000_000.0


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in virtual time."""

    @functools.wraps(test)
    def in_virtual_time(*args: Any, **kwargs: Any) -> None:
        run_virtual(asyncio.wait_for(test(*args, **kwargs), 100_000))

    return in_virtual_time


@dataclass
class Server:
    """Confirms every session, and says when it ends; an attempt may take long, or be refused."""

    lasts_s: float | None = None
    delays_s: list[float] = field(default_factory=list[float])
    refusals: int = 0
    opened_at: list[float] = field(default_factory=list[float])
    sockets: list[LoopbackSocket] = field(default_factory=list[LoopbackSocket])
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    async def connect(self, url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        del url, headers, deadline_s
        self.opened_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.delays_s.pop(0) if self.delays_s else 0.1)
        if self.refusals and len(self.opened_at) > 1:
            self.refusals -= 1
            raise SocketRefusedError("no", 503)
        ours, theirs = socket_pair()
        self.sockets.append(theirs)
        self.tasks.append(asyncio.create_task(self._answer(theirs)))
        return ours

    async def _answer(self, socket: LoopbackSocket) -> None:
        await socket.receive()
        session = {"model": "m", "expires_at": None if self.lasts_s is None else NOON + self.lasts_s}
        socket.send(json.dumps({"type": "session.updated", "session": session}))


@dataclass
class Told:
    """Keeps what the link tells."""

    sessions: list[Opened] = field(default_factory=list[Opened])
    messages: list[str | bytes] = field(default_factory=list[str | bytes])
    losses: list[ModelLostError] = field(default_factory=list[ModelLostError])
    failures: list[ModelLostError] = field(default_factory=list[ModelLostError])

    async def opened(self, opened: Opened) -> None:
        self.sessions.append(opened)

    async def received(self, message: str | bytes) -> None:
        self.messages.append(message)

    async def lost(self, loss: ModelLostError) -> None:
        self.losses.append(loss)


def link_to(server: Server, told: Told, **more: Any) -> ModelLink:
    clock = asyncio.get_running_loop().time
    choice = Choice([RealtimeEndpoint("http://a/v1", "key")], Breakers())
    dialer = Dialer(
        choice, "m", lambda _: b"{}", connect=server.connect, clock=clock, report=told.failures.append
    )
    return ModelLink(dialer, clock=clock, unix_time=lambda: NOON, **more)


async def followed(link: ModelLink, told: Told, seconds: float) -> asyncio.Task[None]:
    task = asyncio.create_task(link.follow(told))
    await asyncio.sleep(seconds)
    return task


async def ended(link: ModelLink, task: asyncio.Task[None]) -> None:
    link.close()
    await asyncio.wait([task], timeout=2)
    await link.closed()
    assert task.done()


@pytest.mark.parametrize(
    ("lasts_s", "successor_at", "must_move_at"),
    [
        (None, 3_300, 3_540),
        (3_600, 3_300, 3_540),
        (1_800, 1_650, 1_740),
        (30, 110, 110),
        (86_400, 3_300, 86_340),
    ],
)
@virtual
async def test_a_successor_is_opened_before_the_session_expires(
    lasts_s: float | None, successor_at: float, must_move_at: float
) -> None:
    server, told = Server(lasts_s), Told()
    link = link_to(server, told)
    task = await followed(link, told, successor_at - 1)
    assert link.successor is None

    await asyncio.sleep(2)
    assert link.successor is not None
    await asyncio.sleep(max(must_move_at - successor_at - 2, 0))
    assert link.must_move == (must_move_at == successor_at)
    await asyncio.sleep(3)
    assert link.must_move

    link.move()
    assert link.successor is None
    server.sockets[1].send("hello")
    await asyncio.sleep(0.01)
    assert told.messages == ["hello"]
    assert told.losses == []
    await ended(link, task)


@virtual
async def test_a_successor_that_is_refused_is_tried_again() -> None:
    server, told = Server(refusals=5), Told()
    link = link_to(server, told, rollover_after_s=60)
    task = await followed(link, told, 62)
    assert link.successor is None

    await asyncio.sleep(RETRY_ROLLOVER_S + 5)

    assert link.successor is not None
    assert len(told.failures) == 5
    assert told.losses == []
    await ended(link, task)


@virtual
async def test_a_session_that_is_lost_beside_its_successor_is_followed_by_it() -> None:
    server, told = Server(), Told()
    link = link_to(server, told, rollover_after_s=60)
    task = await followed(link, told, 61)
    server.sockets[0].abort()
    await asyncio.sleep(0.01)

    assert len(server.sockets) == len(told.sessions) == 2
    assert [type(loss) for loss in told.losses] == [ModelSocketLostError]
    await ended(link, task)


@virtual
async def test_a_slow_handshake_has_another_one_made_beside_it() -> None:
    server, told = Server(delays_s=[4.0]), Told()
    link = link_to(server, told)
    task = await followed(link, told, SLOW_S + 0.2)

    assert server.opened_at == pytest.approx([0, SLOW_S])
    assert len(told.sessions) == 1
    await asyncio.sleep(5)
    assert len(server.sockets) == 1  # the slow one was given up
    assert told.failures == []
    await ended(link, task)


@virtual
async def test_of_two_sessions_that_are_open_at_once_one_is_closed() -> None:
    server, told = Server(delays_s=[SLOW_S + 0.1, 0.1]), Told()
    link = link_to(server, told)
    task = await followed(link, told, 2)

    assert len(told.sessions) == 1
    assert len(server.sockets) in {1, 2}
    await ended(link, task)
    for socket in server.sockets:
        with pytest.raises(SocketClosedError):
            await asyncio.wait_for(socket.receive(), 1)


@virtual
async def test_closing_while_no_session_is_open_leaves_nothing() -> None:
    server, told = Server(delays_s=[4.0]), Told()
    link = link_to(server, told)
    task = await followed(link, told, 0.1)
    task.cancel()
    await asyncio.wait([task])

    await asyncio.sleep(5)
    assert server.sockets == []
