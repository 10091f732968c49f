"""The process of one bot: loads it, and runs the pipelines of the calls that the server gives it."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import WeakValueDictionary

from loguru import logger

from callpipe.processors.disk import shared_writer
from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.websocket import WebSocket

from ..bot import Bot
from ..lives import Lives
from ..media_streams import serve_media
from ..memory import rss_bytes
from ..ongoing import Apologise, Generation, Intent, OngoingCall
from ..records.call_records import CallRecords
from ..settings import Settings
from ..spawned import Spawned
from ..spending import Spending
from ..waiting import until
from .hand_over import take_over
from .link import Link, LinkClosedError
from .messages import (
    Abandon,
    Beat,
    BrokenDatagramError,
    Drain,
    End,
    FromRunner,
    Held,
    Media,
    Prepare,
    Prepared,
    Ready,
    Spent,
    Told,
    encode,
    from_server,
)
from .ownership import CallTakenError, Ownership

BEAT_S = 1.0
"""How often a runner says that its event loop turns."""

RECONNECT_S = 0.05
"""How often a runner without a server looks for a new one."""

SERVERLESS_S = 60.0
"""A runner that finds no server for so long ends its calls and exits."""

FLUSH_DEADLINE_S = 1.0
"""How long the news that a generation has ended waits until its journal is written."""

RELEASE_S = 5.0
"""How long the pipelines whose media streams were closed for another runner may take to end."""

COLLECTED_CALLS = 50
"""After so many generations what they left behind is freed: 150 kB each."""

REMEMBERED_S = 120.0
"""A generation that has ended is told of to a new server for so long."""


@dataclass
class _ReportingGeneration(Generation):
    """A generation whose intent is told at once: the server has to have it before the media stream closes."""

    tell: Callable[[], None] = field(default=lambda: None, repr=False)

    def wants(self, intent: Intent) -> None:
        """Store what happens when the media stream has ended, and tell it."""
        if self.intent is None:
            super().wants(intent)
            self.tell()


class Runner:
    """Runs one bot's calls for a server, and for the next one when the server dies.

    Args:
        bot: The bot.
        settings: The operator's settings.
        records: Where calls are written down.
        socket_path: Where servers take runners in.
        revision: Which load of the bot's file this is.
        workers: How many runners of the bot take calls.
    """

    def __init__(
        self,
        bot: Bot,
        settings: Settings,
        records: CallRecords,
        *,
        socket_path: Path,
        revision: int,
        workers: int,
    ) -> None:
        self._bot = bot
        self._records = records
        self._socket_path = socket_path
        self._revision = revision
        self._workers = workers
        self._spending = Spending.resumed(settings, records)
        self._lives = Lives([bot], settings, records, spending=self._spending)
        self._lives.ended = self._generation_ended
        self._owned = Ownership()
        self._held: dict[tuple[str, int], Held] = {}
        self._ended_at: dict[tuple[str, int], float] = {}
        self._calls: dict[str, OngoingCall] = {}
        self._preparing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._uncollected = 0
        self._link: Link | None = None
        self._draining = False
        self._lost = asyncio.Event()
        self._leaving = asyncio.Event()
        self._beside = Spawned()

    async def run(self) -> None:
        """Serve until told to drain, or until no server comes any more."""
        beating = asyncio.create_task(self._beat())
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            with self._lives.loop_lag.watched():
                while not self._leaving.is_set() and await self._connect():
                    lost = asyncio.create_task(self._lost.wait())
                    await asyncio.wait({lost, leaving}, return_when=asyncio.FIRST_COMPLETED)
                    lost.cancel()
        finally:
            await self._lives.close("runner stopped")
            await shared_writer().flush(FLUSH_DEADLINE_S)
            beating.cancel()
            leaving.cancel()
            if self._link is not None:
                self._link.close()

    def drain(self, deadline_s: float) -> None:
        """Take no further call; leave when the last has ended, or when the deadline has passed."""
        self._beside.begin(self._drain(deadline_s))

    # The server.

    async def _connect(self) -> bool:
        """Find a server; False when there is none for too long."""
        given_up_at = time.monotonic() + SERVERLESS_S
        while time.monotonic() < given_up_at and not self._leaving.is_set():
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.setblocking(False)
            try:
                connection.connect(str(self._socket_path))
            except OSError:
                connection.close()
                await asyncio.sleep(RECONNECT_S)
                continue
            self._lost.clear()
            self._link = Link(connection, received=self._received, closed=self._lost.set)
            held = tuple(self._held.values())
            self._say(Ready(self._bot.profile, self._revision, self._workers, held))
            return True
        return False

    def _say(self, message: FromRunner) -> None:
        # What a lost server did not hear, the next one learns from `Ready`.
        if self._link is not None:
            with suppress(LinkClosedError):
                self._link.send(encode(message))

    def _received(self, datagram: bytes, descriptor: int | None) -> None:
        try:
            message = from_server(datagram)
        except BrokenDatagramError as broken:
            logger.error("{}", broken)
            return
        match message:
            case Prepare(call):
                self._beside.begin(self._prepare(self._known(call)))
            case Media(call) if descriptor is not None:
                self._beside.begin(self._take_media(self._known(call), descriptor, message.received))
            case Abandon(call_id):
                if ongoing := self._calls.get(call_id):
                    self._lives.abandon(ongoing)
            case End(call_id, reason):
                self._end(call_id, reason)
            case Drain(deadline_s):
                self.drain(deadline_s)
            case Spent(today_usd):
                self._spending.spent_today(today_usd)
            case Media():
                logger.error("a media stream came without its socket")

    async def _beat(self) -> None:
        while True:
            load, lags = self._lives.load, self._lives.loop_lag.lags
            self._say(
                Beat(
                    lag_p90_ms=lags.p90_ms,
                    lag_p99_ms=load.lag_p99_ms,
                    lag_max_ms=load.lag_max_ms,
                    rss_bytes=await asyncio.to_thread(rss_bytes),
                    tasks=len(asyncio.all_tasks()),
                    spent_usd=self._lives.spent_usd,
                    draining=self._draining,
                )
            )
            await asyncio.sleep(BEAT_S)

    # Calls.

    def _known(self, call: OngoingCall) -> OngoingCall:
        """Return a call as the server knows it, its current generation reporting what becomes of it."""
        number = call.current.number
        held = self._held.get((call.call_id, number))
        known = self._calls.get(call.call_id)
        if held is not None and known is not None and len(known.generations) == number:
            return known
        reporting = _ReportingGeneration(**vars(call.current))
        reporting.tell = functools.partial(self._tell, call.call_id, reporting)
        call.generations[-1] = reporting
        self._calls[call.call_id] = call
        self._note(Held(call.call_id, number, intent=reporting.intent))
        return call

    def _tell(self, call_id: str, generation: Generation) -> None:
        known = self._held.get((call_id, generation.number))
        held = Held(call_id, generation.number, generation.started, generation.intent)
        if known is not None and known.ended is not None:
            held = replace(held, ended=known.ended)
        self._note(held)
        self._say(Told(held))

    def _note(self, held: Held) -> None:
        now = time.monotonic()
        self._held[held.call_id, held.generation] = held
        if held.ended is not None:
            self._ended_at[held.call_id, held.generation] = now
        for key, ended_at in list(self._ended_at.items()):
            if now - ended_at > REMEMBERED_S:
                del self._ended_at[key], self._held[key]

    async def _prepare(self, call: OngoingCall) -> None:
        generation = call.current
        try:
            async with self._preparing.setdefault(call.call_id, asyncio.Lock()):
                await self._owned.take(self._records.folder(call.call_id))
                await self._lives.prepare(call, generation)
        except (CallTakenError, OSError) as taken:
            logger.error("call {}: {}", call.call_id, taken)
            generation.wants(Apologise("its records can't be written"))
        if generation.intent is not None and not self._lives.has(call.call_id):
            await self._generation_ended(call.call_id, generation.number, "bot failed")
        self._say(Prepared(self._held[call.call_id, generation.number]))

    def _end(self, call_id: str, reason: str) -> None:
        """End a call's pipelines; where none runs, say that there is none."""
        ongoing = self._calls.get(call_id)
        if ongoing is not None and self._lives.end(ongoing, reason):
            return
        for held in list(self._held.values()):
            if held.call_id == call_id and held.ended is None:
                self._beside.begin(self._generation_ended(call_id, held.generation, reason))

    async def _take_media(self, call: OngoingCall, descriptor: int, received: bytes) -> None:
        generation = call.current
        async with self._preparing.setdefault(call.call_id, asyncio.Lock()):
            try:
                await self._owned.take(self._records.folder(call.call_id))
            except (CallTakenError, OSError) as taken:
                logger.error("call {}: {}", call.call_id, taken)
                os.close(descriptor)
                await self._generation_ended(call.call_id, generation.number, "no records")
                return
        try:
            await take_over(descriptor, received, functools.partial(self._opened, call, generation))
        except OSError as gone:
            logger.warning("call {}: its media socket is gone: {}", call.call_id, gone)

    def _opened(self, call: OngoingCall, generation: Generation, media: WebSocket) -> None:
        def started(start: StartMessage) -> None:
            call.check_start(generation, start.call_id, start.stream_name)
            generation.started = True
            self._tell(call.call_id, generation)

        self._beside.begin(self._serve_media(call, generation, media, started))

    async def _serve_media(
        self,
        call: OngoingCall,
        generation: Generation,
        media: WebSocket,
        started: Callable[[StartMessage], None],
    ) -> None:
        await serve_media(self._lives, call, generation, media, started)
        if not self._lives.has(call.call_id) and self._held[call.call_id, generation.number].ended is None:
            await self._generation_ended(call.call_id, generation.number, "no pipeline")

    async def _generation_ended(self, call_id: str, generation: int, reason: str) -> None:
        """Tell that a generation has ended, when its journal is written. See `Runs.ended`."""
        await shared_writer().flush(FLUSH_DEADLINE_S)
        if not self._lives.has(call_id):
            self._owned.release(self._records.folder(call_id))
            self._calls.pop(call_id, None)
        self._collect()
        held = replace(self._held.get((call_id, generation), Held(call_id, generation)), ended=reason)
        self._note(held)
        self._say(Told(held))

    def _collect(self) -> None:
        """Free what calls leave behind: processors refer to each other, and automatic collections are rare.

        It takes some milliseconds with a hundred calls, for what was loaded before the first is not looked at.
        """
        self._uncollected += 1
        if self._uncollected >= COLLECTED_CALLS:
            self._uncollected = 0
            gc.collect()

    async def _drain(self, deadline_s: float) -> None:
        logger.info("{} {} takes no further call", self._bot.name, self._bot.version)
        self._draining = True
        await until(lambda: not self._busy(), deadline_s)
        self._lives.release("moved")
        await until(lambda: not self._busy(), RELEASE_S)
        self._leaving.set()

    def _busy(self) -> bool:
        load = self._lives.load
        return bool(load.live or load.prepared or self._preparing)
