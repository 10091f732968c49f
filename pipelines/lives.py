"""The pipelines of a server's calls: prepared when a webhook asks for a media stream, on it, ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from loguru import logger
from pipecat.observers.base_observer import BaseObserver

from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.bandwidth.errors import MediaFormatError
from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.bandwidth.transport import BandwidthTransport
from callpipe.transports.websocket import Connect, WebSocket, connect

from .bot import Bot
from .budget import CallBudget
from .call import Call
from .call_life import CallLife, Deadlines
from .call_records import CallRecords
from .journal import Journal, JournalObserver
from .loop_lag import LoopLag
from .ongoing import Apologise, Generation, OngoingCall
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
    """What a server holds of one ongoing call.

    Attributes:
        bot: The bot that answers it.
        ongoing: Its generations.
        journal: Its journal.
        budget: What it may cost; None without a limit.
        lives: The pipelines that run, by the number of their generation: usually one, and two while the next
            generation is prepared before the last one has ended.
    """

    bot: Bot
    ongoing: OngoingCall
    journal: Journal
    budget: CallBudget | None = None
    lives: dict[int, CallLife] = field(default_factory=dict[int, CallLife])


class Lives:
    """Builds, runs and ends pipelines, one for each generation of a call.

    Args:
        settings: The operator's settings.
        records: Where calls are written down.
        observers: What watches each call's pipeline, beside the journal.
        spending: What calls may cost.
        connect: Opens the models' sockets.
        deadlines: How long the stages of a call may take.
        ended: Awaited when a generation's pipeline has ended, with its number and why.
        max_prepared: How many pipelines may wait for a media stream.
        clock: Monotonic seconds.

    Attributes:
        loop_lag: How late the event loop is, measured while pipelines run.
    """

    def __init__(
        self,
        settings: Settings,
        records: CallRecords,
        *,
        observers: Observers,
        spending: Spending,
        connect: Connect = connect,
        deadlines: Deadlines | None = None,
        ended: Callable[[ServedCall, int, str], Awaitable[None]],
        max_prepared: int = MAX_PREPARED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._records = records
        self._observers = observers
        self._spending = spending
        self._connect = connect
        self._deadlines = deadlines
        self._ended = ended
        self._max_prepared = max_prepared
        self._clock = clock
        self._running: dict[CallLife, asyncio.Task[None]] = {}
        self._closed = False
        self.loop_lag = LoopLag()

    @property
    def live(self) -> int:
        """Pipelines with a media stream."""
        return sum(life.attached for life in self._running)

    @property
    def prepared(self) -> int:
        """Pipelines that wait for a media stream."""
        return len(self._running) - self.live

    def prepare(self, served: ServedCall, generation: Generation) -> None:
        """Begin a generation before its media stream is there, unless too many wait already.

        A bot that fails to build its pipeline leaves its apology in the generation's intent.
        """
        if self._closed or self.prepared >= self._max_prepared:
            return
        began = self._clock()
        if self._begin(served, generation) is not None:
            build_ms = round((self._clock() - began) * 1000, 1)
            served.journal.write("prepared", generation=generation.number, build_ms=build_ms)

    def attach(
        self, served: ServedCall, generation: Generation, socket: WebSocket, start: StartMessage
    ) -> bool:
        """Give a generation its media stream; begin it now where it was not prepared.

        Returns:
            Whether its pipeline runs; it may have failed, or ended, before.

        Raises:
            MediaFormatError: The inbound track is not PCMU at 8 kHz; the caller is to get an apology.
        """
        life = served.lives.get(generation.number)
        if life is None and generation.intent is None:
            life = self._begin(served, generation)
        if life is None:
            return False
        try:
            life.attach(socket, start)
        except MediaFormatError as wrong:
            generation.wants(Apologise(str(wrong)))
            life.end("wrong media format")
            raise
        return True

    def abandon(self, served: ServedCall) -> None:
        """End the pipelines of a call whose media streams will not come any more."""
        for life in served.lives.values():
            if not life.attached:
                life.end("no media stream")

    def end(self, served: ServedCall, reason: str) -> bool:
        """End all pipelines of a call; return whether it had any."""
        for life in served.lives.values():
            life.end(reason)
        return bool(served.lives)

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

    def _begin(self, served: ServedCall, generation: Generation) -> CallLife | None:
        call = self._call(served, generation)
        budget = self._spending.observers(call, served.journal, served.budget)
        observers = [JournalObserver(served.journal), *budget, *self._observers(call)]
        life = CallLife(served.bot, call, served.ongoing, observers=observers, deadlines=self._deadlines)
        if not life.build():
            return None
        served.lives[generation.number] = life
        self._running[life] = asyncio.create_task(self._run(served, generation.number, life))
        return life

    def _call(self, served: ServedCall, generation: Generation) -> Call:
        return Call(
            call_id=served.ongoing.call_id,
            generation=generation.number,
            bot=served.bot.name,
            bot_version=served.bot.version,
            parties=served.ongoing.parties,
            settings=self._settings,
            transport=BandwidthTransport(
                clock=self._clock, playhead=Playhead(prebuffer_ms=self._settings.prebuffer_ms)
            ),
            folder=self._records.folder(served.ongoing.call_id),
            connect=self._connect,
            clock=self._clock,
        )

    async def _run(self, served: ServedCall, generation: int, life: CallLife) -> None:
        call_id, bot = served.ongoing.call_id, served.bot
        logger.info("call {}: generation {} begins with {} {}", call_id, generation, bot.name, bot.version)
        reason = "bot failed"
        try:
            with self.loop_lag.watched(lambda ms: served.journal.write("loop_lag", lag_ms=round(ms, 1))):
                reason = await life.run()
        finally:
            del self._running[life]
            del served.lives[generation]
            logger.info("call {}: generation {} ended: {}", call_id, generation, reason)
            served.journal.write("generation_ended", generation=generation, reason=reason)
            await self._ended(served, generation, reason)
