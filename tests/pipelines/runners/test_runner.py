"""A runner and its servers: it waits for one, survives nonsense, and says of each generation how it ended."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callpipe.pipelines import Bot, Call, Pipeline
from callpipe.pipelines.ongoing import Apologise, Generation, HangUp, OngoingCall
from callpipe.pipelines.parties import Parties
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.runners import runner as runner_module
from callpipe.pipelines.runners.messages import (
    Abandon,
    Beat,
    Drain,
    End,
    FromRunner,
    FromServer,
    Held,
    Media,
    Prepare,
    Prepared,
    Ready,
    Spent,
    Told,
    encode,
    from_runner,
)
from callpipe.pipelines.runners.ownership import Ownership
from callpipe.pipelines.runners.runner import Runner
from callpipe.pipelines.settings import Settings
from callpipe.pipelines.spending import Spending

bot = Bot("desk", apology="Sorry.")


@bot.pipeline
def answer(call: Call) -> Pipeline:
    return Pipeline([call.transport.input(), call.transport.output()])


def call(call_id: str = "c-1") -> OngoingCall:
    return OngoingCall(call_id, bot.name, Parties(), 0.0, [Generation(1, 0.0)])


class Serving:
    """A server's end, which a runner finds when it listens."""

    def __init__(self, runner: Runner, path: Path) -> None:
        self.path = path
        self.running = asyncio.create_task(runner.run())
        self._listener: socket.socket | None = None
        self._connection: socket.socket | None = None

    async def meet(self) -> Ready:
        """Listen until the runner has come and said what it runs."""
        await self.leave()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        self._listener.bind(str(self.path))
        self._listener.listen()
        loop = asyncio.get_running_loop()
        self._connection, _ = await asyncio.wait_for(loop.sock_accept(self._listener), 20)
        self._connection.setblocking(False)
        ready = await self.hears()
        assert isinstance(ready, Ready)
        return ready

    async def leave(self) -> None:
        """Die, as a server does."""
        for each in (self._listener, self._connection):
            if each is not None:
                each.close()
        await asyncio.to_thread(self.path.unlink, missing_ok=True)

    def say(self, message: FromServer, *descriptors: int) -> None:
        assert self._connection is not None
        socket.send_fds(self._connection, [encode(message)], descriptors)

    def say_bytes(self, datagram: bytes) -> None:
        assert self._connection is not None
        self._connection.send(datagram)

    async def hears(self) -> FromRunner:
        """Return the next that the runner says beside its heartbeat."""
        loop = asyncio.get_running_loop()
        assert self._connection is not None
        while True:
            datagram = await asyncio.wait_for(loop.sock_recv(self._connection, 65_536), 20)
            if not isinstance(message := from_runner(datagram), Beat):
                return message

    async def hears_an_end(self) -> Held:
        """Return how the next generation ends."""
        while not isinstance(message := await self.hears(), Told) or message.held.ended is None:
            pass
        return message.held


@pytest.fixture
def records(tmp_path: Path) -> CallRecords:
    return CallRecords(tmp_path)


@pytest.fixture
def runner(tmp_path: Path, records: CallRecords) -> Runner:
    settings = Settings.model_validate({"data_dir": tmp_path})
    return Runner(bot, settings, records, socket_path=tmp_path / "runners", revision=1, workers=1)


@pytest.fixture
async def serving(tmp_path: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serving]:
    monkeypatch.setattr(runner_module, "SERVERLESS_S", 0.5)
    serving = Serving(runner, tmp_path / "runners")
    yield serving
    await serving.leave()
    await asyncio.wait_for(serving.running, 20)


async def test_a_runner_waits_for_its_server_and_leaves_when_none_comes(serving: Serving) -> None:
    await asyncio.sleep(0)  # nobody listens yet
    ready = await serving.meet()
    assert (ready.bot, ready.revision, ready.held) == (bot.profile, 1, ())
    await serving.leave()
    await asyncio.wait_for(serving.running, 20)


async def test_a_runner_that_no_server_ever_takes_in_leaves(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "SERVERLESS_S", 0.0)
    await asyncio.wait_for(runner.run(), 20)


async def test_a_runner_without_calls_leaves_when_told_to_drain(serving: Serving) -> None:
    await serving.meet()
    serving.say(Drain(60.0))
    await asyncio.wait_for(serving.running, 20)


async def test_nonsense_and_a_media_stream_without_its_socket_are_logged_and_the_runner_goes_on(
    serving: Serving, logged: list[str]
) -> None:
    await serving.meet()
    serving.say_bytes(b"nonsense")
    serving.say(Media(call()))
    serving.say(Prepare(call("c-2")))
    prepared = await serving.hears()
    assert isinstance(prepared, Prepared)
    assert (prepared.held.call_id, prepared.held.intent, prepared.held.ended) == ("c-2", None, None)
    assert "a server says what no server says" in "".join(logged)
    assert "a media stream came without its socket" in "".join(logged)


