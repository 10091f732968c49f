"""What a server does about runners that are silent, hung or confused, and what it tells the others."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from callpipe.pipelines.bot_profile import BotProfile
from callpipe.pipelines.ongoing import MAX_DEATHS_ALONE, SUSPECT_DEATHS, Generation, OngoingCall
from callpipe.pipelines.parties import Parties
from callpipe.pipelines.runners import fleet as fleet_module
from callpipe.pipelines.runners.fleet import HEARTBEAT_S, Fleet
from callpipe.pipelines.runners.messages import (
    Abandon,
    Beat,
    End,
    FromRunner,
    FromServer,
    Held,
    Ready,
    Spent,
    Told,
    encode,
    from_server,
)
from callpipe.pipelines.settings import Settings

BOT = BotProfile("desk", "v1", ())
FREE, LIMITED = Settings.model_validate({}), Settings.model_validate({"day_budget_usd": 3.0})

CONNECT = """
import socket, sys, time
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect(sys.argv[1])
for datagram in sys.argv[2:]:
    connection.send(datagram.encode())
time.sleep(60)
"""


def call(call_id: str, **changed: Any) -> OngoingCall:
    return OngoingCall(call_id, BOT.name, Parties(), 0.0, [Generation(1, 0.0)], **changed)


@dataclass
class Calls:
    """The server's calls, and what it is told of them. See `Switching`."""

    known: dict[str, OngoingCall] = field(default_factory=dict[str, OngoingCall])
    died: list[tuple[str, int, bool]] = field(default_factory=list[tuple[str, int, bool]])
    lost: list[str] = field(default_factory=list[str])

    def recalls(self, call_id: str) -> OngoingCall | None:
        return self.known.get(call_id)

    async def changed(self, ongoing: OngoingCall) -> None: ...

    async def runner_died(self, call_id: str, generation: int, *, alone: bool) -> None:
        self.died.append((call_id, generation, alone))

    def runner_lost(self, bot: BotProfile) -> None:
        self.lost.append(bot.name)

    async def bot_came(self, bot: BotProfile) -> None: ...


