"""What calls may cost: a warning when most of it is spent, an end when all of it is.

Only usage whose price is known is counted; what a model with an unknown price costs is logged, not guessed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from loguru import logger
from pipecat.observers.base_observer import BaseObserver, FramePushed

from callpipe.transports.call_events import UsageFrame
from callpipe.transports.errors import where

from .records.call_index import IndexedCall

WARN_SHARE = 0.8
"""The share of a budget at which it warns."""


@dataclass(frozen=True, slots=True)
class BudgetNotice:
    """A budget is nearly spent, or exhausted.

    Attributes:
        budget: Whose: this ``call``'s, or the ``day``'s, which all calls of the server share.
        spent_usd: What has been spent so far.
        limit_usd: What may be.
    """

    budget: Literal["call", "day"]
    spent_usd: float
    limit_usd: float

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left: the call is to end."""
        return self.spent_usd >= self.limit_usd


class CallBudget:
    """What one call may cost, over all its generations.

    Args:
        limit_usd: The limit.
        warn_share: The share of it at which to warn.
    """

    def __init__(self, limit_usd: float, *, warn_share: float = WARN_SHARE) -> None:
        self._spending = _Spending("call", limit_usd, warn_share)

    @property
    def spent_usd(self) -> float:
        """What the call has cost so far."""
        return self._spending.notice.spent_usd

    def spend(self, cost_usd: float) -> BudgetNotice | None:
        """Add a cost; return a notice once when most is spent, and each time when nothing is left."""
        return self._spending.add(cost_usd)


class DayBudget:
    """What the calls of a day, in UTC, may cost together.

    Args:
        limit_usd: The limit.
        spent_usd: What this day's calls had cost before; `spent_on` reads it off the index.
        warn_share: The share of the limit at which to warn.
        today: Tells the day.
    """

    def __init__(
        self,
        limit_usd: float,
        *,
        spent_usd: float = 0.0,
        warn_share: float = WARN_SHARE,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._limit_usd = limit_usd
        self._warn_share = warn_share
        self._today = today
        self._day = today()
        self._spending = _Spending("day", limit_usd, warn_share, spent_usd)

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left of today's: no call should begin."""
        return self._of_today().notice.exhausted

    def spend(self, cost_usd: float) -> BudgetNotice | None:
        """Add a cost; return a notice once a day when most is spent, and each time when nothing is left."""
        return self._of_today().add(cost_usd)

    def spent_at_least(self, usd: float) -> None:
        """Take over a sum of today's that others have counted, where it is more than this one."""
        today = self._of_today()
        today.add(max(usd - today.notice.spent_usd, 0.0))

    def _of_today(self) -> _Spending:
        today = self._today()
        if today != self._day:
            self._day = today
            self._spending = _Spending("day", self._limit_usd, self._warn_share)
        return self._spending


class _Spending:
    """A sum under a limit."""

    def __init__(
        self, budget: Literal["call", "day"], limit_usd: float, warn_share: float, spent_usd: float = 0.0
    ) -> None:
        if not (limit_usd >= 0 and 0 < warn_share <= 1 and spent_usd >= 0):
            raise ValueError("a budget's limit and sum are not negative, and it warns at a share of the limit")
        self._budget: Literal["call", "day"] = budget
        self._limit_usd = limit_usd
        self._warn_at_usd = limit_usd * warn_share
        self._spent_usd = spent_usd

    @property
    def notice(self) -> BudgetNotice:
        return BudgetNotice(self._budget, self._spent_usd, self._limit_usd)

    def add(self, cost_usd: float) -> BudgetNotice | None:
        before = self._spent_usd
        self._spent_usd += max(cost_usd, 0.0)
        crossed = before < self._warn_at_usd <= self._spent_usd
        return self.notice if crossed or self.notice.exhausted else None


class BudgetObserver(BaseObserver):
    """Adds up what a call's usage costs, and tells when a budget is nearly spent or exhausted.

    The day's budget may be exhausted by another call: each call learns of it with its own next usage.

    Args:
        call_id: The carrier's id of the call, for log messages.
        budgets: The call's and the day's.
        tell: Awaited with each notice, and with one at most that a budget is exhausted.
    """

    def __init__(
        self,
        call_id: str,
        budgets: Iterable[CallBudget | DayBudget],
        tell: Callable[[BudgetNotice], Awaitable[None]],
    ) -> None:
        super().__init__(observe_every_push=False)  # pyright: ignore[reportUnknownMemberType]  pipecat's **kwargs
        self._call_id = call_id
        self._budgets = tuple(budgets)
        self._tell = tell
        self._over = False
        self._uncounted: set[str] = set()

    async def on_push_frame(self, data: FramePushed) -> None:
        """Count a usage frame."""
        if not isinstance(data.frame, UsageFrame):
            return
        try:
            await self._count(data.frame)
        except Exception as failure:  # noqa: BLE001  an observer that raises once gets no frames any more
            logger.error("call {}: its budget was not told: {}", self._call_id, where(failure))

    async def _count(self, usage: UsageFrame) -> None:
        if usage.cost_usd is None:
            if usage.model not in self._uncounted:
                self._uncounted.add(usage.model)
                logger.warning(
                    "call {}: no budget counts {}, whose price is not known", self._call_id, usage.model
                )
            return
        notices = [budget.spend(usage.cost_usd) for budget in self._budgets]
        for notice in notices:
            if notice is not None and not self._over:
                self._over = notice.exhausted
                await self._tell(notice)


def spent_on(day: date, calls: Iterable[IndexedCall]) -> float:
    """Return what the calls that began on a day, in UTC, have cost, as far as they have ended.

    Args:
        day: The day.
        calls: What the index keeps, in any order.
    """
    return sum(call.cost_usd or 0.0 for call in calls if call.started_at.startswith(day.isoformat()))
