"""The runner processes of a server: takes them in, gives them calls, hears them, and sees them die."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from loguru import logger

from ..bot_profile import BotProfile
from ..ongoing import Generation, OngoingCall
from ..runs import Ended, Load, RunnerState, nobody_waits
from ..settings import Settings
from ..spawned import Spawned
from ..waiting import until
from .death import gone, is_gone
from .link import Link, LinkClosedError
from .messages import (
    Abandon,
    Beat,
    BrokenDatagramError,
    Drain,
    End,
    FromServer,
    Held,
    Media,
    Prepare,
    Prepared,
    Ready,
    Spent,
    encode,
    from_runner,
)
from .roster import KnownRunner, Roster
from .switching import Switching

HEARTBEAT_S = 5.0
"""A runner that gives no sign of life for so long is hung, and is killed."""

LOOK_S = 0.2
"""How often it is looked for runners that are hung."""

SUMS_S = 1.0
"""How often runners are told what the day has cost."""

READY_DEADLINE_S = 8.0
"""How long an answer waits for the next runner of a bot that has none; the carrier waits 15 s."""

PREPARE_DEADLINE_S = 0.5
"""How long the carrier's answer waits for a pipeline; it may as well be built when its media stream comes."""

INTRODUCTION_S = 5.0
"""How soon a runner that has connected says what it runs."""


@dataclass(eq=False)
class _Connection:
    """A runner's end of things, from when it connects."""

    link: Link
    pid: int
    process: int
    runner: KnownRunner | None = None


