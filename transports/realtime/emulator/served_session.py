"""Runs one realtime session on a socket: the session's state, a brain, and time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from loguru import logger

from ...errors import SocketClosedError, where
from ...speech.interfaces import Brain, CallTool, Say, SpeechDetector
from ...websocket import WebSocket
from .client_items import Hear
from .errors import RequestError
from .faults import FailResponse, Fault
from .faulty_line import FaultyLine
from .faulty_socket import CLOSING_DEADLINE_S, FaultySocket
from .response import Response
from .responses import BrainView
from .server_events import ServerEvents
from .session import Abandon, Reaction, Respond, Session
from .session_log import SessionLog
from .utterance import Utterance, spoken

Result = TypeVar("Result")

_GOING_AWAY = 1001


class Run(Protocol):
    """Runs work that blocks; `in_thread` beside the event loop, `inline` for virtual time."""

    def __call__(self, work: Callable[[], Result], /) -> Awaitable[Result]:
        """Return what the work gives."""
        ...


async def in_thread(work: Callable[[], Result], /) -> Result:
    """Run the work in a thread."""
    return await asyncio.to_thread(work)


async def inline(work: Callable[[], Result], /) -> Result:
    """Run the work here and now; it takes no virtual time."""
    return work()


@dataclass(frozen=True, slots=True)
class EmulatorSettings:
    """How the emulated model behaves in time.

    Attributes:
        connect_delay_ms: From the open socket to `session.created`.
        first_audio_delay_ms: From `response.created` to the first output, unless the brain takes longer.
        delta_ms: Audio of one delta.
        speed: Times real time at which audio is sent; `math.inf` sends it at once.
        max_duration_s: After it the session is closed.
        brain_deadline_s: A brain that takes longer has failed.
    """

    connect_delay_ms: float = 0.0
    first_audio_delay_ms: float = 300.0
    delta_ms: float = 150.0
    speed: float = 3.0
    max_duration_s: float = 3_600.0
    brain_deadline_s: float = 30.0


async def serve_session(
    socket: WebSocket,
    brain: Brain,
    *,
    settings: EmulatorSettings | None = None,
    clock: Callable[[], float] = time.monotonic,
    run: Run = in_thread,
    faults: Sequence[Fault] = (),
    log: SessionLog | None = None,
    model: str = "gpt-realtime",
    abort: Callable[[], None] | None = None,
) -> SessionLog:
    """Serve one session until its socket is closed.

    Args:
        socket: The open socket to the client.
        brain: What hears, thinks and speaks.
        settings: Delays and pace.
        clock: Monotonic seconds.
        run: Runs the brain, its ear and its voice.
        faults: What goes wrong.
        log: Where the session's events are kept.
        model: The model the client asked for.
        abort: Breaks the socket's connection without a close frame, for the fault `Drop`.

    Returns:
        The log.
    """
    log = log or SessionLog()
    served = _ServedSession(
        socket=socket,
        brain=brain,
        detector=await run(brain.detector),
        settings=settings or EmulatorSettings(),
        clock=clock,
        run=run,
        faults=faults,
        log=log,
        model=model,
        abort=abort or _unable_to_abort,
    )
    await served.serve()
    return log


class _ServedSession:
    def __init__(
        self,
        *,
        socket: WebSocket,
        brain: Brain,
        detector: SpeechDetector,
        settings: EmulatorSettings,
        clock: Callable[[], float],
        run: Run,
        faults: Sequence[Fault],
        log: SessionLog,
        model: str,
        abort: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._brain = brain
        self._settings = settings
        self._clock = clock
        self._run = run
        self._log = log
        self._events = ServerEvents()
        self._line = FaultyLine(faults, self._events)
        self._client = FaultySocket(socket, self._line, log, clock=clock, abort=abort)
        self._send = self._client.send
        self._responses = 0
        expires_at = int(time.time() + settings.max_duration_s)
        self._session = Session(model, detector, expires_at=expires_at, events=self._events)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hearing: set[asyncio.Task[None]] = set()
        self._answering: dict[str, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None

    async def serve(self) -> None:
        """Take the client's messages until the socket is closed."""
        expiry = asyncio.get_running_loop().call_later(self._settings.max_duration_s, self._expire)
        self._client.open()
        try:
            await asyncio.sleep(self._settings.connect_delay_ms / 1000)
            self._send(self._session.opened())
            while True:
                message = await self._socket.receive()
                now = self._clock()
                self._log.received(message, now)
                self._take(self._session.receive(message, now))
                self._log.caller_audio_ms = self._session.caller_audio_ms
        except SocketClosedError:
            return
        finally:
            expiry.cancel()
            await self._end()

    async def _end(self) -> None:
        await self._client.end()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING_DEADLINE_S)
        self._log.ended = True

    def _take(self, reactions: Iterable[Reaction]) -> None:
        for reaction in reactions:
            match reaction:
                case Hear():
                    self._spawn(self._hear(reaction), self._hearing)
                case Respond():
                    response = reaction.response
                    self._responses += 1
                    failure = self._line.failure(self._responses)
                    task = self._spawn(
                        self._answer(response) if failure is None else self._fail(response, failure)
                    )
                    self._answering[response.id] = task
                    task.add_done_callback(lambda _, key=response.id: self._answering.pop(key, None))
                case Abandon():
                    if answering := self._answering.get(reaction.response.id):
                        answering.cancel()
                case _:
                    self._send([reaction])
        self._arm()

    def _spawn(
        self, work: Coroutine[object, object, None], group: set[asyncio.Task[None]] | None = None
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        for tasks in (self._tasks, group):
            if tasks is not None:
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        return task

    # Time.

    def _arm(self) -> None:
        deadline = self._session.deadline
        if deadline == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        if deadline is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, deadline - self._clock()), self._tick, deadline)

    def _tick(self, now: float) -> None:
        self._timer_at = None
        self._take(self._session.tick(now))

    def _expire(self) -> None:
        minutes = self._settings.max_duration_s / 60
        words = f"Your session hit the maximum duration of {minutes:g} minutes."
        self._send([self._events.error(RequestError(words, "session_expired"))])
        self._client.close(_GOING_AWAY, words)

    async def _until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self._clock()))

    # What the brain does.

    async def _hear(self, hear: Hear) -> None:
        listen = partial(self._brain.ear.hear, hear.pcm, hear.sample_rate)
        try:
            async with asyncio.timeout(self._settings.brain_deadline_s):
                text = await self._run(listen)
        except Exception as failure:  # noqa: BLE001  an ear is anyone's code, and the session outlives it
            logger.warning("the emulator's ear failed: {}", where(failure))
            self._send(self._session.unheard(hear, "The audio could not be transcribed."))
        else:
            self._send(self._session.heard(hear, text))

    async def _answer(self, response: Response) -> None:
        earliest = self._clock() + self._settings.first_audio_delay_ms / 1000
        try:
            for action in await self._actions(response):
                if not response.is_full:
                    await self._act(response, action, earliest)
        except Exception as failure:  # noqa: BLE001  a brain is anyone's code, and the session outlives it
            logger.warning("the emulator's brain failed: {}", where(failure))
            self._take(self._session.fail(response, "The model failed to answer.", self._clock()))
        else:
            await self._until(earliest)
            self._take(self._session.finish(response, self._clock()))

    async def _fail(self, response: Response, failure: FailResponse) -> None:
        await asyncio.sleep(self._settings.first_audio_delay_ms / 1000)
        failed = self._session.fail(
            response, failure.message, self._clock(), code=failure.code, kind=failure.type
        )
        self._take(failed)

    async def _actions(self, response: Response) -> list[Say | CallTool]:
        async with asyncio.timeout(self._settings.brain_deadline_s):
            while self._hearing:
                await asyncio.wait(self._hearing)
            return await self._run(partial(_decided, self._brain, self._session.view(response)))

    async def _act(self, response: Response, action: Say | CallTool, earliest: float) -> None:
        match action:
            case CallTool():
                arguments = json.dumps(action.arguments)
                await self._until(earliest)
                self._send(response.call(action.name, arguments))
            case Say() if response.settings.modality == "text":
                await self._until(earliest)
                self._send(response.write(action.text))
            case Say():
                say = partial(spoken, action.text, self._brain.voice, response.audio_format)
                async with asyncio.timeout(self._settings.brain_deadline_s):
                    utterance = await self._run(say)
                await self._until(earliest)
                await self._speak(response, utterance)

    async def _speak(self, response: Response, utterance: Utterance) -> None:
        self._send(response.begin_speech(utterance.text, utterance.duration_ms))
        due = self._clock()
        for transcript, audio in utterance.deltas(self._settings.delta_ms):
            due += self._line.delay_ms / 1000
            await self._until(due)
            self._send(response.speech(transcript, audio))
            if response.is_full:
                return
            due += self._settings.delta_ms / 1000 / self._settings.speed
        self._send(response.end_message())


def _unable_to_abort() -> None:
    raise RuntimeError("the fault Drop needs a way to abort the connection, and serve_session was given none")


def _decided(brain: Brain, view: BrainView) -> list[Say | CallTool]:
    """Ask the brain; where nothing was said or done yet it opens the conversation."""
    if view.history:
        return brain.answer(view.instructions, view.tools, view.history)
    return brain.greet(view.instructions)
