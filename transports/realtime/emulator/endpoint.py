"""The realtime emulator without a port: what a test in virtual time connects to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus

from loguru import logger

from ...errors import HandshakeLateError, SocketRefusedError, where
from ...loopback import Latency, LoopbackSocket, socket_pair
from ...speech.interfaces import Brain
from ...websocket import WebSocket
from .admission import Admission, Admitted, Handshake
from .faults import Fault, FaultPlan, every_session
from .served_session import EmulatorSettings, Run, inline, serve_session
from .session_log import SessionLog

_LOGS_KEPT = 256
_GOING_AWAY = 1001


class EmulatedEndpoint:
    """A realtime model in memory. Its `connect` is a `websocket.Connect`, so it stands in for the network.

    Everything happens on the running event loop and by its clock, so it is for virtual time as well as for
    real time. Example, with the second attempt to connect a healthy one::

        endpoint = EmulatedEndpoint(lambda: brain, faults=first_sessions(1, RefuseHandshake(503)))
        model = RealtimeLLM(..., connect=endpoint.connect)

    Args:
        brain_factory: Makes the brain of one session.
        api_key: What clients have to bring as a bearer token; None takes everybody.
        settings: Delays and pace of every session.
        faults: Gives the faults of the next session, counted by attempts to connect.
        latency: What every message takes in each direction.
        run: Runs brains, ears and voices; `inline` takes no virtual time.
        max_sessions: Live sessions beyond which a client is refused with status 429.

    Attributes:
        logs: The logs of the last sessions, oldest first.
        attempts: When each attempt to connect was made, in seconds of the event loop's clock.
    """

    def __init__(
        self,
        brain_factory: Callable[[], Brain],
        *,
        api_key: str | None = None,
        settings: EmulatorSettings | None = None,
        faults: FaultPlan | None = None,
        latency: Latency | None = None,
        run: Run = inline,
        max_sessions: int = 64,
    ) -> None:
        self.logs: deque[SessionLog] = deque(maxlen=_LOGS_KEPT)
        self.attempts: list[float] = []
        self._brain_factory = brain_factory
        self._admission = Admission(api_key, max_sessions)
        self._settings = settings
        self._faults = faults or every_session()
        self._latency = latency
        self._run = run
        self._sessions: dict[asyncio.Task[None], LoopbackSocket] = {}

    @property
    def live_sessions(self) -> int:
        """Sessions that are being served."""
        return len(self._sessions)

    async def connect(self, url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        """Open a session; see `websocket.Connect`.

        Raises:
            HandshakeLateError: A fault has the handshake answered too late, or not at all.
            SocketRefusedError: A fault or the rules refuse the handshake.
        """
        self.attempts.append(asyncio.get_running_loop().time())
        faults = self._faults()
        handshake = Handshake.under(faults)
        if not handshake.answered or handshake.delay_s >= deadline_s:
            await asyncio.sleep(deadline_s)
            raise HandshakeLateError(f"no connection within {deadline_s:g} s")
        await asyncio.sleep(handshake.delay_s)
        if handshake.refusal is not None:
            raise _refused(handshake.refusal.status, handshake.refusal.retry_after_s)
        names = {name.lower(): value for name, value in headers.items()}
        admitted = self._admission.judge(url, names, self.live_sessions)
        if isinstance(admitted, HTTPStatus):
            raise _refused(admitted)
        return self._opened(admitted, (*admitted.faults, *faults))

    async def close(self) -> None:
        """Close every session."""
        sessions = dict(self._sessions)
        for socket in sessions.values():
            await socket.close(_GOING_AWAY, "going away")
        if sessions:
            _, late = await asyncio.wait(sessions, timeout=1.0)
            for task in late:
                task.cancel()

    def _opened(self, admitted: Admitted, faults: tuple[Fault, ...]) -> WebSocket:
        clients, servers = socket_pair(self._latency, self._latency)
        log = SessionLog()
        self.logs.append(log)
        task = asyncio.create_task(self._serve(servers, admitted.model, faults, log))
        self._sessions[task] = servers
        task.add_done_callback(self._ended)
        return clients

    async def _serve(
        self, socket: LoopbackSocket, model: str, faults: tuple[Fault, ...], log: SessionLog
    ) -> None:
        try:
            await serve_session(
                socket,
                await self._run(self._brain_factory),
                settings=self._settings,
                clock=asyncio.get_running_loop().time,
                run=self._run,
                faults=faults,
                log=log,
                model=model,
                abort=socket.abort,
            )
        finally:
            await socket.close(1011)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sessions.pop(task, None)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            logger.error("an emulated session broke: {}", where(failure))


def _refused(status: int, retry_after_s: int | None = None) -> SocketRefusedError:
    words = f"the handshake was refused with status {int(status)}"
    return SocketRefusedError(words, int(status), None if retry_after_s is None else float(retry_after_s))
