"""Limits of calls: a call too many is answered at its webhook, and calls that come together don't overshoot."""

import asyncio
import xml.etree.ElementTree as ET
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from callpipe.pipelines import Bot, Call, Pipeline
from callpipe.pipelines.admission import Refusal
from callpipe.pipelines.ongoing import RETURN_S, TOKEN_LIFETIME_S, Apologise, HangUp, OngoingCall
from callpipe.pipelines.parties import Parties
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.records.journal import read_journal
from callpipe.pipelines.settings import Settings
from callpipe.pipelines.switchboard import Switchboard
from callpipe.processors.disk import shared_writer

ENVIRONMENT = Settings()


class Clock:
    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s


class Lines:
    """An exchange under test, as the carrier meets it."""

    def __init__(self, exchange: Switchboard, clock: Clock) -> None:
        self.exchange = exchange
        self.clock = clock

    async def call(self, call_id: str, bot: str = "a") -> bool:
        """Call; return whether the call is taken rather than apologised to."""
        verbs = [verb.tag for verb in ET.fromstring(await self.exchange.initiated(bot, call_id, Parties()))]
        assert verbs in (["StartStream", "StopStream", "Redirect"], ["SpeakSentence", "Hangup"])
        return verbs[0] == "StartStream"

    async def taken(self, *call_ids: str, bot: str = "a") -> int:
        """Call all at once; return how many are taken."""
        return sum(await asyncio.gather(*(self.call(call_id, bot) for call_id in call_ids)))


@asynccontextmanager
async def lines(tmp_path: Path, *bots: Bot, max_prepared: int = 100, **settings: Any) -> AsyncGenerator[Lines]:
    serving = {"public_url": "https://example.com", "webhook_username": "carrier"}
    serving |= {"webhook_password": SecretStr("webhook password"), "data_dir": tmp_path, **settings}
    operators = ENVIRONMENT.model_copy(update=serving)
    clock = Clock()
    records = CallRecords(tmp_path)
    exchange = Switchboard(bots or [bot("a")], operators, records, max_prepared=max_prepared, clock=clock)
    try:
        yield Lines(exchange, clock)
    finally:
        await exchange.close()


def bot(name: str, **limits: Any) -> Bot:
    made = Bot(name, **limits)

    @made.pipeline
    def build(call: Call) -> Pipeline:
        return Pipeline([call.transport.input(), call.transport.output()])

    return made


TEN = [f"c-{number}" for number in range(10)]


@pytest.mark.parametrize("max_prepared", [100, 0])
async def test_calls_that_come_together_do_not_overshoot_the_servers_limit(
    max_prepared: int, tmp_path: Path
) -> None:
    async with lines(tmp_path, max_prepared=max_prepared, max_calls=4) as carrier:
        assert await carrier.taken(*TEN) == 4
        assert not await carrier.call("one more")
        assert carrier.exchange.load.prepared == min(4, max_prepared)


@pytest.mark.parametrize("max_prepared", [100, 0])
async def test_a_bots_own_limit_leaves_room_for_the_others(max_prepared: int, tmp_path: Path) -> None:
    bots = [bot("a", max_calls=3), bot("b")]
    async with lines(tmp_path, *bots, max_prepared=max_prepared) as carrier:
        assert await carrier.taken(*TEN) == 3
        assert await carrier.taken("b-1", "b-2", bot="b") == 2


async def test_a_runners_limit_is_of_all_its_calls(tmp_path: Path) -> None:
    async with lines(tmp_path, bot("a"), bot("b"), max_calls_per_runner=3) as carrier:
        assert await carrier.taken("b-1", bot="b") == 1
        assert await carrier.taken(*TEN) == 2


async def test_the_same_webhook_asked_again_takes_no_more_room(tmp_path: Path) -> None:
    async with lines(tmp_path, max_calls=2) as carrier:
        assert await carrier.taken("c-1", "c-1", "c-1") == 3
        assert await carrier.taken("c-2", "c-3") == 1


