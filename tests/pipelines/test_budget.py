"""Budgets warn once, end once, and count every cent they are told of."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger
from pipecat.frames.frames import Frame, TextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.tests.utils import run_test

from callpipe.pipelines.budget import BudgetNotice, BudgetObserver, CallBudget, DayBudget, spent_on
from callpipe.pipelines.records.call_index import CallIndex
from callpipe.pipelines.records.journal import figures
from callpipe.transports.call_events import UsageFrame

COSTS = st.lists(st.floats(0, 1), max_size=20)


class Calendar:
    """A day that can be turned."""

    def __init__(self) -> None:
        self.day = date(2026, 11, 20)

    def today(self) -> date:
        return self.day

    def turn(self) -> None:
        self.day += timedelta(days=1)


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), format="{level} {message}", level="WARNING")
    yield lines
    logger.remove(sink)


def usage(cost_usd: float | None, model: str = "gpt-realtime-2.1") -> UsageFrame:
    return UsageFrame(0.0, model, {"audio_out": 1}, cost_usd)


class Stock(FrameProcessor):
    """A processor that passes everything on."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class Told(list[BudgetNotice]):
    """Notices, in the order in which they were told."""

    async def tell(self, notice: BudgetNotice) -> None:
        self.append(notice)


async def watched(observer: BudgetObserver, *frames: Frame) -> None:
    """Push frames through a pipeline that the observer watches; each frame is pushed several times."""
    await run_test(Pipeline([Stock(), Stock()]), frames_to_send=frames, observers=[observer])


def test_a_budget_warns_once_when_most_is_spent() -> None:
    budget = CallBudget(1.0)

    told = [budget.spend(0.3) for _ in range(3)]

    assert told == [None, None, BudgetNotice("call", pytest.approx(0.9), 1.0)]  # pyright: ignore[reportArgumentType]
    assert told[2] is not None
    assert not told[2].exhausted
    assert budget.spend(0.05) is None


def test_a_budget_is_exhausted_when_nothing_is_left() -> None:
    budget = CallBudget(0.5)

    assert budget.spend(0.5) == BudgetNotice("call", 0.5, 0.5)
    assert BudgetNotice("call", 0.5, 0.5).exhausted


def test_an_exhausted_budget_says_so_each_time() -> None:
    budget = CallBudget(0.5)
    budget.spend(0.6)

    again = budget.spend(0.0)

    assert again is not None
    assert again.exhausted


def test_the_share_at_which_to_warn_can_be_chosen() -> None:
    budget = CallBudget(1.0, warn_share=0.5)

    assert budget.spend(0.25) is None
    assert budget.spend(0.25) == BudgetNotice("call", 0.5, 1.0)
    assert budget.spend(0.25) is None


def test_a_budget_of_nothing_is_exhausted_from_the_start(calendar: Calendar) -> None:
    assert DayBudget(0.0, today=calendar.today).exhausted


@pytest.mark.parametrize(
    ("limit_usd", "warn_share", "spent_usd"),
    [(-1.0, 0.8, 0.0), (math.nan, 0.8, 0.0), (1.0, 0.0, 0.0), (1.0, 1.1, 0.0), (1.0, 0.8, -0.1)],
)
def test_a_senseless_budget_is_refused(limit_usd: float, warn_share: float, spent_usd: float) -> None:
    with pytest.raises(ValueError, match="budget"):
        DayBudget(limit_usd, warn_share=warn_share, spent_usd=spent_usd)


@given(COSTS, st.floats(0.01, 10))
def test_whatever_the_costs_notices_come_in_order_and_at_their_shares(
    costs: list[float], limit_usd: float
) -> None:
    budget = CallBudget(limit_usd)
    spent = 0.0
    warned = False
    for cost in costs:
        before, spent = spent, spent + cost
        notice = budget.spend(cost)
        if spent >= limit_usd:
            assert notice == BudgetNotice("call", spent, limit_usd)
        elif before < 0.8 * limit_usd <= spent:
            assert notice == BudgetNotice("call", spent, limit_usd)
            assert not warned
            warned = True
        else:
            assert notice is None


@given(st.floats(-10, 0), st.floats(0, 1))
def test_no_cost_makes_a_budget_grow(cost: float, spent: float) -> None:
    budget = CallBudget(1.0)
    budget.spend(spent)
    budget.spend(cost)

    assert (budget.spend(1.0 - spent + 1e-9) or BudgetNotice("call", 0.0, 1.0)).exhausted


