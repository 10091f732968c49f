"""Connects the carrier's webhooks and media sockets with the bots that answer them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from loguru import logger
from pipecat.observers.base_observer import BaseObserver

from callpipe.transports.bandwidth.transport import BandwidthTransport, receive_start
from callpipe.transports.errors import TransportsError
from callpipe.transports.websocket import Connect, UpgradeRequest, WebSocket, connect

from . import answers
from .bot import Bot
from .call import Call, Parties
from .call_life import CallLife, Deadlines
from .call_records import CallRecords
from .errors import AdmissionError
from .journal import Journal, JournalObserver
from .ongoing import Apologise, Generation, HangUp, OngoingCall, OngoingCalls
from .second_way import SecondWay, voice_api
from .settings import Recording, Settings

START_DEADLINE_S = 10.0
"""The carrier's `start` has to come this soon after the media socket has opened."""

GOODBYE_DEADLINE_S = 10.0
"""How long a server that stops waits for its calls to end."""

_MEDIA_PATH = re.compile(r"/bandwidth/([^/?]+)/media")

BREACH = 1008
"""Close code of a media socket that does not say what it was let in for (RFC 6455: policy violation)."""


Observers = Callable[[Call], list[BaseObserver]]
"""Returns what else watches the pipeline of a call."""


@dataclass
class _Line:
    """What the switchboard holds of one ongoing call."""

    ongoing: OngoingCall
    journal: Journal
    life: CallLife | None = None


