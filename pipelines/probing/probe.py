"""One call that measures how a carrier behaves where its documentation does not say."""

from __future__ import annotations

import asyncio
import base64
import itertools
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from bandwidth.models.bxml import (  # pyright: ignore[reportMissingTypeStubs]  it ships none
    Hangup,
    Redirect,
    StartStream,
    StopStream,
)
from fastapi import FastAPI, Request, Response

from callpipe.transports.bandwidth.bxml import to_bxml
from callpipe.transports.bandwidth.errors import CallOverError, MalformedWebhookError
from callpipe.transports.bandwidth.voice_api import VoiceApi
from callpipe.transports.bandwidth.webhooks import Webhook, parse_webhook
from callpipe.transports.websocket import WebSocket
from callpipe.transports.websocket_server import UpgradeRequest

from ..errors import PipelinesError
from .findings import Findings
from .line import ProbedStream

ANSWER_DEADLINE_S = 60.0
"""How long it may ring."""

STREAM_DEADLINE_S = 15.0
REDIRECT_DEADLINE_S = 15.0
"""A Redirect that has not come by then does not come."""

END_DEADLINE_S = 10.0
SETTLE_S = 1.0

HEALTHY, RESET, REFUSED = "healthy", "reset", "refused"
STREAMS: tuple[str, ...] = (HEALTHY, RESET, REFUSED)
"""The streams of a probe, in their order: closed well, reset, and never let in."""


class ProbeError(PipelinesError):
    """The call did not come so far that it could be measured."""


@dataclass(frozen=True, slots=True)
class ProbedNumbers:
    """Who calls whom, through which application of the account.

    Attributes:
        from_: A number of the account, E.164.
        to: A number at which somebody, or something, picks up.
        application_id: The voice application.
    """

    from_: str = field(repr=False)
    to: str = field(repr=False)
    application_id: str