class Place:
    """A fleet, and runners that connect to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "runners"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.calls = Calls()
        self.now = 0.0
        self.processes: list[asyncio.subprocess.Process] = []
        self.peers: list[socket.socket] = []
        self.fleet = self.serve()

    def serve(self, settings: Settings = FREE, **told: Any) -> Fleet:
        self.fleet = Fleet(self.listener, settings, clock=lambda: self.now, **told)
        return self.fleet

    async def process(self, *messages: FromRunner) -> asyncio.subprocess.Process:
        """Connect from a process of its own, which may be killed."""
        words = [encode(message).decode() for message in messages]
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", CONNECT, str(self.path), *words)
        self.processes.append(process)
        return process

    async def peer(self, *held: Held) -> socket.socket:
        """Connect from here, and stay connected until the fleet has let go."""
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        peer.setblocking(False)
        peer.connect(str(self.path))
        self.peers.append(peer)
        peer.send(encode(Ready(BOT, 1, held=held)))
        await eventually(lambda: len(self.fleet.roster) == len(self.peers))
        return peer

    async def close(self) -> None:
        await self.fleet.close("over")
        self.listener.close()
        for peer in self.peers:
            peer.close()
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    place.fleet.start(place.calls)
    yield place
    await place.close()


async def eventually(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():
            await asyncio.sleep(0.005)


async def next_said(peer: socket.socket) -> FromServer:
    loop = asyncio.get_running_loop()
    return from_server(await asyncio.wait_for(loop.sock_recv(peer, 65_536), 20))


def nothing_said(peer: socket.socket) -> bool:
    try:
        peer.recv(65_536)
    except BlockingIOError:
        return True
    return False


async def test_a_process_that_connects_and_does_not_say_what_it_runs_is_killed(
    place: Place, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(fleet_module, "INTRODUCTION_S", 0.05)
    silent = await place.process()
    assert await asyncio.wait_for(silent.wait(), 20) == -signal.SIGKILL
    assert f"process {silent.pid} connected as a runner and said nothing" in "".join(logged)
    assert place.calls.lost == []


async def test_a_runner_without_a_sign_of_life_is_killed_and_its_call_goes_elsewhere(place: Place) -> None:
    place.calls.known["c-1"] = call("c-1")
    hung = await place.process(Ready(BOT, 1, held=(Held("c-1", 1, started=True),)))
    await eventually(lambda: place.fleet.holds("c-1"))
    place.now = HEARTBEAT_S + 0.1
    assert await asyncio.wait_for(hung.wait(), 20) == -signal.SIGKILL
    await eventually(lambda: place.calls.died != [])
    assert place.calls.died == [("c-1", 1, True)]
    assert place.calls.lost == [BOT.name]
    assert len(place.fleet.roster) == 0


async def test_a_runner_that_drained_and_left_is_not_counted_as_lost(place: Place) -> None:
    leaving = await place.process(Ready(BOT, 1), Beat(draining=True))
    await eventually(lambda: any(runner.draining for runner in place.fleet.roster))
    leaving.kill()
    await eventually(lambda: len(place.fleet.roster) == 0)
    assert (place.calls.lost, place.calls.died) == ([], [])


async def test_nonsense_from_a_runner_is_logged_and_its_descriptor_closed(
    place: Place, logged: list[str]
) -> None:
    peer = await place.peer()
    reading, writing = os.pipe()
    socket.send_fds(peer, [b"nonsense"], [writing])
    os.close(writing)
    assert await asyncio.to_thread(os.read, reading, 1) == b"", "nobody else has the pipe open any more"
    os.close(reading)
    assert "a runner says what no runner says" in "".join(logged)
    peer.send(encode(Beat(tasks=7)))
    await eventually(lambda: [runner.beat.tasks for runner in place.fleet.roster] == [7])


async def test_what_a_process_says_before_it_says_what_it_runs_counts_for_nothing(place: Place) -> None:
    place.calls.known["c-1"] = call("c-1")
    await place.process(Told(Held("c-1", 1, started=True)), Ready(BOT, 1))
    await eventually(lambda: len(place.fleet.roster) == 1)
    assert not place.fleet.holds("c-1")
    assert not place.calls.known["c-1"].current.started


async def test_a_call_that_has_killed_runners_gets_one_where_no_other_call_goes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "PREPARE_DEADLINE_S", 0.01)
    suspect = place.calls.known["c-1"] = call("c-1", deaths=SUSPECT_DEATHS)
    await place.fleet.prepare(suspect, suspect.current)
    assert not place.fleet.holds("c-1"), "its bot has no runner yet"
    await place.peer()
    assert place.fleet.has_room(BOT.name)
    await place.fleet.prepare(suspect, suspect.current)
    assert place.fleet.holds("c-1")
    assert not place.fleet.has_room(BOT.name)


async def test_a_runner_that_holds_a_call_that_is_over_is_told_to_end_it(place: Place) -> None:
    place.calls.known["c-1"] = call("c-1")
    peer = await place.peer(Held("c-1", 1), Held("c-over", 1), Held("c-told", 1, ended="caller"))
    assert await next_said(peer) == End("c-over", "over")
    assert nothing_said(peer)


async def test_only_the_runner_that_has_a_call_is_told_that_it_is_over_or_abandoned(place: Place) -> None:
    having, other = call("c-1"), call("c-2")
    place.calls.known |= {"c-1": having, "c-2": other}
    first, second = await place.peer(Held("c-1", 1)), await place.peer()
    assert place.fleet.end(having, "hangup")
    assert await next_said(first) == End("c-1", "hangup")
    place.fleet.abandon(having)
    assert await next_said(first) == Abandon("c-1")
    assert not place.fleet.end(other, "hangup"), "no pipeline of it runs"
    assert nothing_said(first)
    assert nothing_said(second)


@pytest.mark.parametrize("deaths_alone", [0, MAX_DEATHS_ALONE])
async def test_a_media_socket_is_refused_when_no_runner_may_have_it(place: Place, deaths_alone: int) -> None:
    ongoing = call("c-1", deaths_alone=deaths_alone)
    peer = None if deaths_alone == 0 else await place.peer()
    with socket.socket() as media:
        refused = place.fleet.hand_over(ongoing, ongoing.current, media.fileno(), b"GET")
    assert refused is HTTPStatus.SERVICE_UNAVAILABLE
    assert peer is None or nothing_said(peer)


async def test_every_runner_is_told_what_the_calls_of_all_have_cost_today(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "SUMS_S", 0.01)
    await place.fleet.close("for one with a budget")
    fleet = place.serve(LIMITED, ended_today_usd=lambda: 2.0)
    fleet.start(place.calls)
    first, second = await place.peer(), await place.peer()
    assert not fleet.budget_spent
    first.send(encode(Beat(spent_usd=0.25)))
    second.send(encode(Beat(spent_usd=1.0)))
    for peer in (first, second):
        async with asyncio.timeout(20):
            while await next_said(peer) != Spent(3.25):
                pass
    assert fleet.budget_spent
