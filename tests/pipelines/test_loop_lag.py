"""The loop's lag is what a busy loop is late, told seldom, measured only while somebody watches."""

import asyncio
import time

import pytest

from callpipe.pipelines.loop_lag import Lags, LoopLag
from callpipe.transports.virtual_time import run_virtual


def keep_busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def test_work_that_holds_the_loop_is_told_with_how_late_it_made_others() -> None:
    loop_lag = LoopLag()
    told: list[float] = []
    with loop_lag.watched(told.append):
        await asyncio.sleep(0.15)
        keep_busy(0.3)
        await asyncio.sleep(0.15)

    assert told[0] == loop_lag.lags.max_ms == pytest.approx(250, abs=150)
    assert loop_lag.lags.p99_ms == loop_lag.lags.max_ms


async def test_everybody_who_watches_is_told_and_nobody_else() -> None:
    loop_lag = LoopLag()
    first: list[float] = []
    second: list[float] = []
    with loop_lag.watched(first.append):
        with loop_lag.watched(second.append):
            keep_busy(0.3)
            await asyncio.sleep(0.15)
        assert first == second != []

    keep_busy(0.5)
    await asyncio.sleep(0.15)
    assert loop_lag.lags.max_ms == first[0]


def test_a_loop_that_keeps_time_has_no_lag_and_nothing_is_told() -> None:
    loop_lag = LoopLag()
    told: list[float] = []

    async def a_minute() -> None:
        with loop_lag.watched(told.append):
            await asyncio.sleep(60)

    assert loop_lag.lags.p99_ms == 0.0
    run_virtual(a_minute())

    assert told == []
    assert loop_lag.lags.max_ms < 0.001


def test_a_storm_of_lags_is_told_once_a_second_by_its_worst() -> None:
    lags = Lags()

    told = [lags.note(50.0 + number, number / 10) for number in range(40)]

    assert [one for one in told if one is not None] == [50.0, 60.0, 70.0, 80.0]
    assert lags.max_ms == 89.0


def test_a_small_lag_is_not_told_but_counts() -> None:
    lags = Lags()

    assert [lags.note(lag_ms, 0.0) for lag_ms in (49.9, *[1.0] * 200)] == [None] * 201
    assert (lags.max_ms, lags.p99_ms) == (49.9, 1.0)


def test_a_loop_with_too_much_to_do_is_told_from_one_that_was_held_up() -> None:
    held_up, overloaded = Lags(), Lags()
    for number in range(100):
        held_up.note(900.0 if number % 20 == 0 else 1.0, number / 10)
        overloaded.note(900.0 if number % 5 == 0 else 1.0, number / 10)
    assert held_up.p90_ms == 1.0
    assert overloaded.p90_ms == 900.0
    for number in range(90):
        overloaded.note(1.0, 10 + number / 10)
    assert overloaded.p90_ms == 1.0


def test_the_first_measures_say_nothing_of_how_busy_a_loop_is() -> None:
    lags = Lags()
    for number in range(20):
        lags.note(900.0, number / 10)
    assert lags.p90_ms == 0.0
    lags.note(900.0, 2.0)
    assert lags.p90_ms == 900.0
