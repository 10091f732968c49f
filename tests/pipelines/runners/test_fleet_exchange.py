"""An exchange without runners: what waits for one, and what becomes of calls of which nothing is heard."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from callpipe.pipelines import answers
from callpipe.pipelines.bot_profile import BotProfile
from callpipe.pipelines.fallback import SaySentence
from callpipe.pipelines.ongoing import Generation, OngoingCall
from callpipe.pipelines.ongoing_store import OngoingStore
from callpipe.pipelines.parties import Parties
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.records.journal import read_journal
from callpipe.pipelines.runners.fleet import Fleet
from callpipe.pipelines.runners.link import Link
from callpipe.pipelines.runners.messages import Ready, encode
from callpipe.pipelines.runners.server_process import FleetExchange
from callpipe.pipelines.settings import Settings
from callpipe.processors.disk import shared_writer

BOT = BotProfile("desk", "v1", (SaySentence("Sorry."),))
RINGING = Parties("+15555550100", "+15555550199", "inbound")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    told = {
        "public_url": "https://bots.example",
        "webhook_username": "carrier",
        "webhook_password": "long-enough",
        "data_dir": tmp_path,
    }
    return Settings.model_validate(told)


ENDED = '{"t": 1.0, "time": "", "event": "call_ended", "reason": "hangup"}\n'


class Clock:
    """Monotonic time that a test moves on, and which tells when it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now

    async def looked_at(self, times: int) -> None:
        """Wait until it has been looked at again."""
        enough = self.looks + times
        async with asyncio.timeout(20):
            while self.looks < enough:
                await asyncio.sleep(0.001)


def with_calls(tmp_path: Path, store: OngoingStore) -> None:
    """Leave what a server leaves that dies: a call that goes on, and two that are over."""
    records = CallRecords(tmp_path)
    asyncio.run(store.save(OngoingCall("c-on", BOT.name, RINGING, 0.0)))
    for call_id, left in (("c-ended", ENDED), ("c-over", "")):
        ongoing = OngoingCall(call_id, BOT.name, RINGING, 0.0, over="hangup")
        asyncio.run(store.save(ongoing))
        records.begin(BOT, ongoing, recorded=False).close()
        assert shared_writer().wait(5.0)
        with (records.folder(call_id) / "journal.jsonl").open("a") as journal:
            journal.write(left)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def idle(tmp_path: Path, settings: Settings, clock: Clock) -> Iterator[tuple[Fleet, FleetExchange]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "runners"))
        listener.listen()
        store = OngoingStore(tmp_path / "ongoing.sqlite")
        with_calls(tmp_path, store)
        fleet = Fleet(listener, settings, known={BOT.name: BOT})
        yield fleet, FleetExchange(fleet, settings, CallRecords(tmp_path), store, clock=clock)
        store.close()


@pytest.fixture
async def exchange(idle: tuple[Fleet, FleetExchange]) -> AsyncIterator[FleetExchange]:
    fleet, exchange = idle
    fleet.start(exchange)
    yield exchange
    await exchange.close()


def ends_of(journal: Path) -> list[str]:
    return [event["reason"] for event in read_journal(journal) if event["event"] == "call_ended"]


