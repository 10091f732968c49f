"""The realtime emulator on a port: what any client of the Realtime API can connect to."""

from __future__ import annotations

import asyncio
import hmac
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from loguru import logger

from ...speech.interfaces import Brain
from ...websocket import UpgradeRequest, WebSocket, serve
from .errors import where
from .faults import Fault
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
        faults: Gives the faults of the next session.
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
        faults: Callable[[], Sequence[Fault]] = tuple,
        run: Run = in_thread,
        max_sessions: int = 64,
        closing_deadline_s: float = 2.0,
    ) -> None:
        self.logs: deque[SessionLog] = deque(maxlen=_LOGS_KEPT)
        self._brain_factory = brain_factory
        self._host = host
        self._port = port
        self._api_key = api_key
        self._settings = settings
        self._faults = faults
        self._run = run
        self._max_sessions = max_sessions
        self._closing_deadline_s = closing_deadline_s
        self._server: asyncio.Server | None = None
        self._sessions: dict[asyncio.Task[None], WebSocket] = {}

    @property
    def url(self) -> str:
        """The base URL for clients, such as ``http://127.0.0.1:8765/v1``."""
        return f"http://{self._host}:{self._port}/v1"

    @property
    def live_sessions(self) -> int:
        """Sessions that are being served."""
        return len(self._sessions)

    async def __aenter__(self) -> Self:
        self._server = await serve(self._accept, host=self._host, port=self._port)
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

    def _accept(self, request: UpgradeRequest) -> Callable[[WebSocket], None] | HTTPStatus:
        target = urlsplit(request.path)
        if not target.path.endswith("/realtime"):
            return HTTPStatus.NOT_FOUND
        if self._api_key is not None and not _is_bearer(
            request.headers.get("authorization", ""), self._api_key
        ):
            return HTTPStatus.UNAUTHORIZED
        model = parse_qs(target.query).get("model", [""])[0]
        if not model:
            return HTTPStatus.BAD_REQUEST
        if len(self._sessions) >= self._max_sessions:
            return HTTPStatus.TOO_MANY_REQUESTS
        return partial(self._opened, model)

    def _opened(self, model: str, socket: WebSocket) -> None:
        log = SessionLog()
        self.logs.append(log)
        task = asyncio.create_task(self._serve(model, socket, log))
        self._sessions[task] = socket
        task.add_done_callback(self._ended)

    async def _serve(self, model: str, socket: WebSocket, log: SessionLog) -> None:
        try:
            await serve_session(
                socket,
                await self._run(self._brain_factory),
                settings=self._settings,
                run=self._run,
                faults=self._faults(),
                log=log,
                model=model,
            )
        finally:
            await socket.close(_INTERNAL_ERROR, deadline_s=self._closing_deadline_s)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sessions.pop(task, None)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            logger.error("an emulated session broke: {}", where(failure))


def _is_bearer(authorization: str, api_key: str) -> bool:
    scheme, _, token = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), api_key.encode())
