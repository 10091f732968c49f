"""The model's sockets over a call: opened, lost, opened again elsewhere, exchanged before a session expires."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from callpipe.transports.errors import (
    HandshakeLateError,
    SocketBacklogError,
    SocketClosedError,
    SocketRefusedError,
)
from callpipe.transports.realtime.endpoints import Attempts, Choice, RealtimeEndpoint
from callpipe.transports.realtime.events import MalformedEventError, SessionUpdated, parse
from callpipe.transports.realtime.liveness import Liveness
from callpipe.transports.realtime.opening import READY_DEADLINE_S, Opened, Refused, answer
from callpipe.transports.websocket import Connect, WebSocket

from .errors import (
    ModelLostError,
    ModelSessionRefusedError,
    ModelSilentError,
    ModelSocketLostError,
    ModelUnreachableError,
)

CONNECT_DEADLINE_S = 5.0
CLOSE_DEADLINE_S = 1.0

SESSION_S = 3_600.0
"""How long a session lasts when the server does not say."""

ROLLOVER_AFTER_S = 3_300.0
"""When a session's successor is opened; there are five minutes to find a moment between turns."""

LATEST_ROLLOVER_S = 60.0
"""How long before its end a session is left in the middle of a turn."""

SHORTEST_SESSION_S = 120.0
"""A server's clock that differs from ours makes no session shorter than this."""

RETRY_ROLLOVER_S = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class ModelSession:
    """An open socket with a session that is set up.

    Attributes:
        socket: The socket.
        endpoint: Where it is.
        opened: What is known of the session.
        opened_at: Since when, in s.
    """

    socket: WebSocket
    endpoint: RealtimeEndpoint
    opened: Opened
    opened_at: float

    def lasts_s(self, unix_time: float) -> float:
        """Return how long the session lasts from its opening."""
        expires_at = self.opened.expires_at
        return SESSION_S if expires_at is None else max(expires_at - unix_time, SHORTEST_SESSION_S)


class Dialer:
    """Opens sessions, at the first endpoint that lets it.

    Args:
        choice: The endpoints of this call.
        model: The model, where an endpoint names none of its own.
        set_up: Gives the client event that sets a session up for a model.
        connect: Opens sockets.
        clock: Monotonic seconds.
        report: Told of every attempt that fails.
    """

    def __init__(
        self,
        choice: Choice,
        model: str,
        set_up: Callable[[str], bytes],
        *,
        connect: Connect,
        clock: Callable[[], float],
        report: Callable[[ModelLostError], None],
    ) -> None:
        self._choice = choice
        self._model = model
        self._set_up = set_up
        self._connect = connect
        self._clock = clock
        self._report = report

    async def open(self, attempts: Attempts, loss: ModelLostError | None = None) -> ModelSession:
        """Open a session.

        Args:
            attempts: How often it may be tried.
            loss: Why the last session was lost.

        Raises:
            ModelLostError: None came about: why the last attempt failed, or `loss` when there was none.
        """
        since = self._clock()
        may = attempts.begin(since)
        while may:
            retry_after_s = 0.0
            for endpoint in self._choice.round(self._clock()):
                try:
                    session = await self._open_at(endpoint, since)
                except ModelLostError as failed:
                    loss = failed
                    retry_after_s = max(retry_after_s, failed.retry_after_s)
                    self._failed(endpoint, failed)
                else:
                    self._choice.succeeded(endpoint)
                    attempts.found(self._clock())
                    return session
            delay_s = None if self._choice.exhausted else attempts.again_in(self._clock(), retry_after_s)
            if delay_s is None:
                break
            await asyncio.sleep(delay_s)
        raise loss or ModelUnreachableError("no attempt is left")

    def refused(self, session: ModelSession) -> None:
        """Note that a session's endpoint will not take this call again."""
        self._choice.refused(session.endpoint)

    def failed(self, session: ModelSession) -> None:
        """Note that a session's endpoint failed in the middle of it."""
        self._choice.failed(session.endpoint, self._clock())

    def _failed(self, endpoint: RealtimeEndpoint, failed: ModelLostError) -> None:
        self._report(failed)
        if failed.lasting:
            self._choice.refused(endpoint)
        else:
            self._choice.failed(endpoint, self._clock())

    async def _open_at(self, endpoint: RealtimeEndpoint, since: float) -> ModelSession:
        model = endpoint.model or self._model
        try:
            socket = await self._connect(
                endpoint.url(model), headers=endpoint.headers, deadline_s=CONNECT_DEADLINE_S
            )
        except SocketRefusedError as refusal:
            raise _unreachable(refusal) from refusal
        socket_ms = (self._clock() - since) * 1000
        set_up = self._set_up(model)
        try:
            confirmed = await _confirmed(socket, set_up)
        except BaseException:  # a call that ends meanwhile cancels this
            await socket.close(deadline_s=CLOSE_DEADLINE_S)
            raise
        now = self._clock()
        opened = Opened(
            model=confirmed.session.model or model,
            asked_for=model,
            expires_at=confirmed.session.expires_at,
            set_up=set_up,
            connect_ms=(now - since) * 1000,
            socket_ms=socket_ms,
        )
        return ModelSession(socket, endpoint, opened, now)