class Fleet:
    """The runners that connect to one socket. See `Runs`.

    Args:
        listener: Where runners connect: a listening `SOCK_SEQPACKET` socket of the Unix domain.
        settings: The operator's settings, the limits of calls among them.
        known: Bots that have answered here before, for the time until their runners are there.
        bots: The names of the bots that have runners, or are to get some.
        ended_today_usd: Tells what the calls that have ended today have cost; None without a day's budget.
        clock: Monotonic seconds.

    Attributes:
        ended: Awaited when a generation's pipeline has ended.
        roster: The runners.
    """

    def __init__(
        self,
        listener: socket.socket,
        settings: Settings,
        *,
        known: dict[str, BotProfile] | None = None,
        bots: Sequence[str] = (),
        ended_today_usd: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._settings = settings
        self._known = dict(known or {})
        self._bots = dict.fromkeys(bots)
        self._ended_today_usd = ended_today_usd
        self._day_usd = 0.0
        self._clock = clock
        self.roster = Roster(per_runner=settings.max_calls_per_runner, max_lag_ms=settings.max_lag_ms)
        self.ended: Ended = nobody_waits
        self._switching: Switching | None = None
        self._connections: dict[str, _Connection] = {}
        self._prepared: dict[tuple[str, int], asyncio.Future[None]] = {}
        self._beside = Spawned()
        self._names = 0

    def start(self, switching: Switching) -> None:
        """Begin to take runners in."""
        self._switching = switching
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)
        self._beside.begin(self._watch())
        if self._ended_today_usd is not None:
            self._beside.begin(self._sum_up(self._ended_today_usd))

    async def gather(self, processes: Sequence[int]) -> None:
        """Wait until runners that an earlier server had are here, or gone: one that hangs is killed.

        Args:
            processes: Their ids.
        """
        await asyncio.gather(*map(self._found, processes))

    async def _found(self, pid: int) -> None:
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        await until(lambda: self._has(pid) or is_gone(process), HEARTBEAT_S)
        if self._has(pid):
            os.close(process)
            return
        if not is_gone(process):
            logger.error("process {} does not connect: it hangs", pid)
        await gone(process)

    def _has(self, pid: int) -> bool:
        return any(runner.pid == pid for runner in self.roster)

    def holds(self, call_id: str) -> bool:
        """Whether a runner has a call."""
        return self.roster.holder(call_id) is not None

    @property
    def load(self) -> Load:
        """How much runs."""
        beats = [runner.beat for runner in self.roster]
        generations = [held for runner in self.roster for held in runner.held.values()]
        live = sum(held.started for held in generations)
        return Load(
            len(beats),
            live,
            len(generations) - live,
            max((beat.lag_p99_ms for beat in beats), default=0.0),
            max((beat.lag_max_ms for beat in beats), default=0.0),
        )

    @property
    def budget_spent(self) -> bool:
        """Whether the day's budget is spent."""
        limit_usd = self._settings.day_budget_usd
        return limit_usd is not None and self._day_usd >= limit_usd

    @property
    def bots(self) -> list[str]:
        """The names of the bots that are to answer calls here."""
        return list(self._bots)

    async def runners(self) -> list[RunnerState]:
        """Return the runner processes as they are now."""
        return self.roster.states()

    def bot(self, name: str) -> BotProfile | None:
        """Return a bot that answers calls here, or None."""
        runners = self.roster.of(name)
        return runners[-1].bot if runners else self._known.get(name)

    async def ready(self, bot: str) -> None:
        """Wait until a bot has a runner. See `Runs.ready`."""
        await until(lambda: bool(self.roster.of(bot)), READY_DEADLINE_S)

    def has_room(self, bot: str) -> bool:
        """Whether one of a bot's runners can take one more call."""
        return self.roster.room(bot)

    async def prepare(self, ongoing: OngoingCall, generation: Generation) -> None:
        """Have a runner begin a generation. See `Runs.prepare`."""
        runner = self._chosen(ongoing)
        if runner is None:
            return
        key = (ongoing.call_id, generation.number)
        prepared = self._prepared[key] = asyncio.get_running_loop().create_future()
        runner.note(Held(*key))
        self._say(runner, Prepare(ongoing))
        try:
            await asyncio.wait_for(prepared, PREPARE_DEADLINE_S)
        except TimeoutError:
            logger.warning("call {}: runner {} takes long to prepare it", ongoing.call_id, runner.name)
        finally:
            self._prepared.pop(key, None)

    def hand_over(
        self, ongoing: OngoingCall, generation: Generation, descriptor: int, received: bytes
    ) -> HTTPStatus | None:
        """Give a media socket to the runner of its generation, or to another where that one is gone."""
        runner = self.roster.holder(ongoing.call_id, generation.number) or self._chosen(ongoing)
        if runner is None or ongoing.condemned:
            return HTTPStatus.SERVICE_UNAVAILABLE
        key = (ongoing.call_id, generation.number)
        runner.held.setdefault(key, Held(*key))
        told = self._say(runner, Media(ongoing, received=received), descriptor)
        return None if told else HTTPStatus.SERVICE_UNAVAILABLE

    def abandon(self, ongoing: OngoingCall) -> None:
        """End the pipelines of a call whose media streams will not come any more."""
        for runner in self.roster:
            if ongoing.call_id in runner.calls:
                self._say(runner, Abandon(ongoing.call_id))

    def end(self, ongoing: OngoingCall, reason: str) -> bool:
        """End all pipelines of a call; return whether it had any."""
        having = [runner for runner in self.roster if ongoing.call_id in runner.calls]
        for runner in having:
            self._say(runner, End(ongoing.call_id, reason))
        return bool(having)

    def drain(self, deadline_s: float) -> None:
        """Have every runner leave when its calls have ended, or when the deadline has passed."""
        for runner in self.roster:
            runner.draining = True
            self._say(runner, Drain(deadline_s))

    async def close(self, reason: str) -> None:
        """Let go of the runners, which find the next server; their calls go on."""
        del reason
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        for connection in list(self._connections.values()):
            connection.link.close()
            os.close(connection.process)
        self._connections.clear()
        self._beside.cancel()

    # Runners come, speak and go.

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            accepted, _ = self._listener.accept()
            self._names += 1
            name = str(self._names)
            link = Link(
                accepted,
                received=functools.partial(self._received, name),
                closed=functools.partial(self._closed, name),
            )
            try:
                process = os.pidfd_open(link.peer_pid)
            except OSError:  # it is gone already
                link.close()
                return
            self._connections[name] = _Connection(link, link.peer_pid, process)
            asyncio.get_running_loop().call_later(INTRODUCTION_S, self._introduced, name)

    def _introduced(self, name: str) -> None:
        connection = self._connections.get(name)
        if connection is not None and connection.runner is None:
            logger.error("process {} connected as a runner and said nothing", connection.pid)
            self._beside.begin(self._bury(name))

    def _received(self, name: str, datagram: bytes, descriptor: int | None) -> None:
        if descriptor is not None:
            os.close(descriptor)
        connection = self._connections[name]
        try:
            message = from_runner(datagram)
        except BrokenDatagramError as broken:
            logger.error("runner {}: {}", name, broken)
            return
        if isinstance(message, Ready):
            self._ready(name, connection, message)
        elif connection.runner is not None:
            connection.runner.heard_at = self._clock()
            if isinstance(message, Beat):
                connection.runner.beat = message
                connection.runner.draining |= message.draining
            else:
                self._told(connection.runner, message.held)
                if isinstance(message, Prepared):
                    self._settle(message.held)

    def _ready(self, name: str, connection: _Connection, ready: Ready) -> None:
        runner = KnownRunner(
            name, connection.pid, ready.bot, ready.revision, ready.workers, heard_at=self._clock()
        )
        connection.runner = runner
        older = self.roster.add(runner)
        self._known[ready.bot.name] = ready.bot
        self._bots[ready.bot.name] = None
        logger.info("runner {}: process {} runs {} {}", name, runner.pid, ready.bot.name, ready.bot.version)
        for held in ready.held:
            self._told(runner, held)
        for other in older:
            self._say(other, Drain(self._settings.drain_s))
        assert self._switching is not None
        self._beside.begin(self._switching.bot_came(ready.bot))

    def _told(self, runner: KnownRunner, held: Held) -> None:
        runner.note(held)
        assert self._switching is not None
        ongoing = self._switching.recalls(held.call_id)
        if ongoing is not None and held.generation <= len(ongoing.generations):
            generation = ongoing.generations[held.generation - 1]
            news = (generation.started, generation.intent) != (held.started, held.intent)
            generation.started = generation.started or held.started
            if held.intent is not None:
                generation.wants(held.intent)
            if news:
                self._beside.begin(self._switching.changed(ongoing))
        elif ongoing is None and held.ended is None:
            self._say(runner, End(held.call_id, "over"))
        if held.ended is not None:
            self._settle(held)
            self._beside.begin(self.ended(held.call_id, held.generation, held.ended))

    def _settle(self, held: Held) -> None:
        prepared = self._prepared.get((held.call_id, held.generation))
        if prepared is not None and not prepared.done():
            prepared.set_result(None)

    def _closed(self, name: str) -> None:
        self._beside.begin(self._bury(name))

    async def _watch(self) -> None:
        """Look for runners that are hung."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = self._clock()
            for name, connection in list(self._connections.items()):
                runner = connection.runner
                if runner is not None and now - runner.heard_at > HEARTBEAT_S:
                    logger.error("runner {}: no sign of life for {:.0f} s", name, now - runner.heard_at)
                    self._beside.begin(self._bury(name))

    async def _sum_up(self, ended_today_usd: Callable[[], float]) -> None:
        """Tell every runner what the calls of all have cost today."""
        while True:
            ended_usd = await asyncio.to_thread(ended_today_usd)
            self._day_usd = ended_usd + sum(runner.beat.spent_usd for runner in self.roster)
            for runner in self.roster:
                self._say(runner, Spent(self._day_usd))
            await asyncio.sleep(SUMS_S)

    async def _bury(self, name: str) -> None:
        """Make sure that a runner is dead, then say so of its calls."""
        connection = self._connections.pop(name, None)
        if connection is None:
            return
        connection.link.close()
        await gone(connection.process)
        runner = connection.runner
        if runner is None:
            return
        self.roster.remove(runner)
        calls = runner.calls
        level = "ERROR" if calls else "INFO"
        logger.log(level, "runner {}: process {} is gone, with {} calls", name, runner.pid, len(calls))
        assert self._switching is not None
        if calls or not runner.draining:
            self._switching.runner_lost(runner.bot)
        for held in list(runner.held.values()):
            self._settle(held)
            await self._switching.runner_died(held.call_id, held.generation, alone=len(calls) == 1)

    # What is said to runners.

    def _chosen(self, ongoing: OngoingCall) -> KnownRunner | None:
        runner = self.roster.choose(ongoing)
        if runner is None:
            return None
        if ongoing.suspect:
            runner.suspects.add(ongoing.call_id)
        return runner

    def _say(self, runner: KnownRunner, message: FromServer, descriptor: int | None = None) -> bool:
        connection = self._connections.get(runner.name)
        if connection is None:
            return False
        try:
            connection.link.send(encode(message), descriptor)
        except LinkClosedError:
            return False
        return True
