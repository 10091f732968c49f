from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from callpipe.transports import websocket_server
from callpipe.transports.bandwidth.emulator.caller import Caller
from callpipe.transports.bandwidth.emulator.carrier import Carrier
from callpipe.transports.bandwidth.emulator.line import Line
from callpipe.transports.bandwidth.emulator.report import CallReport, CarrierEvent
from callpipe.transports.bandwidth.emulator.script import parse_script
from callpipe.transports.websocket import WebSocket
from callpipe.transports.websocket_server import UpgradeRequest

from .conftest import BotSocket

if TYPE_CHECKING:
    from .conftest import Kit


async def call_on_real_sockets(
    kit: Kit,
    bot: Callable[[BotSocket], Awaitable[None]],
    script: str,
    line: Line | None = None,
    on_event: Callable[[CarrierEvent], None] | None = None,
) -> tuple[CallReport, BotSocket, Mapping[str, str]]:
    served: list[tuple[BotSocket, Mapping[str, str], asyncio.Task[None]]] = []

    def accept(request: UpgradeRequest) -> Callable[[WebSocket], None] | HTTPStatus:
        def opened(socket: WebSocket) -> None:
            end = BotSocket(socket, time.monotonic)
            served.append((end, request.headers, asyncio.ensure_future(converse(end))))

        return opened if request.path == "/media" else HTTPStatus.NOT_FOUND

    async def converse(socket: BotSocket) -> None:
        await bot(socket)
        await socket.socket.close()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length"))
        await reader.readexactly(size)
        document = kit.bxml(kit.stream_and_wait).replace("wss://bot.example", f"ws://{address(media)}")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(document)}\r\n\r\n{document}".encode())
        writer.close()

    media = await websocket_server.serve(accept)
    webhooks = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with media, webhooks:
        carrier = Carrier(
            initiate_url=f"http://{address(webhooks)}/initiate",
            status_url=f"http://{address(webhooks)}/status",
            username="bandwidth",
            password="secret",
            line=line,
        )
        caller = Caller(parse_script(script), kit.voice())
        report = await carrier.place_call(caller, on_event=on_event)
        ((end, headers, talking),) = served
        await talking
    return report, end, headers


def address(server: asyncio.Server) -> str:
    host, port, *_ = server.sockets[0].getsockname()
    return f"{host}:{port}"


@pytest.mark.parametrize("line", [Line(), Line(one_way_ms=40, jitter_ms=20, drift_ppm=100, prebuffer_ms=20)])
async def test_a_call_in_real_time(kit: Kit, line: Line) -> None:
    chunk = kit.tone(200, 24_000)

    async def bot(socket: BotSocket) -> None:
        assert (await socket.next())["eventType"] == "start"
        for _ in range(10):
            socket.play(chunk, 24_000)
        await socket.until_speech()
        socket.clear()
        await socket.until_closed()

    script = "steps: [{cut_in: {after_ms: 400, say: stop}}, {silence: {ms: 200}}, hang_up]"
    report, end, headers = await call_on_real_sockets(kit, bot, script, line)
    assert headers["authorization"] == f"Basic {base64.b64encode(b'u:p').decode()}"
    assert report.protocol_errors == []
    webhooks = [event.detail.split()[:2] for event in report.named("webhook")]
    names = ["initiate:", "mediaStreamStarted:", "mediaStreamStopped:", "disconnect:"]
    assert sorted(webhooks) == sorted([name, "200"] for name in names)
    (cut,) = report.cuts
    assert cut.heard_ms + cut.dropped_ms == pytest.approx(2_000)
    # How much later depends on how busy this machine is; in virtual time it is exact.
    assert 400 + 2 * line.one_way_ms <= cut.heard_ms < 2_000
    packets = [int(message["sequenceNumber"]) for _, message in end.media()]
    assert packets == list(range(1, len(packets) + 1))
    connected_ms = (report.ended_at - report.streams_started_at[0]) * 1000
    assert len(packets) == pytest.approx(connected_ms / 20, abs=10)
    assert end.received[-1][1]["eventType"] == "stop"


async def test_a_stall_is_made_up_for(kit: Kit) -> None:
    async def bot(socket: BotSocket) -> None:
        await socket.until_closed()

    def stall(event: CarrierEvent) -> None:
        if event.name == "caller says":
            until = time.monotonic() + 0.15
            while time.monotonic() < until:
                pass

    script = "steps: [{silence: {ms: 200}}, {say: abcdef}, {silence: {ms: 100}}, hang_up]"
    report, end, _ = await call_on_real_sockets(kit, bot, script, on_event=stall)
    numbers = [message["sequenceNumber"] for _, message in end.media()]
    # Some packets are over before the stream is open.
    assert 20 <= len(numbers) <= 30
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert len(report.said) == 30 * 320
    assert 100 < report.worst_packet_ms < 10_000
    assert report.ended_at - (report.answered_at or 0) == pytest.approx(0.6, abs=0.1)