def _unreachable(refusal: SocketRefusedError) -> ModelUnreachableError:
    late = isinstance(refusal, HandshakeLateError)
    wait_s = refusal.retry_after_s or 0.0
    return ModelUnreachableError(str(refusal), refusal.status, retry_after_s=wait_s, late=late)


async def _confirmed(socket: WebSocket, set_up: bytes) -> SessionUpdated:
    """Set a session up; return the server's confirmation.

    Raises:
        ModelLostError: The server refused, closed, or did not confirm in time.
    """
    try:
        socket.send(set_up)
        async with asyncio.timeout(READY_DEADLINE_S):
            while True:
                with suppress(MalformedEventError):
                    answered = answer(parse(await socket.receive()))
                    if isinstance(answered, Refused):
                        raise ModelSessionRefusedError(
                            answered.code, answered.explanation, lasting=answered.lasting
                        )
                    if answered is not None:
                        return answered
    except TimeoutError as late:
        words = f"settings not confirmed within {READY_DEADLINE_S:g} s"
        raise ModelSessionRefusedError("timeout", words, lasting=False) from late
    except SocketClosedError as closed:
        raise ModelSocketLostError(closed.code, closed.reason, set_up=False) from closed


class Listener(Protocol):
    """Who a link tells what becomes of its sessions."""

    async def opened(self, opened: Opened) -> None:
        """A session is open; what is sent goes to it."""
        ...

    async def received(self, message: str | bytes) -> None:
        """The session's server sent a message."""
        ...

    async def lost(self, loss: ModelLostError) -> None:
        """The session is gone; another one is looked for."""
        ...


