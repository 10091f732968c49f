"""Opens sessions with the model: at whichever of its places lets a call in first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from callpipe.transports.errors import HandshakeLateError, SocketClosedError, SocketRefusedError
from callpipe.transports.realtime.endpoints import Attempts, Choice, RealtimeEndpoint
from callpipe.transports.realtime.events import MalformedEventError, SessionUpdated, parse
from callpipe.transports.realtime.opening import READY_DEADLINE_S, Opened, Refused, answer
from callpipe.transports.websocket import Connect, WebSocket

from .errors import ModelLostError, ModelSessionRefusedError, ModelSocketLostError, ModelUnreachableError

CONNECT_DEADLINE_S = 5.0
CLOSE_DEADLINE_S = 1.0

SLOW_S = 0.7
"""How long an attempt may take until another one is made beside it."""


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
        self._closing: set[asyncio.Task[None]] = set()

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
            found = await self._round(since)
            if isinstance(found, ModelSession):
                self._choice.succeeded(found.endpoint)
                attempts.found(self._clock())
                return found
            loss = found[-1] if found else loss
            retry_after_s = max((failed.retry_after_s for failed in found), default=0.0)
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

    async def _round(self, since: float) -> ModelSession | list[ModelLostError]:
        """Try the endpoints, the next when one fails or is slow; return the first session, or all failures.

        When the last of them is slow the first is tried again beside it: its connection may hang.
        """
        failures: list[ModelLostError] = []
        places = self._choice.round(self._clock())
        first: RealtimeEndpoint | None = None
        slow = False
        trying: dict[asyncio.Task[ModelSession], RealtimeEndpoint] = {}
        try:
            while True:
                place = next(places, None)
                if place is None and slow:
                    place, first = first, None
                elif first is None:
                    first = place
                if place is not None:
                    trying[asyncio.create_task(self._open_at(place, since))] = place
                if not trying:
                    return failures
                timeout_s = SLOW_S if place is not None else None
                done, _ = await asyncio.wait(trying, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
                slow = not done
                for task in done:
                    endpoint = trying.pop(task)
                    try:
                        return task.result()
                    except ModelLostError as failed:
                        failures.append(failed)
                        self._failed(endpoint, failed)
        finally:
            for task in trying:
                task.add_done_callback(self._hang_up)
                task.cancel()

    def _hang_up(self, late: asyncio.Task[ModelSession]) -> None:
        """Close a session that another one came before."""
        if not late.cancelled() and late.exception() is None:
            closing = asyncio.create_task(late.result().socket.close(deadline_s=CLOSE_DEADLINE_S))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

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
