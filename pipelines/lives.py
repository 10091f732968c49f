"""The pipelines of a server's calls: prepared when a webhook asks for a media stream, on it, ended."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from loguru import logger
from pipecat.observers.base_observer import BaseObserver

from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.bandwidth.errors import MediaFormatError
from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.bandwidth.transport import BandwidthTransport
from callpipe.transports.restored import Restored
from callpipe.transports.websocket import Connect, WebSocket, connect

from .bot import Bot
from .bot_profile import BotProfile
from .budget import CallBudget
from .call import Call
from .call_life import CallLife, Deadlines
from .loop_lag import LoopLag
from .memory import rss_bytes
from .ongoing import Apologise, Generation, OngoingCall
from .records.call_records import CallRecords
from .records.journal import Journal, JournalObserver
from .runs import Ended, Load, Role, RunnerState, nobody_waits
from .settings import Settings
from .spending import Spending

MAX_PREPARED = 100
"""Pipelines that may wait for a media stream at a time; those of further calls are built when it starts."""

GOODBYE_DEADLINE_S = 10.0
"""How long a server that stops waits for its calls to end."""

Observers = Callable[[Call], list[BaseObserver]]
"""Returns what else watches the pipeline of a call."""


@dataclass
class ServedCall:
    """What a process holds of a call while pipelines of it run.

    Attributes:
        ongoing: The call and its generations.
        journal: Its journal.
        budget: What it may cost; None without a limit.
        lives: The pipelines that run, by the number of their generation: usually one, and two while the next
            generation is prepared before the last one has ended.
        over: The call is to end.
        beginning: Held while a generation begins, so that none begins twice.
    """

    ongoing: OngoingCall
    journal: Journal
    budget: CallBudget | None = None
    lives: dict[int, CallLife] = field(default_factory=dict[int, CallLife])
    over: bool = False
    beginning: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)


class Lives:
    """Builds, runs and ends pipelines of this process, one for each generation of a call. See `Runs`.

    Args:
        bots: The bots, each with a name of its own.
        settings: The operator's settings.
        records: Where calls are written down.
        observers: What watches each call's pipeline, beside the journal.
        spending: What calls may cost; by default what the settings say, from zero.
        connect: Opens the models' sockets.
        deadlines: How long the stages of a call may take.
        max_prepared: How many pipelines may wait for a media stream; 0 starts each with its stream.
        clock: Monotonic seconds.

    Attributes:
        ended: Awaited when a generation's pipeline has ended.
        loop_lag: How late the event loop is, measured while pipelines run.
    """

    def __init__(
        self,
        bots: Sequence[Bot],
        settings: Settings,
        records: CallRecords,
        *,
        observers: Observers = lambda _call: [],
        spending: Spending | None = None,
        connect: Connect = connect,
        deadlines: Deadlines | None = None,
        max_prepared: int = MAX_PREPARED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bots: Mapping[str, Bot] = {bot.name: bot for bot in bots}
        self._settings = settings
        self._records = records
        self._observers = observers
        self._spending = spending or Spending(settings)
        self._connect = connect
        self._deadlines = deadlines
        self._max_prepared = max_prepared
        self._clock = clock
        self._calls: dict[str, ServedCall] = {}
        self._running: dict[CallLife, asyncio.Task[None]] = {}
        self._closed = False
        self.ended: Ended = nobody_waits
        self.loop_lag = LoopLag()

    @property
    def load(self) -> Load:
        """How much runs."""
        live = sum(life.attached for life in self._running)
        lags = self.loop_lag.lags
        return Load(1, live, len(self._running) - live, lags.p99_ms, lags.max_ms)

    @property
    def budget_spent(self) -> bool:
        """Whether the day's budget is spent."""
        return self._spending.exhausted

    @property
    def spent_usd(self) -> float:
        """What the calls that run have cost so far, as far as a budget counts it."""
        return sum(served.budget.spent_usd for served in self._calls.values() if served.budget is not None)

    def has(self, call_id: str) -> bool:
        """Whether a pipeline of a call runs."""
        return call_id in self._calls

    def bot(self, name: str) -> BotProfile | None:
        """Return a bot that answers calls here, or None."""
        bot = self._bots.get(name)
        return None if bot is None else bot.profile

    @property
    def bots(self) -> list[str]:
        """The names of the bots that answer calls here."""
        return list(self._bots)

    async def runners(self) -> list[RunnerState]:
        """Return this process, once for each bot."""
        lags, memory = self.loop_lag.lags, await asyncio.to_thread(rss_bytes)
        return [
            RunnerState(
                name="server",
                pid=os.getpid(),
                bot=bot.name,
                version=bot.version,
                revision=1,
                role=Role.DRAINING if self._closed else Role.TAKES_CALLS,
                live=sum(life.attached for life in self._lives_with(bot.name)),
                prepared=sum(not life.attached for life in self._lives_with(bot.name)),
                lag_p90_ms=lags.p90_ms,
                lag_p99_ms=lags.p99_ms,
                lag_max_ms=lags.max_ms,
                rss_bytes=memory,
                tasks=len(asyncio.all_tasks()),
            )
            for bot in self._bots.values()
        ]

    async def ready(self, bot: str) -> None:
        """Do nothing: this process is there."""

    def has_room(self, bot: str) -> bool:
        """Whether this process can take one more call."""
        del bot
        limit = self._settings.max_calls_per_runner
        return not self._closed and (limit is None or len(self._calls) < limit)

    async def prepare(self, ongoing: OngoingCall, generation: Generation) -> None:
        """Begin a generation before its media stream is there, unless too many wait already.

        A bot that fails to build its pipeline leaves its apology in the generation's intent.
        """
        if self._closed or self.load.prepared >= self._max_prepared:
            return
        served = self._served(ongoing)
        began = self._clock()
        async with served.beginning:
            if generation.number in served.lives:
                return
            life = await self._begin(served, generation)
        if life is None:
            self._let_go(served)
            return
        build_ms = round((self._clock() - began) * 1000, 1)
        served.journal.write("prepared", generation=generation.number, build_ms=build_ms)

    async def attach(
        self, ongoing: OngoingCall, generation: Generation, socket: WebSocket, start: StartMessage
    ) -> bool:
        """Give a generation its media stream; begin it now where it was not prepared.

        Returns:
            Whether its pipeline runs; it may have failed, or ended, before.

        Raises:
            MediaFormatError: The inbound track is not PCMU at 8 kHz; the caller is to get an apology.
        """
        served = self._served(ongoing)
        async with served.beginning:
            life = served.lives.get(generation.number)
            if life is None and generation.intent is None and not self._closed:
                life = await self._begin(served, generation)
        if life is None:
            self._let_go(served)
            return False
        try:
            life.attach(socket, start)
        except MediaFormatError as wrong:
            generation.wants(Apologise(str(wrong)))
            life.end("wrong media format")
            raise
        return True

    def abandon(self, ongoing: OngoingCall) -> None:
        """End the pipelines of a call whose media streams will not come any more."""
        for life in self._lives_of(ongoing):
            if not life.attached:
                life.end("no media stream")

    def end(self, ongoing: OngoingCall, reason: str) -> bool:
        """End all pipelines of a call; return whether it had any."""
        lives = self._lives_of(ongoing)
        for life in lives:
            life.end(reason)
        if served := self._calls.get(ongoing.call_id):
            served.over = True
        return bool(lives)

    def release(self, reason: str) -> None:
        """Close every media stream without the bots' wish: the calls go on in another process."""
        for life in self._running:
            life.release(reason)

    async def close(self, reason: str) -> None:
        """End every pipeline, politely, within a deadline."""
        self._closed = True
        for life in self._running:
            life.end(reason)
        tasks = set(self._running.values())
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=GOODBYE_DEADLINE_S)
            for task in stuck:
                task.cancel()
            if stuck:
                await asyncio.wait(stuck, timeout=1.0)

    def _served(self, ongoing: OngoingCall) -> ServedCall:
        served = self._calls.get(ongoing.call_id)
        if served is None:
            journal = self._records.journal(ongoing)
            served = ServedCall(ongoing, journal, self._spending.call_budget())
            self._calls[ongoing.call_id] = served
        served.ongoing = ongoing
        return served

    def _lives_of(self, ongoing: OngoingCall) -> list[CallLife]:
        served = self._calls.get(ongoing.call_id)
        return list(served.lives.values()) if served is not None else []

    def _lives_with(self, bot: str) -> list[CallLife]:
        served = [served for served in self._calls.values() if served.ongoing.bot == bot]
        return [life for each in served for life in each.lives.values()]

    def _let_go(self, served: ServedCall) -> None:
        if (
            not served.lives
            and not served.beginning.locked()
            and self._calls.pop(served.ongoing.call_id, None) is not None
        ):
            served.journal.close()

    async def _begin(self, served: ServedCall, generation: Generation) -> CallLife | None:
        restored = None
        if generation.number > 1:
            restored = await self._records.restored(served.ongoing.call_id)
            if served.over:  # meanwhile
                return None
            if served.budget is not None:
                served.budget.spend(max(restored.cost_usd - served.budget.spent_usd, 0.0))
        bot = self._bots[served.ongoing.bot]
        call = self._call(bot, served.ongoing, generation, restored)
        budget = self._spending.observers(call, served.journal, served.budget)
        observers = [JournalObserver(served.journal), *budget, *self._observers(call)]
        life = CallLife(bot, call, served.ongoing, observers=observers, deadlines=self._deadlines)
        if not life.build():
            return None
        served.lives[generation.number] = life
        self._running[life] = asyncio.create_task(self._run(served, generation.number, life))
        return life

    def _call(self, bot: Bot, ongoing: OngoingCall, generation: Generation, restored: Restored | None) -> Call:
        return Call(
            call_id=ongoing.call_id,
            generation=generation.number,
            bot=bot.name,
            bot_version=bot.version,
            parties=ongoing.parties,
            settings=self._settings,
            transport=BandwidthTransport(
                clock=self._clock, playhead=Playhead(prebuffer_ms=self._settings.prebuffer_ms)
            ),
            folder=self._records.folder(ongoing.call_id),
            restored=restored,
            connect=self._connect,
            clock=self._clock,
        )

    async def _run(self, served: ServedCall, generation: int, life: CallLife) -> None:
        call_id = served.ongoing.call_id
        bot = self._bots[served.ongoing.bot]
        logger.info("call {}: generation {} begins with {} {}", call_id, generation, bot.name, bot.version)
        served.journal.write("generation_began", generation=generation, bot=bot.name, bot_version=bot.version)
        reason = "bot failed"
        try:
            with self.loop_lag.watched(lambda ms: served.journal.write("loop_lag", lag_ms=round(ms, 1))):
                reason = await life.run()
        finally:
            del self._running[life]
            del served.lives[generation]
            logger.info("call {}: generation {} ended: {}", call_id, generation, reason)
            served.journal.write("generation_ended", generation=generation, reason=reason)
            self._let_go(served)
            await self.ended(call_id, generation, reason)
