"""Decides what the carrier is answered: which calls are taken, and how each goes on after a media stream."""

from __future__ import annotations

import asyncio
import functools
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from loguru import logger

from callpipe.transports.bandwidth.webhooks import RecordingWebhook, Webhook
from callpipe.transports.websocket_server import UpgradeRequest

from . import answers
from .admission import Admission, Refusal
from .answers import Chain
from .bot_profile import BotProfile
from .credentials import basic_credentials
from .errors import AdmissionError
from .fallback import Step
from .ongoing import Apologise, Generation, HangUp, OngoingCall, OngoingCalls
from .ongoing_store import OngoingStore
from .parties import Parties
from .records.call_records import CallRecords
from .records.journal import Journal
from .runs import Load, Runs
from .second_way import SecondWay, voice_api
from .settings import Recording, Settings
from .spawned import Spawned
from .watching.metrics import Metrics

CLOSING_S = 10.0
"""How long an exchange that closes waits for what it has begun."""

ANSWERED_AND_OVER = "hangup"
"""The cause of a transfer that somebody has answered and that has ended.

Source: dev.bandwidth.com/docs/voice/webhooks/transferComplete.
"""

_MEDIA_PATH = re.compile(r"/bandwidth/([^/?]+)/media")


@dataclass
class ConnectedCall:
    """What an exchange holds of one ongoing call.

    Attributes:
        ongoing: Its generations.
        bot: The bot that answers it.
        journal: Its journal.
        died: The generations whose runner died.
        answering: Held while a webhook is answered, so that the same one, asked twice, gets one answer.
    """

    ongoing: OngoingCall
    bot: BotProfile
    journal: Journal
    died: set[int] = field(default_factory=set[int])
    answering: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)