class Probe:
    """One measuring call.

    Args:
        public_url: Where the carrier reaches `app` and the media sockets, without a slash at the end.
        voice_api: Places the call, and brings BXML where the carrier does not come for it.
        clock: Monotonic seconds.

    Attributes:
        app: Answers the carrier's webhooks.
        findings: What is known so far.
    """

    def __init__(
        self, public_url: str, voice_api: VoiceApi, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.findings = Findings()
        self._url = f"{public_url}/probe"
        self._voice_api = voice_api
        self._clock = clock
        self._password = secrets.token_urlsafe(24)
        pair = base64.b64encode(f"probe:{self._password}".encode()).decode()
        self._authorization = f"Basic {pair}"
        self._sockets: dict[str, asyncio.Future[WebSocket]] = {}
        self._came: dict[str, asyncio.Event] = {name: asyncio.Event() for name in (*STREAMS, "answer", "over")}
        self._came_at: dict[str, float] = {}
        self._causes: dict[str, str] = {}
        self._attempts: list[float] = []
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        for name, answer in (
            ("answer", self._answered),
            ("continue/{name}", self._continues),
            ("stream/{name}", self._stream_event),
            ("disconnect", self._disconnected),
        ):
            self.app.add_api_route(f"/probe/{name}", answer, methods=["POST"])

    async def run(self, numbers: ProbedNumbers, tell: Callable[[str], None] = lambda _: None) -> Findings:
        """Place the call, measure, and hang up.

        Args:
            numbers: Who calls whom.
            tell: Told what is being done.

        Raises:
            ProbeError: Nobody picked up, or no media stream came.
            VoiceApiError: The call can't be placed.
        """
        loop = asyncio.get_running_loop()
        self._sockets = {name: loop.create_future() for name in (HEALTHY, RESET)}
        tell("placing the call")
        self.findings.call_id = await self._voice_api.create_call(
            from_=numbers.from_,
            to=numbers.to,
            application_id=numbers.application_id,
            answer_url=f"{self._url}/answer",
            disconnect_url=f"{self._url}/disconnect",
            username="probe",
            password=self._password,
        )
        try:
            await self._measure(tell)
        finally:
            await self._hang_up()
        return self.findings

    def accept(self, request: UpgradeRequest) -> Callable[[WebSocket], None] | HTTPStatus:
        """Let a media socket in or refuse it, as the measurement wants. See `websocket_server.Accept`."""
        name = request.path.partition("?")[0].removeprefix("/probe/media/")
        if self.findings.handshake_authorized is not False:
            self.findings.handshake_authorized = request.headers.get("authorization") == self._authorization
        if name == REFUSED:
            self._attempts.append(self._clock())
            return HTTPStatus.SERVICE_UNAVAILABLE
        socket = self._sockets.get(name)
        if socket is None or socket.done():
            return HTTPStatus.NOT_FOUND
        return socket.set_result

    # The measurements.

    async def _measure(self, tell: Callable[[str], None]) -> None:
        findings = self.findings
        if not await _within(ANSWER_DEADLINE_S, self._came["answer"]):
            raise ProbeError(f"the call was not answered within {ANSWER_DEADLINE_S:g} s")
        tell("measuring a media stream")
        stream = await self._stream(HEALTHY)
        await stream.measure(findings)
        tell("closing the media socket")
        findings.close_redirect_ms = await self._redirected(HEALTHY, await stream.close())
        tell("resetting a media socket")
        stream = await self._stream(RESET)
        await asyncio.sleep(SETTLE_S)
        findings.reset_redirect_ms = await self._redirected(RESET, stream.reset())
        tell("refusing a media socket")
        began_at = self._clock()
        findings.refused_redirect_ms = await self._redirected(REFUSED, None)
        findings.refused_at_s = [at - self._attempts[0] for at in self._attempts[1:]]
        if findings.refused_redirect_ms is None and not self._attempts:
            raise ProbeError(f"no third media socket came within {self._clock() - began_at:.0f} s")
        await asyncio.sleep(SETTLE_S)
        findings.reset_cause = self._causes.get(RESET)
        findings.refused_cause = self._causes.get(REFUSED)

    async def _stream(self, name: str) -> ProbedStream:
        try:
            async with asyncio.timeout(STREAM_DEADLINE_S):
                return ProbedStream(await self._sockets[name], self._clock)
        except TimeoutError:
            raise ProbeError(f"no media socket came within {STREAM_DEADLINE_S:g} s") from None

    async def _redirected(self, name: str, since: float | None) -> float | None:
        """Wait for a stream's Redirect, and bring its BXML where it does not come.

        Args:
            name: The stream.
            since: What is measured from; the first refused handshake when None.
        """
        came = await _within(REDIRECT_DEADLINE_S, self._came[name])
        if not came:
            await self._bring(self._after(name))
            return None
        began = since if since is not None else (self._attempts or [self._came_at[name]])[0]
        return max((self._came_at[name] - began) * 1000, 0.0)

    async def _bring(self, document: str) -> None:
        try:
            await self._voice_api.replace_bxml(self.findings.call_id, document)
        except CallOverError:
            raise ProbeError("the carrier ended the call when its media socket ended") from None

    async def _hang_up(self) -> None:
        if not self._came["over"].is_set():
            await self._voice_api.hang_up(self.findings.call_id)
        await _within(END_DEADLINE_S, self._came["over"])

    # What the carrier is told.

    def _document(self, name: str) -> str:
        media_url = "ws" + self._url.removeprefix("http")
        return to_bxml(
            [
                StartStream(
                    destination=f"{media_url}/media/{name}",
                    destination_username="probe",
                    destination_password=self._password,
                    name=name,
                    mode="bidirectional",
                    tracks="both",
                    stream_event_url=f"{self._url}/stream/{name}",
                    username="probe",
                    password=self._password,
                ),
                StopStream(name=name, wait=True),
                Redirect(
                    redirect_url=f"{self._url}/continue/{name}", username="probe", password=self._password
                ),
            ]
        )

    def _after(self, name: str) -> str:
        following = dict(itertools.pairwise(STREAMS)).get(name)
        return to_bxml([Hangup()]) if following is None else self._document(following)

    async def _answered(self, request: Request) -> Response:
        await self._told("answer", request)
        self._note("answer")
        return _bxml(self._document(HEALTHY))

    async def _continues(self, name: str, request: Request) -> Response:
        await self._told("redirect", request)
        if name not in STREAMS:
            return Response(status_code=404)
        self._note(name)
        return _bxml(self._after(name))

    async def _stream_event(self, name: str, request: Request) -> Response:
        told = await self._told("stream event", request)
        if told is not None and told.cause:
            self._causes[name] = f"{told.event_type}, {told.cause}"
        return Response(status_code=204)

    async def _disconnected(self, request: Request) -> Response:
        await self._told("disconnect", request)
        self._note("over")
        return Response(status_code=204)

    async def _told(self, kind: str, request: Request) -> Webhook | None:
        """Note whether a webhook has its credentials; nobody is refused, for that is measured."""
        there = request.headers.get("Authorization") == self._authorization
        known = self.findings.webhooks_authorized
        known[kind] = known.get(kind, True) and there
        try:
            return parse_webhook(await request.body())
        except MalformedWebhookError:
            return None

    def _note(self, name: str) -> None:
        self._came_at.setdefault(name, self._clock())
        self._came[name].set()


async def _within(deadline_s: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(deadline_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _bxml(document: str) -> Response:
    return Response(document, media_type="application/xml")
