"""The endpoints by which a server is watched: `/health`, `/ready`, `/status` and `/metrics`."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import asdict
from importlib.metadata import version

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..admission import Refusal
from ..credentials import Credentials, check_application
from ..exchange import Exchange
from ..memory import rss_bytes
from ..runs import Role, RunnerState
from ..settings import Settings
from .metrics import Metrics
from .service_status import BotState, ServerState, ServiceStatus

RELEASE = version("callpipe")

WEBHOOK_PATH = "/bandwidth/"


class Watching:
    """The endpoints.

    `/health` and `/ready` are for load balancers and tell little; `/status` and `/metrics` need the credentials
    of the carrier's application.

    Args:
        exchange: What is watched.
        settings: The operator's settings.
    """

    def __init__(self, exchange: Exchange, settings: Settings) -> None:
        self._exchange = exchange
        self._serving = settings.serving()
        self._began_at = time.monotonic()

    async def health(self) -> JSONResponse:
        """The server is there."""
        load = self._exchange.load
        calls = {"runners": load.runners, "live_calls": load.live, "prepared_calls": load.prepared}
        lag_ms = {"p99": round(load.lag_p99_ms, 1), "max": round(load.lag_max_ms, 1)}
        return JSONResponse({"status": "ok", **calls, "loop_lag_ms": lag_ms})

    async def ready(self) -> JSONResponse:
        """New calls are welcome; 503 while they are not.

        That is while the server stops, while a bot has no runner, and while no bot has room for a call.
        """
        why = (await service_status(self._exchange, self._began_at)).unready
        if why is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "why": why}, 503)

    async def status(self, credentials: Credentials) -> JSONResponse:
        """The server, its bots and their runners, as `ServiceStatus` tells them."""
        check_application(self._serving, credentials)
        return JSONResponse(asdict(await service_status(self._exchange, self._began_at)))

    async def metrics(self, credentials: Credentials) -> Response:
        """The same and what was counted, in Prometheus's text format."""
        check_application(self._serving, credentials)
        status = await service_status(self._exchange, self._began_at)
        text = await asyncio.to_thread(self._exchange.metrics.text, status)
        return Response(text, media_type=CONTENT_TYPE_LATEST)


def watch(app: FastAPI, exchange: Exchange, settings: Settings) -> None:
    """Give a server's application its endpoints for those who watch it, and time its webhooks."""
    watching = Watching(exchange, settings)
    app.add_api_route("/health", watching.health, methods=["GET"])
    app.add_api_route("/ready", watching.ready, methods=["GET"])
    app.add_api_route("/status", watching.status, methods=["GET"])
    app.add_api_route("/metrics", watching.metrics, methods=["GET"])
    app.add_middleware(TimedWebhooks, metrics=exchange.metrics)


async def service_status(exchange: Exchange, began_at: float) -> ServiceStatus:
    """Return how a server is.

    Args:
        exchange: What the server answers with.
        began_at: When it began to, monotonic seconds.
    """
    runners = tuple(await exchange.runs.runners())
    lags = exchange.admission.loop_lag.lags
    server = ServerState(
        pid=os.getpid(),
        release=RELEASE,
        up_s=round(time.monotonic() - began_at, 1),
        draining=exchange.admission.draining,
        calls=exchange.calls,
        lag_p99_ms=lags.p99_ms,
        lag_max_ms=lags.max_ms,
        rss_bytes=await asyncio.to_thread(rss_bytes),
    )
    return ServiceStatus(
        server, tuple(_bot_state(exchange, name, runners) for name in exchange.runs.bots), runners
    )


def _bot_state(exchange: Exchange, name: str, runners: tuple[RunnerState, ...]) -> BotState:
    profile = exchange.runs.bot(name)
    own = [runner for runner in runners if runner.bot == name]
    return BotState(
        name=name,
        versions=tuple(dict.fromkeys(runner.version for runner in own)),
        calls=sum(ongoing.bot == name for ongoing in exchange.ongoing),
        max_calls=None if profile is None else profile.max_calls,
        ready=any(runner.role is Role.TAKES_CALLS for runner in own),
        room=profile is not None and exchange.admission.refusal(profile) in (None, Refusal.BUDGET),
    )


class TimedWebhooks:
    """Middleware that measures how long the carrier waits for its answers.

    Args:
        app: What answers.
        metrics: What keeps the measures.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        status = 500

        async def sent(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        began_at = time.perf_counter()
        try:
            await self._app(scope, receive, sent)
        finally:
            path = getattr(scope.get("route"), "path", "")
            if path.startswith(WEBHOOK_PATH):
                webhook = path.rpartition("/")[2].strip("{}")
                self._metrics.webhook_answered(webhook, status, time.perf_counter() - began_at)
