"""The search for how many calls a core carries."""

import dataclasses

import pytest
from capacity import Capacity, find_capacity
from loading import Measured

FEW = Measured(
    calls=5, cpu_ms=5.0,
    in_p50_ms=0.2, in_p99_ms=1.0, out_p50_ms=0.2, out_p99_ms=1.0, fastest_ms=0.1,
    clear_p50_ms=0.2, clear_p99_ms=1.0, unclear=0, lost=0, resident_mb=100.0,
    load_busy=0.1, load_late_ms=0.1, others_busy=0.0, stolen=0.0,
)  # fmt: skip


async def found(carried: int, guess: int, *, load_carries: int = 5_000) -> Capacity:
    """Return what is found of a system that carries so many calls."""

    async def attempt(calls: int) -> Measured | None:
        late_ms = 1.0 if calls <= min(carried, load_carries) else 500.0
        busy = 0.95 if calls > load_carries else 0.5
        return dataclasses.replace(FEW, calls=calls, in_p99_ms=late_ms, load_busy=busy)

    return await find_capacity(attempt, FEW, guess)


@pytest.mark.parametrize("guess", [10, 290, 900])
async def test_the_limit_is_found_from_below_and_above(guess: int) -> None:
    capacity = await found(300, guess)
    assert 270 <= capacity.calls <= 300
    assert not capacity.at_least
    assert capacity.there is not None
    assert capacity.there.calls == capacity.calls


async def test_a_load_at_its_own_limit_makes_it_at_least() -> None:
    capacity = await found(1_000, 900, load_carries=700)
    assert 630 <= capacity.calls <= 700
    assert capacity.at_least


async def test_a_system_that_serves_nobody_carries_none() -> None:
    assert await found(0, 20) == Capacity(0, False, None)
