"""Sockets over picows, on ports of their own and on uvicorn's: what callpipe relies on."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import picows
import pytest
import trustme
import uvicorn
from blockbuster import BlockBuster
from websockets.asyncio.client import connect as websockets_connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websockets_serve

from callpipe.transports import websocket
from callpipe.transports.errors import (
    HandshakeLateError,
    SocketBacklogError,
    SocketClosedError,
    SocketRefusedError,
)
from callpipe.transports.websocket import OfferingSocket, WebSocket, connect
from callpipe.transports.websocket_server import UpgradeRequest, media_socket_protocol, serve

Talk = Callable[[WebSocket], Awaitable[None]]


async def echo(socket: WebSocket) -> None:
    while True:
        message = await socket.receive()
        socket.send(message if isinstance(message, str) else f"binary {len(message)}")


async def http_answer(
    _scope: object, _receive: object, send: Callable[[dict[str, object]], Awaitable[None]]
) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"http"})


class Peers:
    """What a server saw of its sockets."""

    def __init__(self, talk: Talk) -> None:
        self.requests: list[UpgradeRequest] = []
        self.closed: list[SocketClosedError] = []
        self._talk = talk
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, request: UpgradeRequest) -> Callable[[WebSocket], None] | HTTPStatus:
        self.requests.append(request)
        return self._opened if "authorization" in request.headers else HTTPStatus.UNAUTHORIZED

    def _opened(self, socket: WebSocket) -> None:
        self._tasks.add(asyncio.create_task(self._run(socket)))

    async def _run(self, socket: WebSocket) -> None:
        try:
            await self._talk(socket)
        except SocketClosedError as closed:
            self.closed.append(closed)

    async def finished(self) -> None:
        await asyncio.wait_for(asyncio.gather(*self._tasks), 5)


@asynccontextmanager
async def served(peers: Peers) -> AsyncGenerator[str]:
    server = await serve(peers.accept)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/media"
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def served_by_uvicorn(peers: Peers) -> AsyncGenerator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    protocol = media_socket_protocol(peers.accept)
    config = uvicorn.Config(http_answer, ws=protocol, lifespan="off", log_config=None)  # pyright: ignore[reportArgumentType]
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(5):
            while not server.started:
                await asyncio.sleep(0.005)
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/media"
    finally:
        server.should_exit = True
        await task


Served = Callable[[Peers], AbstractAsyncContextManager[str]]
CREDENTIALS = {"Authorization": "Basic abc"}


@pytest.mark.parametrize("serving", [served, served_by_uvicorn])
async def test_messages_go_both_ways_and_keep_their_order(serving: Served) -> None:
    peers = Peers(echo)
    async with serving(peers) as url:
        ours = await connect(f"{url}?x=1", headers=CREDENTIALS, deadline_s=5)
        for number in range(100):
            ours.send(f"message {number}")
        assert [await ours.receive() for _ in range(100)] == [f"message {number}" for number in range(100)]
        ours.send("x" * 300_000)
        assert len(await ours.receive()) == 300_000
        await ours.close(1000, "goodbye")
        await peers.finished()
    assert peers.requests[0].path == "/media?x=1"
    assert peers.requests[0].headers["authorization"] == "Basic abc"
    assert (peers.closed[0].code, peers.closed[0].reason) == (1000, "goodbye")
    with pytest.raises(SocketClosedError):
        ours.send("after the end")
    with pytest.raises(SocketClosedError):
        await ours.receive()


@pytest.mark.parametrize("serving", [served, served_by_uvicorn])
async def test_a_socket_is_refused_before_its_handshake_completes(serving: Served) -> None:
    peers = Peers(echo)
    async with serving(peers) as url:
        with pytest.raises(SocketRefusedError) as refused:
            await connect(url, headers={}, deadline_s=5)
    assert refused.value.status == 401


async def test_media_sockets_share_uvicorns_port_with_http() -> None:
    peers = Peers(echo)
    async with served_by_uvicorn(peers) as url:
        host, port = url.removeprefix("ws://").removesuffix("/media").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()
        ours = await connect(url, headers=CREDENTIALS, deadline_s=5)
        ours.send("hello")
        assert await ours.receive() == "hello"
        await ours.close()


async def test_another_library_gets_binary_fragments_and_broken_text_through() -> None:
    peers = Peers(echo)
    async with served(peers) as url, websockets_connect(url, additional_headers=CREDENTIALS) as theirs:
        await theirs.send(b"\0\1\2")
        assert await theirs.recv() == "binary 3"
        await theirs.send(["one ", "message ", "in fragments"])
        assert await theirs.recv() == "one message in fragments"
        await theirs.send(b"\xff\xfe", text=True)
        assert await theirs.recv() == "binary 2"
        await theirs.pong(b"unasked")
        await theirs.send("still here")
        assert await theirs.recv() == "still here"


async def test_a_message_that_is_too_long_in_its_fragments_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "MAX_MESSAGE_BYTES", 1_000)
    peers = Peers(echo)
    async with served(peers) as url, websockets_connect(url, additional_headers=CREDENTIALS) as theirs:
        await theirs.send(["x" * 600, "y" * 600, "the rest of it"])
        await theirs.send(["still ", "here"])
        assert await theirs.recv() == "still here"


async def test_a_peer_that_vanishes_closes_the_socket_with_1006() -> None:
    peers = Peers(echo)
    async with served(peers) as url:
        theirs = await websockets_connect(url, additional_headers=CREDENTIALS)
        theirs.transport.abort()
        async with asyncio.timeout(5):
            while not peers.closed:
                await asyncio.sleep(0.005)
        await peers.finished()
    assert peers.closed[0].code == 1006


async def test_a_peer_that_resets_its_connection_closes_the_socket_with_1006() -> None:
    peers = Peers(echo)
    async with served(peers) as url:
        client = await connect(url, headers={"Authorization": "x"}, deadline_s=5)
        assert isinstance(client, websocket.PicowsSocket)
        client.send("heard")
        assert await client.receive() == "heard"
        client.abort()
        client.abort()
        with pytest.raises(SocketClosedError) as closed:
            await client.receive()
        assert closed.value.code == 1006
        await peers.finished()
        client.abort()
    assert [closed.code for closed in peers.closed] == [1006]


async def test_what_arrived_before_the_close_is_read_first() -> None:
    async def three_words(socket: WebSocket) -> None:
        for word in ("one", "two", "three"):
            socket.send(word)
        await socket.close(4000, "done")

    peers = Peers(three_words)
    async with served(peers) as url:
        ours = await connect(url, headers=CREDENTIALS, deadline_s=5)
        await peers.finished()
        assert [await ours.receive() for _ in range(3)] == ["one", "two", "three"]
        with pytest.raises(SocketClosedError) as closed:
            await ours.receive()
    assert (closed.value.code, closed.value.reason) == (4000, "done")


async def test_every_message_is_offered_in_its_order_and_the_last_before_the_close_as_well() -> None:
    taken: list[str | bytes] = []
    all_taken = asyncio.Event()

    async def offering(socket: WebSocket) -> None:
        def take(message: str | bytes) -> bool:
            taken.append(message)
            if message == "ready?":
                socket.send("yes")
            if message == "last":
                all_taken.set()
            return True

        assert isinstance(socket, OfferingSocket)
        socket.offer_to(take)
        await socket.receive()

    peers = Peers(offering)
    async with served(peers) as url, websockets_connect(url, additional_headers=CREDENTIALS) as theirs:
        await theirs.send("ready?")
        assert await theirs.recv() == "yes"
        for message in ("one", b"two", ["thr", "ee"], "last"):
            await theirs.send(message)
        await theirs.close(1000)
        await asyncio.wait_for(all_taken.wait(), 5)
        await peers.finished()
        assert taken[1:] == ["one", b"two", "three", "last"]
    assert [closed.code for closed in peers.closed] == [1000]


async def test_what_is_not_taken_waits_to_be_received_in_its_order() -> None:
    received: list[str | bytes] = []

    async def choosy(socket: WebSocket) -> None:
        assert isinstance(socket, OfferingSocket)
        socket.offer_to(lambda message: message == "never behind another")
        while len(received) < 3:
            received.append(await socket.receive())

    peers = Peers(choosy)
    async with served(peers) as url, websockets_connect(url, additional_headers=CREDENTIALS) as theirs:
        for message in ("one", "never behind another", b"three"):
            await theirs.send(message)
        await peers.finished()
    assert received == ["one", "never behind another", b"three"]


def numbered(number: int) -> str:
    """A message so long that many of them come one after the other, not all at once."""
    return f"{number:1000}"


def flood(count: int) -> Talk:
    async def talk(socket: WebSocket) -> None:
        for number in range(count):
            socket.send(numbered(number))
        await socket.receive()

    return talk


async def test_a_reader_that_is_slow_slows_the_peer_and_loses_nothing() -> None:
    count = websocket.MAX_WAITING_MESSAGES * 4
    peers = Peers(flood(count))
    async with served(peers) as url:
        ours = await connect(url, headers=CREDENTIALS, deadline_s=5)
        await asyncio.sleep(0.1)
        assert [await ours.receive() for _ in range(count)] == [numbered(number) for number in range(count)]
        await ours.close()
        await peers.finished()


async def test_a_reader_that_is_behind_can_close() -> None:
    peers = Peers(flood(websocket.MAX_WAITING_MESSAGES * 2))
    async with served(peers) as url:
        ours = await connect(url, headers=CREDENTIALS, deadline_s=5)
        await asyncio.sleep(0.1)
        await ours.close(4000, "too much", deadline_s=5)
        await peers.finished()
    assert (peers.closed[0].code, peers.closed[0].reason) == (4000, "too much")


async def test_a_peer_that_never_reads_ends_the_socket_instead_of_filling_memory() -> None:
    async def flood(socket: WebSocket) -> None:
        def send_for_ever() -> None:
            while True:
                socket.send("x" * 65536)

        with pytest.raises(SocketBacklogError) as backlog:
            send_for_ever()
        assert backlog.value.waiting > websocket.MAX_UNSENT_BYTES
        with pytest.raises(SocketClosedError):
            await asyncio.wait_for(socket.receive(), 5)

    peers = Peers(flood)
    async with served(peers) as url:
        theirs = await websockets_connect(url, additional_headers=CREDENTIALS, max_queue=1)
        await peers.finished()
        theirs.transport.abort()


async def test_a_peer_that_is_gone_without_a_word_closes_the_socket_with_1006(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "PING_AFTER_S", 0.1)
    monkeypatch.setattr(websocket, "PONG_DEADLINE_S", 0.1)
    server = await picows.ws_create_server(  # pyright: ignore[reportUnknownMemberType]  untyped kwargs
        lambda _: picows.WSListener(), "127.0.0.1", 0, enable_auto_pong=False
    )
    ours = await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", headers={}, deadline_s=5)

    with pytest.raises(SocketClosedError) as closed:
        await asyncio.wait_for(ours.receive(), 5)

    assert closed.value.code == 1006
    server.close()


async def test_a_silent_peer_that_answers_pings_keeps_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_AFTER_S", 0.05)
    monkeypatch.setattr(websocket, "PONG_DEADLINE_S", 0.05)
    peers = Peers(echo)
    async with served(peers) as url:
        ours = await connect(url, headers=CREDENTIALS, deadline_s=5)
        await asyncio.sleep(0.5)
        ours.send("still here")
        assert await ours.receive() == "still here"
        await ours.close()
        await peers.finished()


@asynccontextmanager
async def trusted_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[str]:
    """A server that says everything again, over TLS by an authority that callpipe trusts."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)  # pyright: ignore[reportUnknownMemberType]
    authority.cert_pem.write_to_path(folder / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))

    async def say_again(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with websockets_serve(say_again, "127.0.0.1", 0, ssl=tls, compression=None) as server:
        yield f"wss://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"


@pytest.fixture
def tls(blockbuster: BlockBuster) -> Iterator[None]:
    """Which authorities are trusted is found out once for each process; here for each test.

    picows' transport decodes the server's certificate by way of a file, in each handshake.
    """
    blockbuster.deactivate()
    websocket._trusted.cache_clear()  # pyright: ignore[reportPrivateUsage]
    yield
    websocket._trusted.cache_clear()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.usefixtures("tls")
async def test_messages_of_any_size_go_both_ways_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trusted_server(tmp_path, monkeypatch) as url:
        socket = await connect(url, headers={}, deadline_s=5)
        for size in (1, 20_000, 300_000):
            socket.send("x" * size)
            assert len(await socket.receive()) == size
        await socket.close()


@pytest.mark.usefixtures("tls")
async def test_a_server_whose_authority_nobody_knows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trusted_server(tmp_path, monkeypatch) as url:
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(SocketRefusedError, match="certificate"):
            await connect(url, headers={}, deadline_s=5)


async def test_nobody_there_is_a_refusal_without_a_status() -> None:
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    with pytest.raises(SocketRefusedError) as refused:
        await connect(f"ws://127.0.0.1:{port}/", headers={}, deadline_s=5)
    assert refused.value.status is None


async def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with pytest.raises(HandshakeLateError):
        await asyncio.wait_for(
            connect(f"ws://127.0.0.1:{silent.getsockname()[1]}/", headers={}, deadline_s=0.2), 3
        )
    silent.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "ws://", "nonsense"])
async def test_a_url_that_is_none_is_a_refusal(url: str) -> None:
    with pytest.raises(SocketRefusedError):
        await connect(url, headers={}, deadline_s=1)


async def test_closing_twice_and_closing_after_the_peer_are_harmless() -> None:
    peers = Peers(echo)
    async with served(peers) as url:
        ours = await connect(url, headers=CREDENTIALS, deadline_s=5)
        await ours.close()
        await ours.close()
        await peers.finished()
