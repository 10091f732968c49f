"""The probe, against an emulated carrier with habits of its own: each is measured as it is."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx
import pytest

from callpipe.pipelines.probing.findings import Findings, frames
from callpipe.pipelines.probing.probe import Probe, ProbedNumbers, ProbeError
from callpipe.transports.bandwidth.emulator import (
    Caller,
    CallerScript,
    Carrier,
    CarrierDelays,
    EmulatedVoiceApi,
    Line,
)
from callpipe.transports.bandwidth.emulator.outbound import OutboundCalls
from callpipe.transports.bandwidth.emulator.script import HangUp, Silence
from callpipe.transports.bandwidth.voice_api import VoiceApi
from callpipe.transports.errors import SocketRefusedError
from callpipe.transports.loopback import socket_pair
from callpipe.transports.realtime.emulator.served_session import inline
from callpipe.transports.speech.tones import ToneVoice
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket import WebSocket
from callpipe.transports.websocket_server import UpgradeRequest

NUMBERS = ProbedNumbers("+15555550100", "+15555550199", "app")


@dataclass(frozen=True)
class Habits:
    """What a carrier does in its own way.

    Attributes:
        line: Delay and prebuffer.
        close_ms: What it takes to notice that a media socket is closed.
        packets: How many 20 ms packets it sends as one message.
        clear_ms: What it takes to obey `clear`.
        attempts: How often it tries a handshake, every second.
        outbound: Whether it sends the outbound track.
        credentials: Whether it sends credentials with webhooks.
        redirects: How many of the call's Redirects come; those after it never do.
        media_sockets: Whether it opens them.
    """

    line: Line = field(default_factory=Line)
    close_ms: float = 0.0
    packets: int = 1
    clear_ms: float = 0.0
    attempts: int = 1
    outbound: bool = True
    credentials: bool = True
    redirects: int = 9
    media_sockets: bool = True


class HabitualSocket:
    """A media socket at the carrier's end, with the carrier's habits."""

    def __init__(self, socket: WebSocket, habits: Habits) -> None:
        self._socket = socket
        self._habits = habits
        self._payloads: dict[str, list[bytes]] = {"inbound": [], "outbound": []}

    def send(self, message: bytes | str) -> None:
        told = json.loads(message)
        if told["eventType"] != "media":
            self._socket.send(message)
            return
        payloads = self._payloads[told["track"]]
        payloads.append(base64.b64decode(told["payload"]))
        if told["track"] == "outbound" and not self._habits.outbound:
            payloads.clear()
        if len(payloads) == self._habits.packets:
            told["payload"] = base64.b64encode(b"".join(payloads)).decode()
            payloads.clear()
            self._socket.send(json.dumps(told))

    async def receive(self) -> str | bytes:
        message = await self._socket.receive()
        if json.loads(message)["eventType"] == "clear":
            await asyncio.sleep(self._habits.clear_ms / 1000)
        return message

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        await self._socket.close(code, reason, deadline_s=deadline_s)


class Webhooks(httpx.ASGITransport):
    """Brings webhooks to the probe, with the carrier's habits."""

    def __init__(self, probe: Probe, habits: Habits) -> None:
        super().__init__(probe.app)
        self._habits = habits
        self._redirects = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._habits.credentials:
            request.headers.pop("Authorization", None)
        if "/continue/" in request.url.path:
            self._redirects += 1
            if self._redirects > self._habits.redirects:
                await asyncio.sleep(3_600)
        return await super().handle_async_request(request)