class ModelLink:
    """Holds one session with the model over a call, whatever becomes of its socket.

    Args:
        dialer: Opens sessions.
        clock: Monotonic seconds.
        rollover_after_s: How long a session lasts until its successor is opened beside it.
        unix_time: Seconds of Unix time, by which servers say when a session ends.
    """

    def __init__(
        self,
        dialer: Dialer,
        *,
        clock: Callable[[], float],
        rollover_after_s: float = ROLLOVER_AFTER_S,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        self._dialer = dialer
        self._clock = clock
        self._rollover_after_s = rollover_after_s
        self._unix_time = unix_time
        self._attempts = Attempts()
        self._liveness = Liveness()
        self._session: ModelSession | None = None
        self._successor: ModelSession | None = None
        self._must_move_at = 0.0
        self._loss: ModelLostError | None = None
        self._rollover: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        """Whether there is a session."""
        return self._session is not None

    @property
    def has_successor(self) -> bool:
        """Whether another session is open, to be moved to between two turns."""
        return self._successor is not None

    @property
    def must_move(self) -> bool:
        """Whether the present session is about to end, so that moving can't wait for the end of a turn."""
        return self._successor is not None and self._clock() >= self._must_move_at

    async def follow(self, listener: Listener) -> None:
        """Open a session, read what its server sends, and look for another when it is lost, until `close`.

        Raises:
            ModelLostError: There is no session, and none can be had.
        """
        try:
            self._take(await self._dialer.open(self._attempts))
            while True:
                if self._session is not None:
                    await listener.opened(self._session.opened)
                loss = await self._until_lost(listener)
                if loss is None:
                    return
                await listener.lost(loss)
                self._take(self._successor or await self._dialer.open(self._attempts, loss))
        finally:
            self.close()

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages, in order. A socket that fails is noticed by whoever reads it."""
        if self._session is None:
            return
        with suppress(SocketClosedError, SocketBacklogError):
            for message in messages:
                self._session.socket.send(message)

    def due(self, *, owing: bool) -> float | None:
        """Return when `watch` has to be called, in s; None while there is no session.

        Args:
            owing: The server owes an answer.
        """
        return None if self._session is None else self._liveness.due(owing=owing)

    def watch(self, *, owing: bool) -> None:
        """Ask a server that has been silent for a while; leave one that answers nothing."""
        now = self._clock()
        if self._session is None:
            return
        if self._liveness.gone(now):
            self.drop(ModelSilentError())
            return
        question = self._liveness.ask(now, owing=owing)
        if question is not None:
            self.send([question])

    def drop(self, loss: ModelLostError) -> None:
        """Take the present session for lost, although its socket is open."""
        if self._session is not None and self._loss is None:
            self._loss = loss
            self._close(self._session, deadline_s=0.0)

    def move(self) -> Opened:
        """Leave the present session for its successor; return that one."""
        left, session = self._session, self._successor
        assert left is not None
        assert session is not None
        self._take(session)
        self._close(left)
        return session.opened

    def close(self) -> None:
        """Close everything."""
        if self._rollover is not None:
            self._rollover.cancel()
        for session in (self._session, self._successor):
            if session is not None:
                self._close(session)
        self._session = self._successor = None

    async def closed(self) -> None:
        """Wait until every socket is closed, as long as that may take."""
        if not self._closing:
            return
        _, stuck = await asyncio.wait(self._closing, timeout=CLOSE_DEADLINE_S)
        for task in stuck:
            task.cancel()

    def _take(self, session: ModelSession) -> None:
        self._session, self._successor, self._loss = session, None, None
        self._liveness.opened(self._clock())
        if self._rollover is not None:
            self._rollover.cancel()
        self._rollover = asyncio.get_running_loop().create_task(self._prepare(session))

    async def _until_lost(self, listener: Listener) -> ModelLostError | None:
        """Read until the session is lost; return why, or None when it was closed by us."""
        while (session := self._session) is not None:
            try:
                message = await session.socket.receive()
            except SocketClosedError as closed:
                if session is not self._session:
                    continue
                loss = self._loss or ModelSocketLostError(closed.code, closed.reason)
                if loss.lasting:
                    self._dialer.refused(session)
                else:
                    self._dialer.failed(session)
                self._session = None
                return loss
            if session is self._session:
                self._liveness.heard(self._clock())
                await listener.received(message)
        return None

    async def _prepare(self, session: ModelSession) -> None:
        """Open the session's successor when it is time, however often that takes."""
        lasts_s = session.lasts_s(self._unix_time())
        after_s = min(self._rollover_after_s, lasts_s * ROLLOVER_AFTER_S / SESSION_S)
        self._must_move_at = session.opened_at + max(lasts_s - LATEST_ROLLOVER_S, after_s)
        await asyncio.sleep(session.opened_at + after_s - self._clock())
        while self._successor is None:
            try:
                self._successor = await self._dialer.open(Attempts())
            except ModelLostError:
                await asyncio.sleep(RETRY_ROLLOVER_S)

    def _close(self, session: ModelSession, deadline_s: float = CLOSE_DEADLINE_S) -> None:
        task = asyncio.get_running_loop().create_task(session.socket.close(deadline_s=deadline_s))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