async def test_a_call_that_ends_makes_room(tmp_path: Path) -> None:
    async with lines(tmp_path, max_calls=1) as carrier:
        assert await carrier.call("c-1")
        assert not await carrier.call("c-2")
        await carrier.exchange.disconnected("c-1", "hangup")
        assert not await carrier.call("c-2"), "asked twice, the answer is the same"
        assert await carrier.call("c-3")


async def test_a_caller_who_never_comes_makes_room_when_their_token_is_dead(tmp_path: Path) -> None:
    async with lines(tmp_path, max_calls=1, max_prepared=0) as carrier:
        assert await carrier.call("c-1")
        carrier.clock.ahead_s = TOKEN_LIFETIME_S - 1
        assert not await carrier.call("c-2")
        carrier.clock.ahead_s = TOKEN_LIFETIME_S
        assert await carrier.call("c-3")


async def test_a_call_that_goes_on_is_never_refused(tmp_path: Path) -> None:
    async with lines(tmp_path, max_calls=1) as carrier:
        assert await carrier.call("c-1")
        for generation in (1, 2):
            following = await carrier.exchange.continues("c-1", generation)
            assert ET.fromstring(following)[0].tag == "StartStream"
        assert not await carrier.call("c-2")


@pytest.mark.parametrize("late_ms", [200.0, 300.0])
async def test_a_server_that_is_late_takes_no_further_call(late_ms: float, tmp_path: Path) -> None:
    async with lines(tmp_path, max_lag_ms=250.0) as carrier:
        for _ in range(50):
            carrier.exchange.admission.loop_lag.lags.note(late_ms, 0.0)
        assert await carrier.call("c-1") is (late_ms < 250)


async def test_without_a_limit_of_lag_a_late_server_takes_calls(tmp_path: Path) -> None:
    async with lines(tmp_path, max_lag_ms=None) as carrier:
        for _ in range(50):
            carrier.exchange.admission.loop_lag.lags.note(3000.0, 0.0)
        assert await carrier.call("c-1")


async def test_why_a_call_was_refused_is_in_its_journal(tmp_path: Path) -> None:
    async with lines(tmp_path, bot("a", max_calls=1)) as carrier:
        await carrier.call("c-1")
        await carrier.call("c-2")
        carrier.exchange.drain()
        await carrier.call("c-3")
    await shared_writer().flush(5)
    reasons = [await asyncio.to_thread(apologised, tmp_path, call_id) for call_id in ("c-1", "c-2", "c-3")]
    assert reasons == [[], [Refusal.BOT_FULL.value], [Refusal.STOPPING.value]]


def apologised(tmp_path: Path, call_id: str) -> list[str]:
    events = read_journal(tmp_path / "calls" / call_id / "journal.jsonl")
    return [event["reason"] for event in events if event["event"] == "apologised"]


def test_a_call_takes_room_from_its_answer_until_it_is_not_expected_back() -> None:
    call = OngoingCall("c", "a", Parties(), 0.0)
    assert not call.takes_room(0.0), "it has not been taken"
    generation = call.open_generation(0.0)
    assert call.takes_room(0.0)
    assert not call.takes_room(TOKEN_LIFETIME_S)
    generation.started = True
    assert call.takes_room(9_000.0)
    generation.ended_at = 9_000.0
    assert call.takes_room(9_000.0 + RETURN_S - 1)
    assert not call.takes_room(9_000.0 + RETURN_S)
    call.open_generation(9_001.0)
    assert call.takes_room(9_002.0)
    call.over = "hangup"
    assert not call.takes_room(9_002.0)


def test_a_bot_that_says_goodbye_takes_room_until_it_has_ended() -> None:
    call = OngoingCall("c", "a", Parties(), 0.0)
    generation = call.open_generation(0.0)
    generation.started = True
    generation.wants(HangUp())
    assert call.takes_room(1.0)
    generation.ended_at = 2.0
    assert not call.takes_room(2.0)


def test_a_bot_that_failed_before_its_stream_takes_no_room() -> None:
    call = OngoingCall("c", "a", Parties(), 0.0)
    call.open_generation(0.0).wants(Apologise("broken"))
    assert not call.takes_room(0.0)