async def held(habits: Habits) -> Findings:
    clock = asyncio.get_running_loop().time
    emulated = EmulatedVoiceApi(account_id="1", client_id="id", client_secret="secret", clock=clock)
    api = VoiceApi(
        account_id="1",
        client_id="id",
        client_secret="secret",
        voice_url="https://voice.example/api/v2",
        token_url="https://voice.example/api/v1/oauth2/token",
        http=httpx.AsyncClient(transport=httpx.ASGITransport(emulated.app)),
        clock=clock,
    )
    probe = Probe("https://probe.example", api, clock=clock)

    async def connect(url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        del deadline_s
        request = UpgradeRequest(urlsplit(url).path, {name.lower(): value for name, value in headers.items()})
        taken: HTTPStatus | Callable[[WebSocket], None] = HTTPStatus.OK
        if not habits.media_sockets:
            raise SocketRefusedError("its network does not let it")
        for attempt in range(habits.attempts):
            await asyncio.sleep(1.0 if attempt else 0.0)
            taken = probe.accept(request)
            if not isinstance(taken, HTTPStatus):
                ours, theirs = socket_pair()
                taken(ours)
                return HabitualSocket(theirs, habits)
        raise SocketRefusedError("refused", int(taken))

    def carrier(wish: dict[str, str]) -> Carrier:
        return Carrier(
            initiate_url=wish["answerUrl"],
            status_url=wish["disconnectUrl"],
            username=wish["username"],
            password=wish["password"],
            line=habits.line,
            delays=CarrierDelays(notice_close_ms=habits.close_ms),
            http=httpx.AsyncClient(transport=Webhooks(probe, habits)),
            connect=connect,
            run_blocking=inline,
            clock=clock,
            voice_api=emulated,
        )

    silent = Caller(CallerScript(steps=(Silence(ms=300_000), HangUp())), ToneVoice())
    outbound = OutboundCalls(emulated, carrier, silent)
    try:
        findings = await probe.run(NUMBERS)
    finally:
        await asyncio.gather(*outbound.calls)
    (report,) = [call.result() for call in outbound.calls]
    assert findings.call_id == report.call_id
    assert report.protocol_errors == []
    assert outbound.asked[0]["applicationId"] == "app"
    return findings


def measured(habits: Habits) -> Findings:
    return run_virtual(held(habits))


def test_a_plain_carrier() -> None:
    found = measured(Habits())
    assert found.frames is not None
    assert (found.frames.period_ms, found.frames.audio_ms) == (pytest.approx(20), 20)
    assert found.frames.jitter_ms < 1
    assert found.prebuffer_ms == pytest.approx(0, abs=1)
    assert found.long_start_ms == pytest.approx(20, abs=20)
    assert found.clear_ms == pytest.approx(0, abs=20)
    assert found.held_ms == pytest.approx(5_000, abs=25)
    assert found.close_redirect_ms == pytest.approx(0, abs=5)
    assert found.reset_redirect_ms == pytest.approx(0, abs=5)
    assert found.reset_cause == "mediaStreamStopped, connection-error"
    assert found.refused_cause == "mediaStreamRejected, connection-error"
    assert found.refused_at_s == []
    assert found.handshake_authorized is True
    assert found.webhooks_authorized == dict.fromkeys(
        ("answer", "redirect", "stream event", "disconnect"), True
    )
    assert found.configuration() == ["CALLPIPE_PREBUFFER_MS=0"]


def test_a_carrier_that_is_far_and_gathers_audio_and_takes_its_time() -> None:
    line = Line(one_way_ms=40, prebuffer_ms=120)
    found = measured(Habits(line=line, close_ms=700, packets=2, clear_ms=200, attempts=3))
    assert found.frames is not None
    assert (found.frames.period_ms, found.frames.audio_ms) == (pytest.approx(40), 40)
    assert found.prebuffer_ms == pytest.approx(120, abs=40)
    assert found.long_start_ms == pytest.approx(80 + 40, abs=40)
    assert found.clear_ms == pytest.approx(80 + 200, abs=40)
    assert found.close_redirect_ms == pytest.approx(700 + 80, abs=10)
    assert found.reset_redirect_ms is not None
    assert found.refused_at_s == [pytest.approx(1), pytest.approx(2)]
    assert found.refused_redirect_ms == pytest.approx(2_000, abs=5)
    (setting,) = found.configuration()
    assert 80 <= int(setting.removeprefix("CALLPIPE_PREBUFFER_MS=")) <= 160


def test_a_carrier_without_outbound_track_or_credentials() -> None:
    found = measured(Habits(outbound=False, credentials=False))
    assert (found.outbound_frames, found.prebuffer_ms, found.clear_ms) == (None, None, None)
    assert found.configuration() == []
    assert set(found.webhooks_authorized.values()) == {False}
    rows = {fact: (seen, follows) for fact, seen, follows in found.rows()}
    assert rows["outbound track"][0] == "did not come"
    assert rows["clear"][0] == "not seen"
    assert "refuses what comes without: answer, stream event, redirect" in rows["credentials"][1]


@pytest.mark.parametrize("redirects", [0, 1, 2])
def test_a_carrier_that_does_not_come_back_is_brought_its_bxml(redirects: int) -> None:
    found = measured(Habits(redirects=redirects))
    came = [found.close_redirect_ms, found.reset_redirect_ms, found.refused_redirect_ms]
    assert [after_ms is not None for after_ms in came] == [number < redirects for number in range(3)]
    rows = {fact: (seen, follows) for fact, seen, follows in found.rows()}
    assert "keep BANDWIDTH_CLIENT_ID" in rows["handshake refused"][1]


def test_a_call_without_a_media_socket_shows_nothing_and_says_so() -> None:
    with pytest.raises(ProbeError, match="no media socket came within"):
        measured(Habits(media_sockets=False))


async def probe_of_no_call() -> Probe:
    api = VoiceApi(
        account_id="1", client_id="id", client_secret="secret", voice_url="https://v", token_url="https://t",
        http=httpx.AsyncClient(transport=httpx.MockTransport(lambda _request: httpx.Response(500))),
    )  # fmt: skip
    return Probe("https://probe.example", api)


async def test_media_sockets_that_nobody_asked_for_are_refused() -> None:
    probe = await probe_of_no_call()
    stranger = UpgradeRequest("/probe/media/mine", {})
    assert probe.accept(stranger) is HTTPStatus.NOT_FOUND
    assert probe.findings.handshake_authorized is False


async def test_webhooks_that_nobody_can_read_are_answered_and_noted() -> None:
    probe = await probe_of_no_call()
    transport = httpx.ASGITransport(probe.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://probe.example/probe") as carrier:
        told = await carrier.post("/stream/healthy", content=b"{")
        unknown = await carrier.post("/continue/mine", content=b"{}")
    assert (told.status_code, unknown.status_code) == (204, 404)
    assert probe.findings.webhooks_authorized == {"stream event": False, "redirect": False}


def test_too_few_packets_show_nothing() -> None:
    assert frames([(number * 0.02, 160) for number in range(9)]) is None


def test_findings_of_nothing_can_be_told() -> None:
    rows = Findings().rows()
    assert all(isinstance(part, str) for row in rows for part in row)
    assert {fact: seen for fact, seen, _ in rows}["Redirect after close"] == "not seen"