def runner(tmp_path: Path) -> Link:
    """Connect as a runner does."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.setblocking(False)
    connection.connect(str(tmp_path / "runners"))
    link = Link(connection, received=lambda _datagram, _descriptor: None, closed=lambda: None)
    link.send(encode(Ready(BOT, 1)))
    return link


async def test_a_call_waits_for_its_bots_next_runner(exchange: FleetExchange, tmp_path: Path) -> None:
    answering = asyncio.create_task(exchange.initiated(BOT.name, "c-1", RINGING))
    await asyncio.sleep(0.1)
    assert not answering.done()
    link = runner(tmp_path)
    assert "<StartStream" in await answering
    await exchange.close()  # before the link, whose end would have it kill this process
    link.close()


async def test_a_generation_is_kept_before_a_runner_begins_it(
    exchange: FleetExchange, idle: tuple[Fleet, FleetExchange], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []

    async def prepare(ongoing: OngoingCall, _generation: Generation) -> None:
        store = await asyncio.to_thread(OngoingStore, tmp_path / "ongoing.sqlite")
        calls = await asyncio.to_thread(lambda: list(store.load()))
        kept.extend(len(call.generations) for call in calls if call.call_id == ongoing.call_id)
        store.close()

    monkeypatch.setattr(idle[0], "prepare", prepare)
    link = runner(tmp_path)
    await exchange.initiated(BOT.name, "c-1", RINGING)
    await exchange.continues("c-1", 1)
    assert kept == [1, 2]
    await exchange.close()  # before the link, whose end would have it kill this process
    link.close()


async def test_a_call_without_a_runner_gets_an_apology_in_time(
    exchange: FleetExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callpipe.pipelines.runners.fleet.READY_DEADLINE_S", 0.1)
    assert "Sorry." in await exchange.initiated(BOT.name, "c-1", RINGING)


async def test_a_call_nobody_tells_the_end_of_is_ended(
    exchange: FleetExchange, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callpipe.pipelines.runners.fleet.READY_DEADLINE_S", 0.0)
    await exchange.initiated(BOT.name, "c-1", RINGING)
    watching = exchange.beside.begin(exchange.end_orphans(0.1))
    await clock.looked_at(1)
    clock.now = 0.1
    await clock.looked_at(2)
    assert "c-1" in exchange.ongoing
    clock.now = 0.2
    journal = tmp_path / "calls" / "c-1" / "journal.jsonl"
    async with asyncio.timeout(20):
        while (ended := await asyncio.to_thread(ends_of, journal)) == []:
            await asyncio.sleep(0.005)
    watching.cancel()
    assert ended == ["never disconnected"]
    assert exchange.calls == 0


async def test_a_caller_who_hangs_up_while_the_next_runner_is_awaited_gets_no_further_stream(
    exchange: FleetExchange, tmp_path: Path
) -> None:
    call = exchange.ongoing.find("c-on")
    assert call is not None
    call.open_generation(0.0)
    going_on = asyncio.create_task(exchange.continues("c-on", 1))
    await asyncio.sleep(0)
    await exchange.disconnected("c-on", "hangup")
    link = runner(tmp_path)
    assert await going_on == answers.hang_up()
    await exchange.close()  # before the link, whose end would have it kill this process
    link.close()


async def test_a_media_socket_without_credentials_is_refused_here(exchange: FleetExchange) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(exchange.socket_protocol(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"GET /bandwidth/desk/media HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 401 ")
    writer.close()
    server.close()


async def test_a_runner_that_hangs_while_its_server_is_replaced_is_dead_before_its_calls_go_on(
    idle: tuple[Fleet, FleetExchange], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callpipe.pipelines.runners.fleet.HEARTBEAT_S", 0.5)
    monkeypatch.setattr("callpipe.pipelines.runners.server_process.ATTACH_DEADLINE_S", 0.1)
    _, exchange = idle
    call = OngoingCall("c-1", BOT.name, RINGING, 0.0)
    call.open_generation(0.0).started = True
    exchange.ongoing.restore([call])
    hung = await asyncio.create_subprocess_exec("sleep", "60")
    await exchange.attached([hung.pid])
    assert call.deaths == 0, "it may still have the call"
    assert await asyncio.wait_for(hung.wait(), 5.0) == -signal.SIGKILL
    async with asyncio.timeout(5.0):
        while not call.deaths:
            await asyncio.sleep(0.02)
    await exchange.close()


async def test_a_generation_dies_once_however_many_servers_follow(
    idle: tuple[Fleet, FleetExchange],
) -> None:
    _, exchange = idle
    call = OngoingCall("c-1", BOT.name, RINGING, 0.0)
    call.open_generation(0.0).started = True
    exchange.ongoing.restore([call])
    await exchange.attached([])
    await exchange.attached([])
    assert call.deaths == 1
    await exchange.close()


async def test_the_next_server_ends_what_the_last_one_could_not_and_nothing_twice(
    exchange: FleetExchange, idle: tuple[Fleet, FleetExchange], tmp_path: Path
) -> None:
    assert exchange.find("c-on") is not None
    await exchange.generation_ended("c-ended", 1, "bot")
    await exchange.close_records()
    assert [call.call_id for call in exchange.ongoing] == ["c-on"]

    for call_id in ("c-ended", "c-over"):
        journal = tmp_path / "calls" / call_id / "journal.jsonl"
        assert await asyncio.to_thread(ends_of, journal) == ["hangup"]
    rows = await asyncio.to_thread(CallRecords(tmp_path).today)
    assert {row.call_id: row.reason for row in rows} == {"c-ended": "hangup", "c-over": "hangup"}
