"""What the calls of a server cost against what they may: a warning, then a goodbye."""

from __future__ import annotations

import functools
import math
from contextlib import suppress
from datetime import UTC, datetime

from pipecat.observers.base_observer import BaseObserver

from .budget import BudgetNotice, BudgetObserver, CallBudget, DayBudget, spent_on
from .call import Call
from .errors import CallNotRunningError
from .records.call_records import CallRecords
from .records.journal import Journal
from .settings import Settings

LAST_WORDS = "I'm sorry, our time is up. Goodbye."
"""What the bot says before a call is ended for its cost."""


class Spending:
    """The budgets of a server's calls; without limits it watches nothing.

    Args:
        settings: The limits.
        spent_today_usd: What calls before this process have cost today.
    """

    def __init__(self, settings: Settings, *, spent_today_usd: float = 0.0) -> None:
        self._call_limit_usd = settings.call_budget_usd
        limit_usd = settings.day_budget_usd
        self._day = None if limit_usd is None else DayBudget(limit_usd, spent_usd=spent_today_usd)

    @classmethod
    def resumed(cls, settings: Settings, records: CallRecords) -> Spending:
        """Return the spending of a server that starts in the middle of a day. It blocks while it reads."""
        if settings.day_budget_usd is None:
            return cls(settings)
        return cls(settings, spent_today_usd=ended_today_usd(records))

    @property
    def exhausted(self) -> bool:
        """Whether the day's budget is spent: no further call is to be taken."""
        return self._day is not None and self._day.exhausted

    def spent_today(self, usd: float) -> None:
        """Note what the calls of all processes have cost today, where that is more than is known here."""
        if self._day is not None:
            self._day.spent_at_least(usd)

    def call_budget(self) -> CallBudget | None:
        """Return the budget of a new call, over all its generations; None where no budget counts its cost."""
        if self._call_limit_usd is None and self._day is None:
            return None
        return CallBudget(math.inf if self._call_limit_usd is None else self._call_limit_usd)

    def observers(self, call: Call, journal: Journal, budget: CallBudget | None) -> list[BaseObserver]:
        """Return what watches what a generation of a call costs."""
        budgets = [each for each in (budget, self._day) if each is not None]
        if not budgets:
            return []
        return [BudgetObserver(call.call_id, budgets, functools.partial(_told, call, journal))]


def ended_today_usd(records: CallRecords) -> float:
    """Return what the calls of today, in UTC, that have ended have cost. It blocks while it reads."""
    return spent_on(datetime.now(UTC).date(), records.today())


async def _told(call: Call, journal: Journal, notice: BudgetNotice) -> None:
    journal.write("budget", budget=notice.budget, spent_usd=notice.spent_usd, limit_usd=notice.limit_usd)
    if notice.exhausted:
        with suppress(CallNotRunningError):
            await call.say(LAST_WORDS)
            await call.end()
