"""Which calls are taken, and why another is not."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from .bot_profile import BotProfile
from .loop_lag import LoopLag
from .ongoing import OngoingCalls
from .runs import Runs
from .settings import Settings


class Refusal(StrEnum):
    """Why one more call of a bot is not taken; it gets the bot's answer for that at its first webhook."""

    STOPPING = "stopping"
    """The server stops, and takes no further call."""
    BUDGET = "budget spent"
    """What calls may cost today is spent."""
    SERVER_FULL = "server full"
    """`CALLPIPE_MAX_CALLS` calls are there, or the server's event loop is later than `CALLPIPE_MAX_LAG_MS`."""
    BOT_FULL = "bot full"
    """The bot has as many calls as its `max_calls`."""
    RUNNERS_FULL = "runners full"
    """Each of the bot's runners has `CALLPIPE_MAX_CALLS_PER_RUNNER` calls, is too late, or is not there."""


class Admission:
    """The limits of a server: how many calls it takes at a time, and how late its processes may be.

    Args:
        runs: Who runs the pipelines.
        ongoing: The calls that go on.
        settings: The operator's settings; the limits are among them.
        clock: Monotonic seconds.

    Attributes:
        draining: No further call is taken.
        loop_lag: How late the event loop is; the server measures it.
    """

    def __init__(
        self, runs: Runs, ongoing: OngoingCalls, settings: Settings, clock: Callable[[], float]
    ) -> None:
        self._runs = runs
        self._ongoing = ongoing
        self._settings = settings
        self._clock = clock
        self.draining = False
        self.loop_lag = LoopLag()

    def refusal(self, bot: BotProfile) -> Refusal | None:
        """Return why one more call of a bot can't be taken; None when it can.

        Who takes it opens its first generation at once, before anything else happens: so calls that come
        together can't overshoot a limit.
        """
        if self.draining:
            return Refusal.STOPPING
        if self._runs.budget_spent:
            return Refusal.BUDGET
        now, settings = self._clock(), self._settings
        taking = [ongoing.bot for ongoing in self._ongoing if ongoing.takes_room(now)]
        full = settings.max_calls is not None and len(taking) >= settings.max_calls
        late = settings.max_lag_ms is not None and self.loop_lag.lags.p90_ms > settings.max_lag_ms
        if full or late:
            return Refusal.SERVER_FULL
        if bot.max_calls is not None and taking.count(bot.name) >= bot.max_calls:
            return Refusal.BOT_FULL
        return None if self._runs.has_room(bot.name) else Refusal.RUNNERS_FULL
