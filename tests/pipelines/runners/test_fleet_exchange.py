"""An exchange without runners: what waits for one, and what becomes of calls of which nothing is heard."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from callpipe.pipelines.bot_profile import BotProfile
from callpipe.pipelines.fallback import SaySentence
from callpipe.pipelines.ongoing import OngoingCall
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


def with_calls(tmp_path: Path, store: OngoingStore) -> None:
    """Leave what a server leaves that dies when it has written a call's last line, and one that has not."""
    records = CallRecords(tmp_path)
    for call_id, left in (("c-ended", ENDED), ("c-over", "")):
        ongoing = OngoingCall(call_id, BOT.name, RINGING, 0.0, over="hangup")
        asyncio.run(store.save(ongoing))
        records.begin(BOT, ongoing, recorded=False).close()
        assert shared_writer().wait(5.0)
        with (records.folder(call_id) / "journal.jsonl").open("a") as journal:
            journal.write(left)


@pytest.fixture
def idle(tmp_path: Path, settings: Settings) -> Iterator[tuple[Fleet, FleetExchange]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "runners"))
        listener.listen()
        store = OngoingStore(tmp_path / "ongoing.sqlite")
        with_calls(tmp_path, store)
        fleet = Fleet(listener, settings, known={BOT.name: BOT})
        yield fleet, FleetExchange(fleet, settings, CallRecords(tmp_path), store)
        store.close()


@pytest.fixture
async def exchange(idle: tuple[Fleet, FleetExchange]) -> AsyncIterator[FleetExchange]:
    fleet, exchange = idle
    fleet.start(exchange)
    yield exchange
    await exchange.close()


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


async def test_a_call_without_a_runner_gets_an_apology_in_time(
    exchange: FleetExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callpipe.pipelines.runners.fleet.READY_DEADLINE_S", 0.1)
    assert "Sorry." in await exchange.initiated(BOT.name, "c-1", RINGING)


async def test_a_call_nobody_tells_the_end_of_is_ended(
    exchange: FleetExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callpipe.pipelines.runners.fleet.READY_DEADLINE_S", 0.0)
    await exchange.initiated(BOT.name, "c-1", RINGING)
    watching = asyncio.create_task(exchange.end_orphans(0.3))
    await asyncio.sleep(0.2)
    assert exchange.calls == 1
    for _ in range(200):
        await asyncio.sleep(0.02)
        if not exchange.calls:
            break
    watching.cancel()
    assert exchange.calls == 0
    last = await asyncio.to_thread(lambda: list(read_journal(tmp_path / "calls" / "c-1" / "journal.jsonl"))[-1])
    assert (last["event"], last["reason"]) == ("call_ended", "never disconnected")


async def test_a_runner_that_hangs_while_its_server_is_replaced_is_dead_before_its_calls_go_on(
    idle: tuple[Fleet, FleetExchange], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callpipe.pipelines.runners.fleet.HEARTBEAT_S", 0.5)
    monkeypatch.setattr("callpipe.pipelines.runners.server_process.ATTACH_DEADLINE_S", 0.1)
    _, exchange = idle
    call = OngoingCall("c-1", BOT.name, RINGING, time.monotonic())
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
    call = OngoingCall("c-1", BOT.name, RINGING, time.monotonic())
    call.open_generation(0.0).started = True
    exchange.ongoing.restore([call])
    await exchange.attached([])
    await exchange.attached([])
    assert call.deaths == 1
    await exchange.close()


async def test_the_next_server_ends_what_the_last_one_could_not_and_nothing_twice(
    exchange: FleetExchange, idle: tuple[Fleet, FleetExchange], tmp_path: Path
) -> None:
    await exchange.generation_ended("c-ended", 1, "bot")
    await exchange.close_records()

    def endings(call_id: str) -> int:
        events = read_journal(tmp_path / "calls" / call_id / "journal.jsonl")
        return sum(event["event"] == "call_ended" for event in events)

    assert await asyncio.to_thread(endings, "c-ended") == 1
    assert await asyncio.to_thread(endings, "c-over") == 1
    rows = await asyncio.to_thread(CallRecords(tmp_path).today)
    assert {row.call_id: row.reason for row in rows} == {"c-ended": "hangup", "c-over": "hangup"}