class Exchange(ABC):
    """Answers the carrier for the bots of a server, whoever runs their pipelines.

    A call's pipeline is begun by the webhook that asks for its media stream, so that the model is there, and
    has its first words ready, when the stream is.

    Args:
        runs: Who runs the pipelines.
        settings: The operator's settings.
        records: Where calls are written down.
        second_way: Brings BXML the carrier does not come for; by the settings' Voice API when None.
        store: Keeps the calls beyond this process; without it they end with it.
        clock: Monotonic seconds.

    Attributes:
        ongoing: The calls that go on.
        admission: Which further ones are taken.
        metrics: What is counted of them.
        beside: What is done until the exchange closes, and nobody waits for.

    Raises:
        SettingsError: A setting is missing.
    """

    def __init__(
        self,
        runs: Runs,
        settings: Settings,
        records: CallRecords,
        *,
        second_way: SecondWay | None = None,
        store: OngoingStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = runs
        self._settings = settings
        self._serving = settings.serving()
        self._records = records
        self._second_way = second_way or SecondWay(voice_api(settings, clock))
        self._store = store
        self._clock = clock
        self.ongoing = OngoingCalls(clock)
        self.admission = Admission(runs, self.ongoing, settings, clock)
        self.metrics = Metrics()
        self._calls: dict[str, ConnectedCall] = {}
        self._unsummed: list[OngoingCall] = []  # an earlier process may have died before it summed them up
        self.beside = Spawned()
        self._resuming = True
        runs.ended = self.generation_ended
        records.summed_up = self.metrics.call_summed_up
        if store is not None:
            self._restore(store.load())

    @property
    def load(self) -> Load:
        """How many pipelines run, and how late their processes are."""
        return self._runs.load

    @property
    def calls(self) -> int:
        """Calls that have begun and not ended."""
        return len(self.ongoing)

    @property
    def runs(self) -> Runs:
        """Who runs the pipelines."""
        return self._runs

    # What the carrier's webhooks say.

    async def initiated(self, bot: str, call_id: str, parties: Parties) -> str:
        """Answer the webhook of a new call; asked twice, the answer is the same."""
        profile = self._profile(bot)
        ongoing = self.ongoing.begin(call_id, bot, parties)
        self._close_orphans()
        if call_id not in self._calls:
            self.metrics.call_begun(bot)
            recorded = self._settings.recording is not Recording.OFF
            journal = self._records.begin(profile, ongoing, recorded=recorded)
            self._calls[call_id] = ConnectedCall(ongoing, profile, journal)
        connected = self._calls[call_id]
        return await self._answered(connected, "initiate.1", functools.partial(self._open, connected))

    async def continues(self, call_id: str, generation: int) -> str:
        """Answer the webhook that follows a media stream; asked twice, the answer is the same."""
        connected = self.find(call_id)
        if connected is None:
            return answers.hang_up()
        following = functools.partial(self._next, connected)
        return await self._answered(connected, f"continue.{generation}", following)

    def knows_webhook(self, call_id: str, username: str, password: str) -> Generation | None:
        """Return the generation whose webhook credentials these are, or None when they are nobody's."""
        return self.ongoing.knows_webhook(call_id, username, password)

    def stream_event(self, call_id: str, event: str, cause: str | None) -> None:
        """Write down what the carrier tells of a media stream."""
        if connected := self.find(call_id):
            connected.journal.write("stream_event", type=event, cause=cause)

    def step_done(self, bot: str, chain: Chain, step: int, told: Webhook) -> str:
        """Write down what became of a step of a fallback chain; return what follows it.

        Args:
            bot: The bot's name.
            chain: Which of its chains.
            step: The step's number, from 0.
            told: The carrier's webhook: a transfer is complete, or a recording is; the call may be over.
        """
        steps = _steps(self._profile(bot), chain)
        if isinstance(told, RecordingWebhook):
            fields = {"recording_id": told.recording_id, "duration": told.duration, "status": told.status}
            self._records.note(told.call_id, "voicemail", **fields)
        else:
            self._records.note(told.call_id, "fallback_transfer", cause=told.cause)
            if told.cause == ANSWERED_AND_OVER:
                return answers.hang_up()
        return answers.fallback(steps, answers.told_of(self._serving, bot, chain), first=step + 1)

    async def disconnected(self, call_id: str, cause: str) -> None:
        """The carrier says that a call is over: nothing of it stays."""
        connected = self.find(call_id)
        if connected is None:
            return
        connected.ongoing.over = cause
        await self.changed(connected.ongoing)
        self.ongoing.end(call_id)
        connected.journal.write("disconnected", cause=cause)
        await self._close_record(connected, "caller", cause)

    @abstractmethod
    def socket_protocol(self) -> Callable[..., asyncio.BaseProtocol]:
        """Return what takes the media sockets on the server's port: uvicorn's `ws=` setting."""

    def admit(self, request: UpgradeRequest) -> tuple[OngoingCall, Generation] | HTTPStatus:
        """Let a media socket in before its handshake completes, or return the status that refuses it.

        Its path has to be a bot's, its credentials those of a generation that waits for its media stream.
        """
        path = _MEDIA_PATH.fullmatch(request.path.partition("?")[0])
        if path is None:
            return HTTPStatus.NOT_FOUND
        try:
            username, password = basic_credentials(request.headers.get("authorization", ""))
            return self.ongoing.admit(path[1], username, password)
        except AdmissionError as refused:
            logger.warning("{}", refused)
            return HTTPStatus.UNAUTHORIZED

    # What those who run the pipelines say.

    async def changed(self, ongoing: OngoingCall) -> None:
        """Keep a call as it is now."""
        if self._store is not None and ongoing.call_id in self._calls:
            await self._store.save(ongoing)

    async def generation_ended(self, call_id: str, generation: int, reason: str) -> None:
        """A generation's pipeline has ended. See `Runs.ended`."""
        connected = self.find(call_id) or self._calls.get(call_id)
        if connected is None:
            return
        for ended in connected.ongoing.generations[generation - 1 : generation]:
            ended.ended_at = self._clock()
        await self.changed(connected.ongoing)
        if call_id in self.ongoing:
            unasked = functools.partial(self._unasked, connected, generation)
            self._second_way.watch(call_id, unasked)
        else:
            await self._close_record(connected, "caller", reason)

    async def runner_died(self, call_id: str, generation: int, *, alone: bool) -> None:
        """The process that ran a generation is gone, and the carrier should soon ask what is next.

        Args:
            call_id: The call.
            generation: Its generation.
            alone: Whether the process had no other call.
        """
        connected = self.find(call_id)
        if connected is not None:
            connected.died.add(generation)
            connected.ongoing.runner_died(self._clock(), alone=alone)
            connected.journal.write("runner_died", generation=generation, alone=alone)
        await self.generation_ended(call_id, generation, "runner died")

    def drain(self) -> None:
        """Refuse new calls from now on."""
        self.admission.draining = True

    def stop_resuming(self) -> None:
        """Let calls whose media stream ends from now on get their apology instead of another generation."""
        self._resuming = False

    async def close_records(self) -> None:
        """Close the records of calls that an earlier process left over, as far as nothing runs any more."""
        for connected in list(self._calls.values()):
            if connected.ongoing.over is not None:
                await self._close_record(connected, "caller", connected.ongoing.over)
        for ongoing in self._unsummed:
            await self._records.sum_up(ongoing, ongoing.over or "")
            await self._forget(ongoing.call_id)
        self._unsummed.clear()

    async def close(self) -> None:
        """End every call, politely, within a deadline."""
        self.admission.draining = True
        self.beside.cancel()
        await self.beside.done(CLOSING_S)
        await self._runs.close("server stopped")
        await self._second_way.close()
        for connected in list(self._calls.values()):
            await self._end_record(connected, "server stopped")

    def find(self, call_id: str) -> ConnectedCall | None:
        """Return a call that goes on, also one of an earlier process; None when it is over or never was."""
        ongoing = self.ongoing.find(call_id)
        if ongoing is None:
            return None
        if call_id not in self._calls:
            journal = self._records.journal(ongoing)
            self._calls[call_id] = ConnectedCall(ongoing, self._profile(ongoing.bot), journal)
        return self._calls[call_id]

    def _profile(self, name: str) -> BotProfile:
        profile = self._runs.bot(name)
        if profile is None:
            raise LookupError(f"no bot is called {name!r} here")
        return profile

    def _close_orphans(self) -> None:
        """Close the records of calls that nobody ended and that are forgotten by now."""
        for call_id, connected in list(self._calls.items()):
            if call_id not in self.ongoing and connected.ongoing.over is None:
                self.beside.begin(self._close_record(connected, "never disconnected", "never disconnected"))

    async def _close_record(self, connected: ConnectedCall, told: str, reason: str) -> None:
        """End what still runs of a call that is over, or the records of it when nothing does."""
        if not self._runs.end(connected.ongoing, told):
            await self._end_record(connected, reason)

    async def _end_record(self, connected: ConnectedCall, reason: str) -> None:
        call_id = connected.ongoing.call_id
        if self._calls.pop(call_id, None) is not None:
            self.metrics.call_ended(connected.ongoing.bot, reason)
            await self._records.end(connected.ongoing, connected.journal, reason)
            await self._forget(call_id)

    async def _forget(self, call_id: str) -> None:
        if self._store is not None:
            await self._store.forget(call_id)

    def _restore(self, calls: Iterable[OngoingCall]) -> None:
        """Take up the calls of an earlier process; `find` connects those that go on when they are asked for."""
        for ongoing in calls:
            if ongoing.over is None:
                self.ongoing.restore([ongoing])
            elif self._records.has_ended(ongoing.call_id):
                self._unsummed.append(ongoing)
            else:
                journal = self._records.journal(ongoing)
                profile = self._runs.bot(ongoing.bot) or BotProfile(ongoing.bot, "unknown", ())
                self._calls[ongoing.call_id] = ConnectedCall(ongoing, profile, journal)

    async def _answered(
        self, connected: ConnectedCall, webhook: str, answer: Callable[[], Awaitable[str]]
    ) -> str:
        async with connected.answering:
            known = connected.ongoing.answers
            if webhook not in known:
                known[webhook] = await answer()
                await self.changed(connected.ongoing)
            return known[webhook]

    async def _open(self, connected: ConnectedCall) -> str:
        await self._runs.ready(connected.bot.name)
        refusal = self.admission.refusal(connected.bot)
        if refusal is not None:
            self.metrics.call_refused(connected.bot.name, refusal)
            return self._fallback(connected, refusal, "fallback" if refusal is Refusal.BUDGET else "busy")
        notice = answers.RECORDING_NOTICE if self._settings.recording is Recording.ANNOUNCE else None
        return await self._stream(connected, connected.ongoing.open_generation(self._clock()), notice)

    async def _next(self, connected: ConnectedCall) -> str:
        if connected.ongoing.intent is None:
            if not self._resuming:
                return self._fallback(connected, "the server stopped")
            await self._runs.ready(connected.bot.name)
            if connected.ongoing.over is not None:  # the caller has not waited
                return answers.hang_up()
        match connected.ongoing.next_step(self._clock()):
            case HangUp():
                return answers.hang_up()
            case Apologise(reason):
                return self._fallback(connected, reason)
            case Generation() as generation:
                connected.journal.write("resumed", generation=generation.number)
                self.metrics.generation_resumed(connected.bot.name)
                self._runs.abandon(connected.ongoing)
                return await self._stream(connected, generation)

    async def _stream(self, connected: ConnectedCall, generation: Generation, notice: str | None = None) -> str:
        """Prepare a generation and ask for its media stream, or apologise when the bot has failed already."""
        # Should this server die before it answers, the next one opens another generation instead.
        await self.changed(connected.ongoing)
        await self._runs.prepare(connected.ongoing, generation)
        if connected.ongoing.condemned:
            generation.wants(Apologise("runners die of this call"))
        if isinstance(generation.intent, Apologise):
            return self._fallback(connected, generation.intent.reason)
        return answers.stream(self._serving, connected.ongoing, generation, notice=notice)

    def _fallback(self, connected: ConnectedCall, reason: str, chain: Chain = "fallback") -> str:
        """Give the caller what they get instead of the bot."""
        bot = connected.bot
        connected.journal.write("apologised", reason=reason)
        return answers.fallback(_steps(bot, chain), answers.told_of(self._serving, bot.name, chain))

    async def _unasked(self, connected: ConnectedCall, generation: int) -> str | None:
        """Return what `/continue` would be answered, when nobody has asked and somebody should have."""
        ongoing = connected.ongoing
        gone = ongoing.call_id not in self.ongoing
        wanted = ongoing.intent is not None or generation in connected.died
        if gone or not wanted or f"continue.{generation}" in ongoing.answers:
            return None
        connected.journal.write("not_continued", generation=generation)
        return await self.continues(ongoing.call_id, generation)


def _steps(bot: BotProfile, chain: Chain) -> tuple[Step, ...]:
    return (bot.busy or bot.fallback) if chain == "busy" else bot.fallback
