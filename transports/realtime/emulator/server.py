"""The realtime emulator on a port: what any client of the Realtime API can connect to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Self
from weakref import WeakSet

from loguru import logger

from ...errors import where
from ...speech.interfaces import Brain
from ...websocket import WebSocket
from ...websocket_server import UpgradeRequest
from .admission import Admission, Admitted
from .faults import FaultPlan, every_session
from .handshake import FaultyHandshake
from .served_session import EmulatorSettings, Run, in_thread, serve_session
from .session_log import SessionLog

_GOING_AWAY = 1001
_INTERNAL_ERROR = 1011
_LOGS_KEPT = 256


class RealtimeEmulatorServer:
    """Serves realtime sessions at any path that ends in ``/realtime``; an async context manager.

    Args:
        brain_factory: Makes the brain of one session; it may block.
        host: Address to listen at.
        port: Port to listen at, 0 for a free one.
        api_key: What clients have to bring as a bearer token; None takes everybody.
        settings: Delays and pace of every session.
        faults: Gives the faults of the next session, counted by connections.
        run: Runs brains, ears and voices.
        max_sessions: Live sessions beyond which a client is refused with status 429.
        closing_deadline_s: How long closing may take.

    Attributes:
        logs: The logs of the last sessions, oldest first.
    """

    def __init__(
        self,
        brain_factory: Callable[[], Brain],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        settings: EmulatorSettings | None = None,
        faults: FaultPlan | None = None,
        run: Run = in_thread,
        max_sessions: int = 64,
        closing_deadline_s: float = 2.0,
    ) -> None:
        self.logs: deque[SessionLog] = deque(maxlen=_LOGS_KEPT)
        self._brain_factory = brain_factory
        self._host = host
        self._port = port
        self._admission = Admission(api_key, max_sessions)
        self._settings = settings
        self._faults = faults or every_session()
        self._run = run
        self._closing_deadline_s = closing_deadline_s
        self._server: asyncio.Server | None = None
        self._sessions: dict[asyncio.Task[None], WebSocket] = {}
        self._handshakes: WeakSet[FaultyHandshake] = WeakSet()

    @property
    def url(self) -> str:
        """The base URL for clients, such as ``http://127.0.0.1:8765/v1``."""
        return f"http://{self._host}:{self._port}/v1"

    @property
    def live_sessions(self) -> int:
        """Sessions that are being served."""
        return len(self._sessions)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connected, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every session and the port. Closing twice is harmless."""
        if self._server is None:
            return
        self._server.close()
        for handshake in self._handshakes:
            handshake.abort_unanswered()
        sessions = dict(self._sessions)
        closing = [
            asyncio.ensure_future(socket.close(_GOING_AWAY, "going away", deadline_s=self._closing_deadline_s))
            for socket in sessions.values()
        ]
        if closing:
            _, late = await asyncio.wait([*closing, *sessions], timeout=self._closing_deadline_s + 1)
            for task in late:
                task.cancel()
        self._server = None

    def _connected(self) -> FaultyHandshake:
        handshake = FaultyHandshake(self._faults(), self._accept)
        self._handshakes.add(handshake)
        return handshake

    def _accept(
        self, handshake: FaultyHandshake, request: UpgradeRequest
    ) -> Callable[[WebSocket], None] | HTTPStatus:
        admitted = self._admission.judge(request.path, request.headers, self.live_sessions)
        return admitted if isinstance(admitted, HTTPStatus) else partial(self._opened, admitted, handshake)

    def _opened(self, admitted: Admitted, handshake: FaultyHandshake, socket: WebSocket) -> None:
        log = SessionLog()
        self.logs.append(log)
        task = asyncio.create_task(self._serve(admitted, handshake, socket, log))
        self._sessions[task] = socket
        task.add_done_callback(self._ended)

    async def _serve(
        self, admitted: Admitted, handshake: FaultyHandshake, socket: WebSocket, log: SessionLog
    ) -> None:
        try:
            await serve_session(
                socket,
                await self._run(self._brain_factory),
                settings=self._settings,
                run=self._run,
                faults=(*admitted.faults, *handshake.faults),
                log=log,
                model=admitted.model,
                abort=handshake.abort,
            )
        finally:
            await socket.close(_INTERNAL_ERROR, deadline_s=self._closing_deadline_s)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sessions.pop(task, None)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            logger.error("an emulated session broke: {}", where(failure))