def test_a_day_starts_anew(calendar: Calendar) -> None:
    day = DayBudget(1.0, today=calendar.today)
    day.spend(2.0)
    assert day.exhausted

    calendar.turn()

    assert not day.exhausted
    assert day.spend(0.7) is None
    assert day.spend(0.2) == BudgetNotice("day", pytest.approx(0.9), 1.0)  # pyright: ignore[reportArgumentType]


def test_a_day_goes_on_where_it_was(calendar: Calendar) -> None:
    day = DayBudget(1.0, spent_usd=0.95, today=calendar.today)

    notice = day.spend(0.05)

    assert notice is not None
    assert notice.exhausted


def test_a_restarted_server_does_not_warn_of_the_day_again(calendar: Calendar) -> None:
    assert DayBudget(1.0, spent_usd=0.85, today=calendar.today).spend(0.05) is None


def test_the_day_is_utcs_unless_told_otherwise() -> None:
    day = DayBudget(1.0)
    day.spend(0.9)

    assert not day.exhausted


def test_what_a_day_has_cost_is_read_off_the_index(tmp_path: Path) -> None:
    index = CallIndex(tmp_path / "calls.sqlite")
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    for call_id, began, cost_usd in [
        ("c-1", noon, 0.25),
        ("c-2", noon - timedelta(hours=12), 0.5),
        ("c-3", noon - timedelta(hours=13), 8.0),
        ("c-4", noon + timedelta(hours=12), 8.0),
    ]:
        index.started(call_id, bot="b", bot_version="1", direction="inbound", started_at=began)
        spent = [{"t": 0.0, "event": "usage", "model": "m", "cost_usd": cost_usd}]
        index.ended(call_id, ended_at=began, reason="bot", figures=figures(spent))
    index.started("running", bot="b", bot_version="1", direction="inbound", started_at=noon)

    assert spent_on(noon.date(), index.recent()) == 0.75


async def test_a_call_is_told_each_thing_once() -> None:
    told = Told()
    observer = BudgetObserver("c-1", [CallBudget(1.0)], told.tell)

    await watched(observer, usage(0.85), TextFrame("hello"), usage(0.1), usage(0.1), usage(0.1))

    assert [(notice.budget, notice.exhausted) for notice in told] == [("call", False), ("call", True)]
    assert told[1].spent_usd == pytest.approx(1.05)


async def test_the_calls_of_a_day_share_its_budget(calendar: Calendar) -> None:
    day = DayBudget(1.0, today=calendar.today)
    told = {"c-1": Told(), "c-2": Told()}
    first, second = [BudgetObserver(call, [day], notices.tell) for call, notices in told.items()]

    await watched(first, usage(0.7))
    await watched(second, usage(0.7))
    await watched(first, usage(0.01))

    assert [notice.exhausted for notice in told["c-2"]] == [True]
    assert [notice.exhausted for notice in told["c-1"]] == [True]
    assert told["c-1"][0].spent_usd == pytest.approx(1.41)


async def test_a_later_generation_of_a_call_goes_on_with_its_budget() -> None:
    budget = CallBudget(1.0)
    told = Told()

    await watched(BudgetObserver("c-1", [budget], told.tell), usage(0.7))
    await watched(BudgetObserver("c-1", [budget], told.tell), usage(0.7))

    assert [notice.exhausted for notice in told] == [True]


async def test_both_budgets_count_and_one_end_is_enough(calendar: Calendar) -> None:
    told = Told()
    budgets = [CallBudget(0.5), DayBudget(0.6, today=calendar.today)]

    await watched(BudgetObserver("c-1", budgets, told.tell), usage(0.5), usage(0.5))

    assert [(notice.budget, notice.exhausted) for notice in told] == [("call", True)]
    assert budgets[1].spend(0.0) == BudgetNotice("day", 1.0, 0.6)


async def test_a_model_without_a_price_is_named_once_and_costs_nothing(log: list[str]) -> None:
    told = Told()
    observer = BudgetObserver("c-1", [CallBudget(1.0)], told.tell)

    await watched(observer, usage(None, "gpt-9"), usage(None, "gpt-9"), usage(None, "gpt-8"), usage(0.9))

    assert log == [
        "WARNING call c-1: no budget counts gpt-9, whose price is not known\n",
        "WARNING call c-1: no budget counts gpt-8, whose price is not known\n",
    ]
    assert [notice.spent_usd for notice in told] == [0.9]


async def test_an_observer_outlives_whoever_it_tells(log: list[str]) -> None:
    told = Told()

    async def tell(notice: BudgetNotice) -> None:
        told.append(notice)
        raise RuntimeError("no such call")

    await watched(BudgetObserver("c-1", [CallBudget(1.0)], tell), usage(0.9), usage(0.9))

    assert [notice.exhausted for notice in told] == [False, True]
    assert len(log) == 2
