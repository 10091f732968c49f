"""A call that has cost what it may says goodbye; a day that has takes no further calls."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pipecat.frames.frames import Frame
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.frame_processor import FrameDirection
from pydantic import SecretStr

from callpipe.pipelines import Call, Parties
from callpipe.pipelines.bot import load_bot
from callpipe.pipelines.errors import CallNotRunningError
from callpipe.pipelines.records.call_index import CallIndex
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.records.journal import CallFigures, Journal
from callpipe.pipelines.settings import Settings
from callpipe.pipelines.spending import LAST_WORDS, Spending
from callpipe.pipelines.switchboard import Switchboard
from callpipe.transports.call_events import UsageFrame

ECHO = load_bot(Path(__file__).parents[2] / "bots" / "echo.py")
ENVIRONMENT = Settings().model_copy(
    update={
        "public_url": "http://127.0.0.1",
        "webhook_username": "carrier",
        "webhook_password": SecretStr("long enough"),
    }
)


class Steered:
    """A call that notes what it is told."""

    call_id = "c-1"

    def __init__(self, *, running: bool = True) -> None:
        self.told: list[str] = []
        self._running = running

    async def say(self, text: str) -> None:
        if not self._running:
            raise CallNotRunningError("it has ended")
        self.told.append(text)

    async def end(self) -> None:
        self.told.append("end")


class Written:
    """A journal in memory."""

    def __init__(self) -> None:
        self.events: list[tuple[str, float]] = []

    def write(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields["spent_usd"]))


def settings(**limits: float | None) -> Settings:
    return ENVIRONMENT.model_copy(update=limits)


async def spend(spending: Spending, steered: Steered, written: Written, *costs: float) -> None:
    call, journal = cast(Call, steered), cast(Journal, written)
    for observer in spending.observers(call, journal, spending.call_budget()):
        for cost in costs:
            frame: Frame = UsageFrame(0.0, "gpt-realtime-2.1", {}, cost)
            processor = cast(Any, None)
            await observer.on_push_frame(
                FramePushed(processor, processor, frame, FrameDirection.DOWNSTREAM, timestamp=0)
            )


async def test_a_call_is_warned_of_and_then_says_goodbye_once() -> None:
    steered, written = Steered(), Written()
    await spend(Spending(settings(call_budget_usd=1.0)), steered, written, 0.5, 0.35, 0.2, 0.2)
    assert written.events == [("budget", 0.85), ("budget", 1.05)]
    assert steered.told == [LAST_WORDS, "end"]


async def test_a_call_that_has_ended_meanwhile_is_left_alone() -> None:
    steered, written = Steered(running=False), Written()
    await spend(Spending(settings(call_budget_usd=1.0)), steered, written, 2.0)
    assert written.events == [("budget", 2.0)]
    assert steered.told == []


async def test_the_calls_of_a_day_share_a_budget() -> None:
    spending = Spending(settings(day_budget_usd=1.0), spent_today_usd=0.5)
    first, second = Steered(), Steered()
    await spend(spending, first, Written(), 0.2)
    assert not spending.exhausted
    await spend(spending, second, Written(), 0.4)
    assert spending.exhausted
    assert (first.told, second.told) == ([], [LAST_WORDS, "end"])


def test_what_other_processes_have_counted_exhausts_the_day_too() -> None:
    spending = Spending(settings(day_budget_usd=1.0), spent_today_usd=0.5)
    for told_usd, exhausted in ((0.3, False), (0.9, False), (1.0, True)):
        spending.spent_today(told_usd)
        assert spending.exhausted is exhausted


def test_without_limits_nobody_watches() -> None:
    spending = Spending(settings(call_budget_usd=None, day_budget_usd=None))
    spending.spent_today(100.0)
    assert spending.observers(cast(Call, Steered()), cast(Journal, Written()), spending.call_budget()) == []
    assert not spending.exhausted


async def test_a_spent_day_answers_calls_with_the_apology(tmp_path: Path) -> None:
    spending = Spending(settings(day_budget_usd=1.0), spent_today_usd=1.0)
    switchboard = Switchboard([ECHO], settings(), CallRecords(tmp_path), spending=spending)
    answer = await switchboard.initiated("echo", "c-1", Parties())
    assert "<SpeakSentence>" in answer
    assert "<Hangup" in answer
    assert "StartStream" not in answer
    await switchboard.disconnected("c-1", "hangup")
    await switchboard.close()


def test_a_server_that_starts_again_knows_what_the_day_has_cost(tmp_path: Path) -> None:
    limits, records = settings(day_budget_usd=1.0), CallRecords(tmp_path)
    assert not Spending.resumed(limits, records).exhausted
    now = datetime.now(UTC)
    index = CallIndex(tmp_path / "calls.sqlite")
    index.started("c-1", bot="echo", bot_version="1", direction="inbound", started_at=now)
    sums = CallFigures(9.0, None, 0, 0, (), (), cost_usd=1.5, unpriced=())
    index.ended("c-1", ended_at=now, reason="bot", figures=sums)
    assert Spending.resumed(limits, records).exhausted
