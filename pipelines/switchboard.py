"""Connects the carrier's webhooks and media sockets with the bots that answer them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import re
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from loguru import logger

from callpipe.transports.bandwidth.transport import receive_start
from callpipe.transports.errors import TransportsError
from callpipe.transports.websocket import Connect, UpgradeRequest, WebSocket, connect

from . import answers
from .bot import Bot
from .call import Parties
from .call_life import Deadlines
from .call_records import CallRecords
from .errors import AdmissionError
from .lives import GOODBYE_DEADLINE_S, MAX_PREPARED, Lives, Observers, ServedCall
from .loop_lag import Lags
from .ongoing import Apologise, Generation, HangUp, OngoingCall, OngoingCalls
from .second_way import SecondWay, voice_api
from .settings import Recording, Settings
from .spending import Spending

START_DEADLINE_S = 10.0
"""The carrier's `start` has to come this soon after the media socket has opened."""

_MEDIA_PATH = re.compile(r"/bandwidth/([^/?]+)/media")

BREACH = 1008
"""Close code of a media socket that does not say what it was let in for (RFC 6455: policy violation)."""


class Switchboard:
    """The bots of a server and their calls.

    A call's pipeline is built and started by the webhook that asks for its media stream, so that the model is
    there, and has its first words ready, when the stream is.

    Args:
        bots: The bots, each with a name of its own.
        settings: The operator's settings.
        records: Where calls are written down.
        observers: What watches each call's pipeline, beside the journal.
        spending: What calls may cost; by default what the settings say, from zero.
        connect: Opens the models' sockets.
        deadlines: How long the stages of a call may take.
        second_way: Brings BXML the carrier does not come for; by the settings' Voice API when None.
        max_prepared: How many pipelines may wait for their media streams; 0 starts each with its stream.
        clock: Monotonic seconds.

    Raises:
        SettingsError: A setting is missing.
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
        second_way: SecondWay | None = None,
        max_prepared: int = MAX_PREPARED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bots: Mapping[str, Bot] = {bot.name: bot for bot in bots}
        self._settings = settings
        self._serving = settings.serving()
        self._records = records
        self._spending = spending or Spending(settings)
        self._second_way = second_way or SecondWay(voice_api(settings, clock))
        self._clock = clock
        self._ongoing = OngoingCalls(clock)
        self._calls: dict[str, ServedCall] = {}
        self._lives = Lives(
            settings,
            records,
            observers=observers,
            spending=self._spending,
            connect=connect,
            deadlines=deadlines,
            ended=self._generation_ended,
            max_prepared=max_prepared,
            clock=clock,
        )
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def live_calls(self) -> int:
        """Calls with a media stream at the moment."""
        return self._lives.live

    @property
    def prepared_calls(self) -> int:
        """Calls whose pipeline waits for a media stream."""
        return self._lives.prepared

    @property
    def lags(self) -> Lags:
        """How late the event loop has been while calls ran."""
        return self._lives.loop_lag.lags

    def has_bot(self, name: str) -> bool:
        """Whether a bot of this name answers calls here."""
        return name in self._bots

    def initiated(self, bot: str, call_id: str, parties: Parties) -> str:
        """Answer the webhook of a new call; asked twice, the answer is the same."""
        ongoing = self._ongoing.begin(call_id, bot, parties)
        self._close_orphans()
        if call_id not in self._calls:
            recorded = self._settings.recording is not Recording.OFF
            journal = self._records.begin(self._bots[bot], ongoing, recorded=recorded)
            budget = self._spending.call_budget()
            self._calls[call_id] = ServedCall(self._bots[bot], ongoing, journal, budget)
        opened = functools.partial(self._open, self._calls[call_id])
        return self._answered(ongoing, "initiate", 1, opened)

    def continues(self, call_id: str, generation: int) -> str:
        """Answer the webhook that follows a media stream; asked twice, the answer is the same."""
        served = self._calls.get(call_id)
        if served is None:
            return answers.hang_up()
        return self._answered(served.ongoing, "continue", generation, functools.partial(self._next, served))

    def knows_webhook(self, call_id: str, username: str, password: str) -> Generation | None:
        """Return the generation whose webhook credentials these are, or None when they are nobody's."""
        return self._ongoing.knows_webhook(call_id, username, password)

    def stream_event(self, call_id: str, event: str, cause: str | None) -> None:
        """Write down what the carrier tells of a media stream."""
        if served := self._calls.get(call_id):
            served.journal.write("stream_event", type=event, cause=cause)

    async def disconnected(self, call_id: str, cause: str) -> None:
        """The carrier says that a call is over: nothing of it stays."""
        self._ongoing.end(call_id)
        served = self._calls.pop(call_id, None)
        if served is None:
            return
        served.journal.write("disconnected", cause=cause)
        if not self._lives.end(served, "caller"):
            await self._records.end(served.ongoing, served.journal, cause)

    def accept(self, request: UpgradeRequest) -> Callable[[WebSocket], None] | HTTPStatus:
        """Let a media socket in, or refuse it before its handshake completes. See `websocket.Accept`."""
        path = _MEDIA_PATH.fullmatch(request.path.partition("?")[0])
        if path is None:
            return HTTPStatus.NOT_FOUND
        try:
            username, password = _basic_credentials(request.headers.get("authorization", ""))
            ongoing, generation = self._ongoing.admit(path[1], username, password)
        except AdmissionError as refused:
            logger.warning("{}", refused)
            return HTTPStatus.UNAUTHORIZED
        return functools.partial(self._opened, ongoing, generation)

    async def close(self) -> None:
        """End every call, politely, within a deadline."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GOODBYE_DEADLINE_S)
        await self._lives.close("server stopped")
        await self._second_way.close()
        for served in list(self._calls.values()):
            await self._records.end(served.ongoing, served.journal, "server stopped")
        self._calls.clear()

    def _close_orphans(self) -> None:
        """Close the records of calls that nobody ended and that are forgotten by now."""
        for call_id, served in list(self._calls.items()):
            if call_id not in self._ongoing and not served.lives:
                del self._calls[call_id]
                self._spawn(self._records.end(served.ongoing, served.journal, "never disconnected"))

    def _answered(self, ongoing: OngoingCall, webhook: str, generation: int, answer: Callable[[], str]) -> str:
        key = (webhook, generation)
        if key not in ongoing.answers:
            ongoing.answers[key] = answer()
        return ongoing.answers[key]

    def _open(self, served: ServedCall) -> str:
        if self._spending.exhausted:
            return _apology(served, "the day's budget is spent")
        notice = answers.RECORDING_NOTICE if self._settings.recording is Recording.ANNOUNCE else None
        return self._stream(served, served.ongoing.open_generation(self._clock()), notice)

    def _next(self, served: ServedCall) -> str:
        match served.ongoing.next_step(self._clock()):
            case HangUp():
                return answers.hang_up()
            case Apologise(reason):
                return _apology(served, reason)
            case Generation() as generation:
                served.journal.write("resumed", generation=generation.number)
                self._lives.abandon(served)
                return self._stream(served, generation)

    def _stream(self, served: ServedCall, generation: Generation, notice: str | None = None) -> str:
        """Prepare a generation and ask for its media stream, or apologise when the bot has failed already."""
        self._lives.prepare(served, generation)
        if isinstance(generation.intent, Apologise):
            return _apology(served, generation.intent.reason)
        return answers.stream(self._serving, served.ongoing, generation, notice=notice)

    def _unasked(self, served: ServedCall, generation: int) -> str | None:
        """Return what `/continue` would be answered, when the bot wanted something and nobody has asked."""
        ongoing = served.ongoing
        gone = ongoing.call_id not in self._calls
        if gone or ongoing.intent is None or ("continue", generation) in ongoing.answers:
            return None
        served.journal.write("not_continued", generation=generation)
        return self.continues(ongoing.call_id, generation)

    async def _generation_ended(self, served: ServedCall, generation: int, reason: str) -> None:
        call_id = served.ongoing.call_id
        if call_id in self._calls:
            self._second_way.watch(call_id, functools.partial(self._unasked, served, generation))
        elif not served.lives:
            await self._records.end(served.ongoing, served.journal, reason)

    def _opened(self, ongoing: OngoingCall, generation: Generation, socket: WebSocket) -> None:
        self._spawn(self._serve_media(ongoing, generation, socket))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_media(self, ongoing: OngoingCall, generation: Generation, socket: WebSocket) -> None:
        """Take a media stream's `start`, and give the stream to its call."""
        try:
            start = await receive_start(socket, deadline_s=START_DEADLINE_S)
            self._ongoing.start(ongoing, generation, start.call_id, start.stream_name)
            served = self._calls.get(ongoing.call_id)
            if served is None:
                raise AdmissionError("unknown call")
            talks = self._lives.attach(served, generation, socket, start)
        except (AdmissionError, TransportsError) as refused:
            logger.warning("{}", refused)
            await socket.close(BREACH)
            return
        if not talks:
            await socket.close()


def _apology(served: ServedCall, reason: str) -> str:
    served.journal.write("apologised", reason=reason)
    return answers.apology(served.bot.apology)


def _basic_credentials(authorization: str) -> tuple[str, str]:
    """Return user and password of an HTTP Basic Authorization header.

    Raises:
        AdmissionError: The header is missing or no Basic one.
    """
    scheme, _, encoded = authorization.partition(" ")
    try:
        username, separator, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        separator = username = password = ""
    if scheme.lower() != "basic" or not separator:
        raise AdmissionError("no credentials")
    return username, password