class Switchboard:
    """The bots of a server and their calls.

    Args:
        bots: The bots, each with a name of its own.
        settings: The operator's settings.
        records: Where calls are written down.
        observers: What watches each call's pipeline, beside the journal.
        connect: Opens the models' sockets.
        deadlines: How long the stages of a call may take.
        second_way: Brings BXML the carrier does not come for; by the settings' Voice API when None.
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
        connect: Connect = connect,
        deadlines: Deadlines | None = None,
        second_way: SecondWay | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bots: Mapping[str, Bot] = {bot.name: bot for bot in bots}
        self._settings = settings
        self._serving = settings.serving()
        self._records = records
        self._observers = observers
        self._connect = connect
        self._deadlines = deadlines
        self._second_way = second_way or SecondWay(voice_api(settings, clock))
        self._clock = clock
        self._ongoing = OngoingCalls(clock)
        self._lines: dict[str, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def live_calls(self) -> int:
        """Calls with a media stream at the moment."""
        return sum(line.life is not None for line in self._lines.values())

    def has_bot(self, name: str) -> bool:
        """Whether a bot of this name answers calls here."""
        return name in self._bots

    def initiated(self, bot: str, call_id: str, parties: Parties) -> str:
        """Answer the webhook of a new call; asked twice, the answer is the same."""
        ongoing = self._ongoing.begin(call_id, bot, parties)
        if call_id not in self._lines:
            recorded = self._settings.recording is not Recording.OFF
            self._lines[call_id] = _Line(
                ongoing, self._records.begin(self._bots[bot], ongoing, recorded=recorded)
            )
        return self._answered(ongoing, "initiate", 1, functools.partial(self._open, ongoing))

    def continues(self, call_id: str, generation: int) -> str:
        """Answer the webhook that follows a media stream; asked twice, the answer is the same."""
        ongoing = self._ongoing.find(call_id)
        if ongoing is None or call_id not in self._lines:
            return answers.hang_up()
        return self._answered(ongoing, "continue", generation, functools.partial(self._next, ongoing))

    def knows_webhook(self, call_id: str, username: str, password: str) -> Generation | None:
        """Return the generation whose webhook credentials these are, or None when they are nobody's."""
        return self._ongoing.knows_webhook(call_id, username, password)

    def stream_event(self, call_id: str, event: str, cause: str | None) -> None:
        """Write down what the carrier tells of a media stream."""
        if line := self._lines.get(call_id):
            line.journal.write("stream_event", type=event, cause=cause)

    async def disconnected(self, call_id: str, cause: str) -> None:
        """The carrier says that a call is over: nothing of it stays."""
        self._ongoing.end(call_id)
        line = self._lines.pop(call_id, None)
        if line is None:
            return
        line.journal.write("disconnected", cause=cause)
        if line.life is not None:
            line.life.end("caller")
        else:
            await self._records.end(line.ongoing, line.journal, cause)

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
        for line in self._lines.values():
            if line.life is not None:
                line.life.end("server stopped")
        if self._tasks:
            _, stuck = await asyncio.wait(self._tasks, timeout=GOODBYE_DEADLINE_S)
            for task in stuck:
                task.cancel()
            if stuck:
                await asyncio.wait(stuck, timeout=1.0)
        await self._second_way.close()
        for line in list(self._lines.values()):
            await self._records.end(line.ongoing, line.journal, "server stopped")
        self._lines.clear()

    def _answered(self, ongoing: OngoingCall, webhook: str, generation: int, answer: Callable[[], str]) -> str:
        key = (webhook, generation)
        if key not in ongoing.answers:
            ongoing.answers[key] = answer()
        return ongoing.answers[key]

    def _open(self, ongoing: OngoingCall) -> str:
        notice = answers.RECORDING_NOTICE if self._settings.recording is Recording.ANNOUNCE else None
        generation = ongoing.open_generation(self._clock())
        return answers.stream(self._serving, ongoing, generation, notice=notice)

    def _next(self, ongoing: OngoingCall) -> str:
        journal = self._lines[ongoing.call_id].journal
        match ongoing.next_step(self._clock()):
            case HangUp():
                return answers.hang_up()
            case Apologise(reason):
                journal.write("apologised", reason=reason)
                return answers.apology(self._bots[ongoing.bot].apology)
            case Generation() as generation:
                journal.write("resumed", generation=generation.number)
                return answers.stream(self._serving, ongoing, generation)

    def _unasked(self, ongoing: OngoingCall, generation: int) -> str | None:
        """Return what `/continue` would be answered, when the bot wanted something and nobody has asked."""
        line = self._lines.get(ongoing.call_id)
        if line is None or ongoing.intent is None or ("continue", generation) in ongoing.answers:
            return None
        line.journal.write("not_continued", generation=generation)
        return self.continues(ongoing.call_id, generation)

    def _opened(self, ongoing: OngoingCall, generation: Generation, socket: WebSocket) -> None:
        task = asyncio.create_task(self._serve_media(ongoing, generation, socket))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_media(self, ongoing: OngoingCall, generation: Generation, socket: WebSocket) -> None:
        """Take a media stream from its `start` to its end."""
        try:
            start = await receive_start(socket, deadline_s=START_DEADLINE_S)
            self._ongoing.start(ongoing, generation, start.call_id, start.stream_name)
        except (AdmissionError, TransportsError) as refused:
            logger.warning("{}", refused)
            await socket.close(BREACH)
            return
        line = self._lines[ongoing.call_id]
        bot = self._bots[ongoing.bot]
        call = Call(
            call_id=ongoing.call_id,
            generation=generation.number,
            bot=bot.name,
            bot_version=bot.version,
            parties=ongoing.parties,
            settings=self._settings,
            transport=BandwidthTransport(socket, start, clock=self._clock),
            folder=self._records.folder(ongoing.call_id),
            connect=self._connect,
            clock=self._clock,
        )
        await self._live(line, bot, call)

    async def _live(self, line: _Line, bot: Bot, call: Call) -> None:
        observers = [JournalObserver(line.journal), *self._observers(call)]
        line.life = CallLife(bot, call, line.ongoing, observers=observers, deadlines=self._deadlines)
        logger.info(
            "call {}: generation {} begins with {} {}", call.call_id, call.generation, bot.name, bot.version
        )
        reason = "bot failed"
        try:
            reason = await line.life.run()
        finally:
            line.life = None
            logger.info("call {}: generation {} ended: {}", call.call_id, call.generation, reason)
            line.journal.write("generation_ended", generation=call.generation, reason=reason)
            if call.call_id not in self._lines:
                await self._records.end(line.ongoing, line.journal, reason)
            else:
                unasked = functools.partial(self._unasked, line.ongoing, call.generation)
                self._second_way.watch(call.call_id, unasked)


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
