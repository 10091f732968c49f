"""The HTTP face of an exchange: the carrier's webhooks, media sockets and `watching`, on one port."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import ExitStack
from types import FrameType
from typing import Annotated

import uvicorn
from fastapi import FastAPI, HTTPException, Path, Request, Response
from fastapi.security import HTTPBasicCredentials

from callpipe.transports.bandwidth.errors import MalformedWebhookError
from callpipe.transports.bandwidth.webhooks import Webhook, parse_webhook

from .answers import Chain
from .credentials import Credentials, check_application, unauthorized
from .errors import SettingsError
from .exchange import Exchange
from .parties import Parties
from .settings import Settings
from .watching.routes import watch

MAX_WEBHOOK_BYTES = 256 * 1024
"""A larger webhook is refused; Bandwidth's have a few kilobytes."""

START_DEADLINE_S = 10.0

StepNumber = Annotated[int, Path(ge=0)]


class CarrierWebhooks:
    """The endpoints that the carrier calls.

    A new call and an ended one come with the credentials of the carrier's application; everything in between
    comes with those of the call's generation, which were in its BXML.

    Args:
        exchange: What decides the answers.
        settings: The operator's settings; the application's credentials are among them.
    """

    def __init__(self, exchange: Exchange, settings: Settings) -> None:
        self._exchange = exchange
        self._settings = settings
        self._serving = settings.serving()

    async def initiate(self, bot: str, request: Request, credentials: Credentials) -> Response:
        """A call comes in."""
        check_application(self._serving, credentials)
        told = await self._told(bot, request)
        parties = Parties(told.from_ or "", told.to or "", told.direction or "inbound")
        return _bxml(await self._exchange.initiated(bot, told.call_id, parties))

    async def continues(self, bot: str, request: Request, credentials: Credentials) -> Response:
        """A media stream has ended: what now?"""
        told = await self._told(bot, request)
        return _bxml(await self._exchange.continues(told.call_id, self._generation(told, credentials)))

    async def stream(self, bot: str, request: Request, credentials: Credentials) -> Response:
        """Something has happened to a media stream."""
        told = await self._told(bot, request)
        self._generation(told, credentials)
        self._exchange.stream_event(told.call_id, told.event_type, told.cause)
        return Response(status_code=204)

    async def step_done(
        self, bot: str, chain: Chain, step: StepNumber, request: Request, credentials: Credentials
    ) -> Response:
        """A transfer or a voicemail of a fallback chain is over: what now?"""
        check_application(self._serving, credentials)
        told = await self._told(bot, request)
        return _bxml(self._exchange.step_done(bot, chain, step, told))

    async def disconnect(self, bot: str, request: Request, credentials: Credentials) -> Response:
        """A call is over."""
        check_application(self._serving, credentials)
        told = await self._told(bot, request)
        await self._exchange.disconnected(told.call_id, told.cause or "unknown")
        return Response(status_code=204)

    def _generation(self, told: Webhook, credentials: HTTPBasicCredentials) -> int:
        """Return the generation a webhook is about: the one whose credentials it has."""
        generation = self._exchange.knows_webhook(told.call_id, credentials.username, credentials.password)
        if generation is None:
            raise unauthorized()
        return generation.number

    async def _told(self, bot: str, request: Request) -> Webhook:
        """Return the request's webhook, when it is about a call of ours."""
        if self._exchange.runs.bot(bot) is None:
            raise HTTPException(404, f"no bot is called {bot!r} here")
        try:
            told = parse_webhook(await _body(request))
        except MalformedWebhookError as malformed:
            raise HTTPException(400, str(malformed)) from malformed
        if not told.call_id:
            raise HTTPException(400, "the webhook names no call")
        account, application = self._settings.bandwidth_account_id, self._settings.bandwidth_application_id
        if account not in (None, told.account_id) or application not in (None, told.application_id):
            raise HTTPException(403, "the webhook is of another account or application")
        return told


def create_app(exchange: Exchange, settings: Settings) -> FastAPI:
    """Return the web application that answers the carrier; see `CarrierWebhooks`."""
    app = FastAPI(title="callpipe", docs_url=None, redoc_url=None, openapi_url=None)
    webhooks = CarrierWebhooks(exchange, settings)
    app.add_api_route("/bandwidth/{bot}/initiate", webhooks.initiate, methods=["POST"])
    app.add_api_route("/bandwidth/{bot}/continue", webhooks.continues, methods=["POST"])
    app.add_api_route("/bandwidth/{bot}/stream", webhooks.stream, methods=["POST"])
    app.add_api_route("/bandwidth/{bot}/disconnect", webhooks.disconnect, methods=["POST"])
    app.add_api_route("/bandwidth/{bot}/{chain}/{step}", webhooks.step_done, methods=["POST"])
    watch(app, exchange, settings)
    return app


class Server:
    """An exchange on a port.

    Args:
        exchange: What decides the answers.
        settings: The operator's settings.
        listener: The listening socket; `Server.listen` makes one.

    Attributes:
        stopping: Set when a signal (SIGINT, SIGTERM) has said to stop.
    """

    def __init__(self, exchange: Exchange, settings: Settings, listener: socket.socket) -> None:
        self._exchange = exchange
        self._listener = listener
        self.stopping = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._measuring = ExitStack()
        self._server = _Uvicorn(
            uvicorn.Config(
                create_app(exchange, settings),
                access_log=False,
                lifespan="off",
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=2,
                ws=exchange.socket_protocol(),  # pyright: ignore[reportArgumentType]  a factory does
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
        self._measuring.enter_context(self._exchange.admission.loop_lag.watched())
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
        await self._exchange.close()
        self._measuring.close()
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


def settle_memory() -> None:
    """Keep what has been loaded out of garbage collections, and make them rarer.

    It lives as long as the process, and looking through it stops every call for a tenth of a second and more
    at a hundred calls. To be called once, when the bots are loaded.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
