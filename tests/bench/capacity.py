"""How many calls one core carries: the largest number that is served as well as a few are."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loading import Measured

SLACK_MS = 50.0
"""The 99th percentile of the delay may be this much above that of a few calls."""
LOST_MS = 20.0
"""A call all of whose frames come this much later than the fastest of a few calls has lost one."""
GROWTH = 1.4
PRECISION = 0.1
MOST = 2000

Try = Callable[[int], Awaitable[Measured | None]]
"""Holds a number of calls and measures them; None when the system does not take so many."""


@dataclass(frozen=True)
class Capacity:
    """What was found.

    Attributes:
        calls: The largest number that was served well.
        at_least: The load came to its limit first: the system carries more.
        there: The measurement at that number.
    """

    calls: int
    at_least: bool
    there: Measured | None

    @property
    def words(self) -> str:
        """The number, as tables and plots have it."""
        return f"{'≥ ' if self.at_least else ''}{self.calls}"


def served_well(measured: Measured | None, unloaded: Measured) -> bool:
    """Whether nothing is lost and the delay stays near that of a few calls."""
    if measured is None or measured.lost:
        return False
    late = (
        measured.in_p99_ms > unloaded.in_p99_ms + SLACK_MS
        or measured.out_p99_ms > unloaded.out_p99_ms + SLACK_MS
    )
    return not late and measured.fastest_ms < unloaded.fastest_ms + LOST_MS


async def find_capacity(attempt: Try, unloaded: Measured, guess: int) -> Capacity:
    """Search upwards and downwards from a guess, then halve the interval that is left."""
    good, bad, there = 0, MOST + 1, None
    load_failed = True
    calls = guess
    while bad - good > max(1, PRECISION * good):
        measured = await attempt(calls)
        if served_well(measured, unloaded):
            good, there = calls, measured
        else:
            bad = calls
            load_failed = measured is not None and measured.load_at_its_limit
        calls = _next(good, bad)
        if calls in (good, bad):
            break
    return Capacity(good, load_failed, there)


def _next(good: int, bad: int) -> int:
    if bad > MOST:
        return min(MOST, int(good * GROWTH) + 1)
    if good == 0:
        return int(bad / GROWTH)
    return (good + bad) // 2