async def test_a_prepared_generation_ends_when_its_call_does_and_the_next_server_is_told(
    serving: Serving,
) -> None:
    await serving.meet()
    serving.say(Prepare(call()))
    assert isinstance(await serving.hears(), Prepared)
    serving.say(End("c-1", "hangup"))
    assert await serving.hears() == Told(Held("c-1", 1, intent=HangUp()))
    ended = Held("c-1", 1, intent=HangUp(), ended="hangup")
    assert await serving.hears() == Told(ended)
    ready = await serving.meet()
    assert ready.held == (ended,), "the server that died may not have heard it"


async def test_a_generation_whose_media_stream_will_not_come_is_ended(serving: Serving) -> None:
    await serving.meet()
    serving.say(Prepare(call()))
    assert isinstance(await serving.hears(), Prepared)
    serving.say(Abandon("c-unknown"))
    serving.say(Abandon("c-1"))
    ended = await serving.hears_an_end()
    assert (ended.call_id, ended.ended) == ("c-1", "no media stream")


async def test_an_end_of_long_ago_is_not_told_to_the_next_server(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "REMEMBERED_S", 0.0)
    await serving.meet()
    for call_id in ("c-1", "c-2"):
        serving.say(Prepare(call(call_id)))
        assert isinstance(await serving.hears(), Prepared)
    serving.say(End("c-1", "hangup"))
    assert (await serving.hears_an_end()).call_id == "c-1"
    serving.say(Prepare(call("c-3")))
    assert isinstance(await serving.hears(), Prepared)
    assert [held.call_id for held in (await serving.meet()).held] == ["c-2", "c-3"]


async def test_what_ended_calls_leave_behind_is_freed_after_some(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[bool] = []
    monkeypatch.setattr(runner_module, "COLLECTED_CALLS", 2)
    monkeypatch.setattr(runner_module.gc, "collect", lambda: collected.append(True))
    await serving.meet()
    for call_id, times in (("c-1", 0), ("c-2", 1), ("c-3", 1)):
        serving.say(Prepare(call(call_id)))
        assert isinstance(await serving.hears(), Prepared)
        serving.say(Abandon(call_id))
        assert (await serving.hears_an_end()).call_id == call_id
        assert len(collected) == times


@pytest.fixture
def spending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spending:
    """A day's budget, which runners count against."""
    spending = Spending(Settings.model_validate({"data_dir": tmp_path, "day_budget_usd": 5.0}))

    def resumed(_settings: Settings, _records: CallRecords) -> Spending:
        return spending

    monkeypatch.setattr(Spending, "resumed", resumed)
    return spending


async def test_what_the_server_says_that_the_day_has_cost_counts_here(
    spending: Spending, serving: Serving
) -> None:
    await serving.meet()
    serving.say(Spent(5.0))
    serving.say(Drain(0.0))
    await asyncio.wait_for(serving.running, 20)
    assert spending.exhausted


@pytest.fixture
async def taken(records: CallRecords, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Another runner has the call's folder, and keeps it."""
    monkeypatch.setattr(Ownership.take, "__kwdefaults__", {"patience_s": 0.1})
    folder = records.folder("c-1")
    other = Ownership()
    await other.take(folder)
    yield
    other.release(folder)


async def test_a_call_whose_records_another_runner_keeps_gets_an_apology(serving: Serving, taken: None) -> None:
    await serving.meet()
    serving.say(Prepare(call()))
    apology = Apologise("its records can't be written")
    assert await serving.hears() == Told(Held("c-1", 1, intent=apology))
    ended = Held("c-1", 1, intent=apology, ended="bot failed")
    assert await serving.hears() == Told(ended)
    assert await serving.hears() == Prepared(ended)


async def test_a_media_socket_of_a_call_that_another_runner_keeps_is_closed(
    serving: Serving, taken: None
) -> None:
    await serving.meet()
    carrier, handed = socket.socketpair()
    with carrier:
        carrier.setblocking(False)
        serving.say(Media(call()), handed.fileno())
        handed.close()
        assert await serving.hears() == Told(Held("c-1", 1, ended="no records"))
        assert await asyncio.get_running_loop().sock_recv(carrier, 1) == b""


async def test_the_end_of_a_generation_whose_pipeline_is_not_there_is_told_all_the_same(
    serving: Serving, taken: None
) -> None:
    await serving.meet()
    serving.say(Prepare(call("c-2")))
    assert isinstance(await serving.hears(), Prepared)
    serving.say(Prepare(call()))  # and waits for the folder
    serving.say(End("c-1", "hangup"))
    assert await serving.hears() == Told(Held("c-1", 1, ended="hangup"))
