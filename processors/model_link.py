"""The model's sockets over a call: opened, lost, opened again elsewhere, exchanged before a session expires."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from callpipe.transports.errors import SocketBacklogError, SocketClosedError
from callpipe.transports.lane import Rest
from callpipe.transports.reading import Reader
from callpipe.transports.realtime.endpoints import Attempts
from callpipe.transports.realtime.liveness import Liveness
from callpipe.transports.realtime.opening import Opened

from .errors import ModelLostError, ModelSilentError, ModelSocketLostError
from .model_dialer import CLOSE_DEADLINE_S, Dialer, ModelSession

SESSION_S = 3_600.0
"""How long a session lasts when the server does not say."""

ROLLOVER_AFTER_S = 3_300.0
"""When a session's successor is opened; there are five minutes to find a moment between turns."""

LATEST_ROLLOVER_S = 60.0
"""How long before its end a session is left in the middle of a turn."""

SHORTEST_SESSION_S = 120.0
"""A server's clock that differs from ours makes no session shorter than this."""

RETRY_ROLLOVER_S = 15.0


class Listener(Protocol):
    """Who a link tells what becomes of its sessions."""

    async def opened(self, opened: Opened) -> None:
        """A session is open; what is sent goes to it."""
        ...

    def received(self, message: str | bytes) -> Rest:
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

    Attributes:
        successor: Another session that is open, to be moved to between two turns.
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
        self.successor: ModelSession | None = None
        self._must_move_at = 0.0
        self._loss: ModelLostError | None = None
        self._failure: Exception | None = None
        self._beside: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        """Whether there is a session."""
        return self._session is not None

    @property
    def must_move(self) -> bool:
        """Whether the present session is about to end, so that moving can't wait for the end of a turn."""
        return self.successor is not None and self._clock() >= self._must_move_at

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
                self._take(self.successor or await self._dialer.open(self._attempts, loss))
        finally:
            self.close()

    def send(self, outbox: list[bytes]) -> None:
        """Send the messages in an outbox, in order, and empty it.

        A socket that fails is noticed by whoever reads it.
        """
        if self._session is not None:
            socket = self._session.socket
            try:
                for message in outbox:
                    socket.send(message)
            except (SocketClosedError, SocketBacklogError):
                pass
        outbox.clear()

    def due(self, *, owing: bool) -> float | None:
        """Return when `watch` has to be called, in s; None while there is no session.

        Args:
            owing: The server is known to owe something.
        """
        return None if self._session is None else self._liveness.due(owing=owing)

    def watch(self, *, owing: bool) -> None:
        """Ask a server that has been silent for a while; look for another when it does not answer."""
        now = self._clock()
        if self._session is None:
            return
        if self._liveness.suspects(now):
            self._run_beside(self._replace(self._session))
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
        left, session = self._session, self.successor
        assert left is not None
        assert session is not None
        self._take(session)
        self._close(left)
        return session.opened

    def close(self) -> None:
        """Close everything."""
        if self._beside is not None:
            self._beside.cancel()
        for session in (self._session, self.successor):
            if session is not None:
                self._close(session)
        self._session = self.successor = None

    async def closed(self) -> None:
        """Wait until every socket is closed, as long as that may take."""
        if not self._closing:
            return
        _, stuck = await asyncio.wait(self._closing, timeout=CLOSE_DEADLINE_S)
        for task in stuck:
            task.cancel()

    def _take(self, session: ModelSession) -> None:
        self._session, self.successor, self._loss = session, None, None
        self._liveness.opened(self._clock())
        self._run_beside(self._prepare(session))

    def _run_beside(self, work: Coroutine[None, None, None]) -> None:
        """Look after the successor of the present session: one task at a time."""
        if self._beside is not None:
            self._beside.cancel()
        self._beside = asyncio.get_running_loop().create_task(work)

    async def _until_lost(self, listener: Listener) -> ModelLostError | None:
        """Read until the session is lost; return why, or None when it was closed by us.

        Raises:
            Exception: What the listener raised.
        """
        while (session := self._session) is not None:
            reader = Reader(functools.partial(self._received, listener, session))
            closed = await reader.read(session.socket)
            if self._failure is not None:
                raise self._failure
            if session is not self._session:
                continue
            loss = self._loss or ModelSocketLostError(closed.code, closed.reason)
            if loss.lasting:
                self._dialer.refused(session)
            else:
                self._dialer.failed(session)
            self._session = None
            if self._beside is not None:
                self._beside.cancel()
            return loss
        return None

    def _received(self, listener: Listener, session: ModelSession, message: str | bytes) -> Rest:
        """Tell the listener of a message."""
        if session is not self._session:
            return None
        self._liveness.heard(self._clock())
        try:
            rest = listener.received(message)
        except Exception as failure:  # noqa: BLE001  it is raised where the session is followed
            self._fail(failure)
            return None
        return None if rest is None else self._finish(rest)

    async def _finish(self, rest: Coroutine[Any, Any, None]) -> None:
        try:
            await rest
        except Exception as failure:  # noqa: BLE001  it is raised where the session is followed
            self._fail(failure)

    def _fail(self, failure: Exception) -> None:
        """Have a failure of the listener's raised by `follow`, which reads until the socket closes."""
        self._failure = failure
        if self._session is not None:
            self._close(self._session, deadline_s=0.0)

    async def _prepare(self, session: ModelSession) -> None:
        """Open the session's successor when it is time, however often that takes."""
        lasts_s = self._lasts_s(session)
        after_s = min(self._rollover_after_s, lasts_s * ROLLOVER_AFTER_S / SESSION_S)
        self._must_move_at = session.opened_at + max(lasts_s - LATEST_ROLLOVER_S, after_s)
        await asyncio.sleep(session.opened_at + after_s - self._clock())
        while self.successor is None:
            try:
                self.successor = await self._dialer.open(Attempts())
            except ModelLostError:
                await asyncio.sleep(RETRY_ROLLOVER_S)

    def _lasts_s(self, session: ModelSession) -> float:
        """Return how long a session lasts that was opened just now."""
        expires_at = session.opened.expires_at
        return SESSION_S if expires_at is None else max(expires_at - self._unix_time(), SHORTEST_SESSION_S)

    async def _replace(self, session: ModelSession) -> None:
        """Open a successor to a session that seems dead, and leave that when it still does."""
        with suppress(ModelLostError):
            self.successor = await self._dialer.open(self._attempts)
        if self._liveness.still_silent:
            self.drop(ModelSilentError())
            return
        if self.successor is not None:
            self._close(self.successor)
            self.successor = None
        await self._prepare(session)

    def _close(self, session: ModelSession, deadline_s: float = CLOSE_DEADLINE_S) -> None:
        task = asyncio.get_running_loop().create_task(session.socket.close(deadline_s=deadline_s))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
