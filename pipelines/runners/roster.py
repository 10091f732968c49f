"""The runners a server knows, and which of them takes a call. Plain state: no socket, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..bot_profile import BotProfile
from ..ongoing import OngoingCall
from ..runs import Role, RunnerState
from .messages import Beat, Held


@dataclass(eq=False)
class KnownRunner:
    """A runner process, as its server knows it.

    Attributes:
        name: The server's name for it.
        pid: Its process.
        bot: Its bot.
        revision: Which load of the bot's file it runs.
        workers: How many runners of its bot take calls; those beyond are kept warm.
        heard_at: When it gave its last sign of life, monotonic seconds.
        beat: What that sign said.
        held: The generations it runs, by call and number.
        suspects: The calls it has because runners died with them: no other call is to be there.
        draining: It takes no further call.
    """

    name: str
    pid: int
    bot: BotProfile
    revision: int
    workers: int
    heard_at: float
    beat: Beat = field(default_factory=Beat)
    held: dict[tuple[str, int], Held] = field(default_factory=dict[tuple[str, int], Held])
    suspects: set[str] = field(default_factory=set[str])
    draining: bool = False

    @property
    def calls(self) -> set[str]:
        """The calls it has."""
        return {call_id for call_id, _ in self.held}

    def note(self, held: Held) -> None:
        """Note what has become of a generation."""
        key = (held.call_id, held.generation)
        if held.ended is None:
            self.held[key] = held
        else:
            self.held.pop(key, None)
            if held.call_id not in self.calls:
                self.suspects.discard(held.call_id)


class Roster:
    """Every runner, in the order they came.

    Args:
        per_runner: How many calls a runner may have; None without a limit.
        max_lag_ms: How late a runner's event loop may be while it takes calls; None without a limit.
    """

    def __init__(self, *, per_runner: int | None = None, max_lag_ms: float | None = None) -> None:
        self._runners: dict[str, KnownRunner] = {}
        self._per_runner = per_runner
        self._max_lag_ms = max_lag_ms

    def __iter__(self) -> Iterator[KnownRunner]:
        return iter(list(self._runners.values()))

    def __len__(self) -> int:
        return len(self._runners)

    def add(self, runner: KnownRunner) -> list[KnownRunner]:
        """Take a runner in; return those of an earlier revision of its bot, which are to drain."""
        self._runners[runner.name] = runner
        revision = max(other.revision for other in self.of(runner.bot.name))
        older = [
            other for other in self.of(runner.bot.name) if other.revision < revision and not other.draining
        ]
        for other in older:
            other.draining = True
        return older

    def remove(self, runner: KnownRunner) -> None:
        """Forget a runner that is gone."""
        self._runners.pop(runner.name, None)

    def of(self, bot: str) -> list[KnownRunner]:
        """Return a bot's runners."""
        return [runner for runner in self._runners.values() if runner.bot.name == bot]

    def holder(self, call_id: str, generation: int | None = None) -> KnownRunner | None:
        """Return the runner that has a call, or one generation of it."""
        for runner in self._runners.values():
            if (call_id in runner.calls) if generation is None else ((call_id, generation) in runner.held):
                return runner
        return None

    def choose(self, call: OngoingCall) -> KnownRunner | None:
        """Return the runner for a call's next generation; None when its bot has none.

        The runner that has the call already keeps it. A suspect gets a runner of its own, as far as there is
        one; every other call goes where the fewest are, and not to where a suspect is or where there is no
        room, as long as there is another place. A call that has been taken is never refused.
        """
        able = [runner for runner in self.of(call.bot) if not runner.draining]
        if not able:
            return next(iter(self.of(call.bot)), None)
        holder = self.holder(call.call_id)
        if holder in able:
            return holder
        if call.suspect:
            return _alone(able) or _fewest(able)
        taking = self.taking(call.bot) or able
        return _fewest([runner for runner in taking if self._has_room(runner)] or taking)

    def taking(self, bot: str) -> list[KnownRunner]:
        """Return the runners that a bot's new calls go to; others are kept warm, drain or have a suspect."""
        clean = [runner for runner in self.of(bot) if not runner.draining and not runner.suspects]
        return clean[: max(clean[0].workers, 1)] if clean else []

    def states(self) -> list[RunnerState]:
        """Return every runner as it is now."""
        taking = {runner.name for bot in {each.bot.name for each in self} for runner in self.taking(bot)}
        return [_state(runner, takes_calls=runner.name in taking) for runner in self]

    def room(self, bot: str) -> bool:
        """Whether one of a bot's runners can take one more call."""
        return any(self._has_room(runner) for runner in self.taking(bot))

    def _has_room(self, runner: KnownRunner) -> bool:
        few = self._per_runner is None or len(runner.calls) < self._per_runner
        return few and (self._max_lag_ms is None or runner.beat.lag_p90_ms <= self._max_lag_ms)


def _state(runner: KnownRunner, *, takes_calls: bool) -> RunnerState:
    role = Role.TAKES_CALLS if takes_calls else Role.KEPT_WARM
    if runner.suspects:
        role = Role.SUSPECT
    beat = runner.beat
    live = sum(held.started for held in runner.held.values())
    return RunnerState(
        name=runner.name,
        pid=runner.pid,
        bot=runner.bot.name,
        version=runner.bot.version,
        revision=runner.revision,
        role=Role.DRAINING if runner.draining else role,
        live=live,
        prepared=len(runner.held) - live,
        lag_p90_ms=beat.lag_p90_ms,
        lag_p99_ms=beat.lag_p99_ms,
        lag_max_ms=beat.lag_max_ms,
        rss_bytes=beat.rss_bytes,
        tasks=beat.tasks,
    )


def _alone(runners: Iterable[KnownRunner]) -> KnownRunner | None:
    """Return a runner without calls, the one that came last."""
    return next((runner for runner in reversed(list(runners)) if not runner.held), None)


def _fewest(runners: Iterable[KnownRunner]) -> KnownRunner:
    return min(runners, key=lambda runner: len(runner.calls))
