"""The HTTP face of a switchboard: the carrier's webhooks, `/health`, and media sockets on the same port."""

from __future__ import annotations

import asyncio
import secrets
import socket
from types import FrameType
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from callpipe.transports.bandwidth.errors import MalformedWebhookError
from callpipe.transports.bandwidth.webhooks import Webhook, parse_webhook
from callpipe.transports.websocket import media_socket_protocol

from .call import Parties
from .errors import SettingsError
from .settings import Settings
from .switchboard import Switchboard

MAX_WEBHOOK_BYTES = 256 * 1024
"""A larger webhook is refused; Bandwidth's have a few kilobytes."""

START_DEADLINE_S = 10.0

_basic = HTTPBasic(realm="callpipe")
Credentials = Annotated[HTTPBasicCredentials, Depends(_basic)]


def create_app(switchboard: Switchboard, settings: Settings) -> FastAPI:
    """Return the web application that answers the carrier.

    Args:
        switchboard: What decides the answers.
        settings: The operator's settings; the webhooks' credentials are among them.
    """
    app = FastAPI(title="callpipe", docs_url=None, redoc_url=None, openapi_url=None)
    serving = settings.serving()

    def operators(credentials: Credentials) -> None:
        """Let in whoever has the credentials of the carrier's application."""
        user = secrets.compare_digest(credentials.username.encode(), serving.webhook_username.encode())
        word = secrets.compare_digest(credentials.password.encode(), serving.webhook_password.encode())
        if not (user and word):
            raise _unauthorized()

    async def webhook(bot: str, request: Request) -> Webhook:
        """Return the request's webhook, when it is one of ours."""
        if not switchboard.has_bot(bot):
            raise HTTPException(404, f"no bot is called {bot!r} here")
        try:
            told = parse_webhook(await _body(request))
        except MalformedWebhookError as malformed:
            raise HTTPException(400, str(malformed)) from malformed
        if not told.call_id:
            raise HTTPException(400, "the webhook names no call")
        account = settings.bandwidth_account_id
        application = settings.bandwidth_application_id
        if account not in (None, told.account_id) or application not in (None, told.application_id):
            raise HTTPException(403, "the webhook is of another account or application")
        return told

    Told = Annotated[Webhook, Depends(webhook)]  # noqa: N806  a type, made of the function above

    def generation_of(told: Webhook, credentials: HTTPBasicCredentials) -> int:
        """Return the generation that a webhook is about, which is the one whose credentials it has."""
        generation = switchboard.knows_webhook(told.call_id, credentials.username, credentials.password)
        if generation is None:
            raise _unauthorized()
        return generation.number

    @app.post("/bandwidth/{bot}/initiate", dependencies=[Depends(operators)])
    async def initiate(bot: str, told: Told) -> Response:  # pyright: ignore[reportUnusedFunction]
        parties = Parties(told.from_ or "", told.to or "", told.direction or "inbound")
        return _bxml(switchboard.initiated(bot, told.call_id, parties))

    @app.post("/bandwidth/{bot}/continue")
    async def continues(told: Told, credentials: Credentials) -> Response:  # pyright: ignore[reportUnusedFunction]
        return _bxml(switchboard.continues(told.call_id, generation_of(told, credentials)))

    @app.post("/bandwidth/{bot}/stream", status_code=204)
    async def stream(told: Told, credentials: Credentials) -> None:  # pyright: ignore[reportUnusedFunction]
        generation_of(told, credentials)
        switchboard.stream_event(told.call_id, told.event_type, told.cause)

    @app.post("/bandwidth/{bot}/disconnect", status_code=204, dependencies=[Depends(operators)])
    async def disconnect(told: Told) -> None:  # pyright: ignore[reportUnusedFunction]
        await switchboard.disconnected(told.call_id, told.cause or "unknown")

    @app.get("/health")
    async def health() -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse({"status": "ok", "live_calls": switchboard.live_calls})

    return app


class Server:
    """A switchboard on a port.

    Args:
        switchboard: What decides the answers.
        settings: The operator's settings.
        listener: The listening socket; `Server.listen` makes one.

    Attributes:
        stopping: Set when a signal (SIGINT, SIGTERM) has said to stop.
    """

    def __init__(self, switchboard: Switchboard, settings: Settings, listener: socket.socket) -> None:
        self._switchboard = switchboard
        self._listener = listener
        self.stopping = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._server = _Uvicorn(
            uvicorn.Config(
                create_app(switchboard, settings),
                access_log=False,
                lifespan="off",
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=2,
                ws=media_socket_protocol(switchboard.accept),  # pyright: ignore[reportArgumentType]  a factory does
            ),
            self.stopping,
        )

    @staticmethod
    def listen(host: str, port: int) -> socket.socket:
        """Return a listening socket; port 0 takes a free one.

        Raises:
            SettingsError: The address can't be listened on.
        """
        try:
            return socket.create_server((host, port), backlog=512)
        except OSError as failure:
            explanation = f"can't listen on {host}:{port}: {failure.strerror}; choose another --port or --host"
            raise SettingsError(explanation) from None

    async def start(self) -> None:
        """Begin to answer."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        async with asyncio.timeout(START_DEADLINE_S):
            while not self._server.started and not self._serving.done():  # noqa: ASYNC110  uvicorn has no event
                await asyncio.sleep(0.01)

    async def run(self) -> None:
        """Answer until a signal (SIGINT, SIGTERM) says to stop, then end the calls and stop."""
        await self.start()
        await self.stopping.wait()
        await self.stop()

    async def stop(self) -> None:
        """End the calls, whose last webhooks are still answered, and stop."""
        await self._switchboard.close()
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


class _Uvicorn(uvicorn.Server):
    """uvicorn, which on a signal stops when our calls have ended rather than at once."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Pass a signal on; a second one stops at once."""
        if self._stopping.is_set():
            super().handle_exit(sig, frame)
        self._loop.call_soon_threadsafe(self._stopping.set)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_WEBHOOK_BYTES:
            raise HTTPException(413, "the webhook is too large")
    return bytes(body)


def _bxml(document: str) -> Response:
    return Response(document, media_type="application/xml")


def _unauthorized() -> HTTPException:
    return HTTPException(401, "wrong credentials", {"WWW-Authenticate": 'Basic realm="callpipe"'})
