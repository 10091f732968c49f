"""A call's session and the sockets that carry it, joined: messages, losses, time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from callpipe.transports.alarm import Alarm, earlier
from callpipe.transports.frames import EncodedAudio
from callpipe.transports.lane import Rest
from callpipe.transports.realtime.events import (
    AudioDelta,
    MalformedEventError,
    SpeechStarted,
    TranscriptDelta,
    parse,
)
from callpipe.transports.realtime.happenings import BotAudio, CallerCutIn, Happening, SessionGone
from callpipe.transports.realtime.opening import Opened
from callpipe.transports.realtime.session import RealtimeSession

from .errors import ModelLostError, ModelSessionRefusedError
from .model_link import ModelLink

_DELTAS = (AudioDelta, TranscriptDelta)


class Pipeline(Protocol):
    """What a conversation needs of the processor that holds it."""

    async def push_happening(self, happening: Happening) -> None:
        """Tell the pipeline what happened."""
        ...

    def hand_on_bot_audio(self, audio: BotAudio) -> Rest:
        """Give the pipeline a piece of the bot's speech."""
        ...

    def clear_playout(self) -> Rest:
        """Have the pipeline clear what the caller has not heard."""
        ...

    async def report(self, loss: ModelLostError) -> None:
        """Tell the pipeline that a session, or an attempt to open one, failed."""
        ...

    def run_beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that nobody waits for."""
        ...


class ModelConversation:
    """Drives a session; the `Listener` of its link.

    Args:
        session: The session.
        link: Its sockets.
        pipeline: Who is told what happens.
        clock: Monotonic seconds.

    Attributes:
        started: Set when the pipeline takes frames.
    """

    def __init__(
        self, session: RealtimeSession, link: ModelLink, pipeline: Pipeline, *, clock: Callable[[], float]
    ) -> None:
        self.started = asyncio.Event()
        self._session = session
        self._link = link
        self._pipeline = pipeline
        self._clock = clock
        self._ended = False
        self._session_due: float | None = None
        self._alarm = Alarm(self._overdue, clock)

    @property
    def is_open(self) -> bool:
        """Whether there is a session with the model."""
        return self._link.is_open

    async def follow(self) -> None:
        """Follow the model's sessions for as long as there are any.

        Raises:
            ModelLostError: There is none any more.
        """
        await self._link.follow(self)

    def hear(self, packet: EncodedAudio, now: float) -> None:
        """Send caller audio to the model; move to the next session when one is open and nobody speaks."""
        session, link = self._session, self._link
        session.caller_audio(packet, now)
        if session.ready:
            link.send(session.outbox)
        if link.successor is not None and (link.must_move or session.between_turns(now)):
            happened = session.moved(link.move(), now)
            self.send()
            self._pipeline.run_beside(self.tell(happened))

    def send(self) -> None:
        """Send what the session has to say."""
        if self._session.ready:
            self._link.send(self._session.outbox)

    async def tell(self, happened: Sequence[Happening], *, after: Rest = None) -> None:
        """Send what a step of the session has to say, tell what it found out, and set the alarm anew."""
        if after is not None:
            await after
        self.send()
        for happening in happened:
            if isinstance(happening, SessionGone):
                self._link.drop(
                    ModelSessionRefusedError(happening.code, happening.explanation, lasting=happening.lasting)
                )
            else:
                await self._pipeline.push_happening(happening)
        self._set_alarm(self._clock())

    def end(self) -> None:
        """The call ends: close the socket, wait for nothing more."""
        self._ended = True
        self.started.set()
        self._session.end()
        self._link.close()
        self._alarm.set(None)

    async def closed(self) -> None:
        """Wait until every socket is closed."""
        await self._link.closed()

    # What the link tells.

    async def opened(self, opened: Opened) -> None:
        """A session is open: tell it the conversation so far. See `Listener`."""
        now = self._clock()
        happened = self._session.opened(opened, now)
        self.send()
        await self.started.wait()
        await self.tell(happened)

    def received(self, message: str | bytes) -> Rest:
        """Take a message of the server's. See `Listener`."""
        now = self._clock()
        try:
            event = parse(message)
        except MalformedEventError as malformed:
            return self.tell(self._session.malformed(malformed, now))
        happened = self._session.receive(event, now)
        if type(event) in _DELTAS and not self._session.outbox:
            # In the middle of an answer nothing is due any sooner.
            if not happened:
                return None
            if len(happened) == 1 and type(audio := happened[0]) is BotAudio:
                return self._pipeline.hand_on_bot_audio(audio)
        elif type(event) is SpeechStarted and CallerCutIn() in happened:
            return self.tell(happened, after=self._pipeline.clear_playout())
        return self.tell(happened)

    async def lost(self, loss: ModelLostError) -> None:
        """The session is gone: keep what the next one needs. See `Listener`."""
        now = self._clock()
        happened = self._session.lost(now)
        await self._pipeline.report(loss)
        await self.tell(happened)

    # Time.

    def _set_alarm(self, now: float) -> None:
        """Find out anew when the session has something to do."""
        self._session_due = earlier(self._session.next_due(now), self._session.progress_due)
        if not self._ended:
            self._alarm.set(earlier(self._session_due, self._link.due(owing=self._session.is_owed)))

    def _overdue(self) -> None:
        now = self._clock()
        owed = self._session.is_owed
        watch_due = self._link.due(owing=owed)
        if watch_due is not None and now >= watch_due:
            self._link.watch(owing=owed or self._session.expects_word)
            watch_due = self._link.due(owing=owed)
        if self._session_due is None or now < self._session_due:
            self._alarm.set(earlier(self._session_due, watch_due))
            return
        happened = [*self._session.progress(now), *self._session.due(now)]
        if happened:
            self._pipeline.run_beside(self.tell(happened))
        else:
            self.send()
            self._set_alarm(now)
