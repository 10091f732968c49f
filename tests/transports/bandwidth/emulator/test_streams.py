from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest

from callpipe.transports.audio.g711 import encode_mulaw
from callpipe.transports.bandwidth.emulator import CarrierDelays
from callpipe.transports.loopback import LoopbackSocket

from .conftest import silent_bot

if TYPE_CHECKING:
    from .conftest import BotSocket, Kit

HANG_UP_AFTER_A_SECOND = "steps: [{silence: {ms: 1000}}, hang_up]"
STAY = "steps: [{silence: {ms: 60000}}]"


def test_stop_stream_ends_it_at_once_and_frees_its_name(kit: Kit) -> None:
    document = kit.bxml(kit.stream, "<Pause/>", '<StopStream name="one"/>', kit.stream, "<Pause/>")
    server = kit.server({"/initiate": document}, silent_bot)
    kit.place(server, STAY)
    first, second = server.sockets
    assert len(first.media()) in (49, 50)
    assert second.received[0][0] == pytest.approx(1)
    assert "mediaStreamRejected" not in server.events()


def test_the_carrier_goes_on_at_once_after_a_stream_that_it_ended_itself(kit: Kit) -> None:
    document = kit.bxml(kit.stream, "<Pause/>", '<StopStream name="one"/>', kit.stream_and_wait)
    server = kit.server({"/initiate": document}, silent_bot)
    report = kit.place(server, STAY, delays=CarrierDelays(notice_close_ms=200))
    first, second = report.streams_started_at[:2]
    assert second - first == pytest.approx(1)


def test_a_stream_stopped_before_it_ran_is_none(kit: Kit) -> None:
    document = kit.bxml(kit.stream, '<StopStream name="one"/>', '<StopStream name="two"/>', kit.stream_and_wait)
    server = kit.server({"/initiate": document}, silent_bot)
    report = kit.place(server, HANG_UP_AFTER_A_SECOND)
    assert report.ending.ended_by == "caller"
    assert len(server.sockets) == 1


def test_a_refused_stream_is_rejected_and_the_next_verb_runs(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait, "<Pause/>")}, bot=None)
    report = kit.place(server, STAY)
    rejected = server.webhook("mediaStreamRejected").payload
    assert rejected["cause"] == "connection-error"
    assert rejected["mediaStream"]["name"] == "one"
    assert report.ended_at - report.started_at == pytest.approx(1)
    assert report.named("stream rejected")[0].detail.endswith("status 401")


def test_a_second_stream_of_one_name_is_a_duplicate(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(kit.stream, kit.stream_and_wait)}, silent_bot)
    kit.place(server, HANG_UP_AFTER_A_SECOND)
    rejected = server.webhook("mediaStreamRejected").payload
    assert rejected["cause"] == "duplicate"
    assert rejected["originalMediaStream"]["id"] != rejected["mediaStream"]["id"]
    assert len(server.sockets) == 1


def test_a_call_streams_four_tracks_and_both_sides_when_asked(kit: Kit) -> None:
    async def bot(socket: BotSocket) -> None:
        start = await socket.next()
        if start["metadata"]["streamName"] == "one":
            await asyncio.sleep(0.1)
            socket.play(kit.tone(200))
        await socket.until_closed()

    both = (
        '<StartStream name="{}" tracks="both" destination="wss://bot.example/listen" streamEventUrl="/stream"/>'
    )
    single = '<StartStream name="s" destination="wss://bot.example/listen"/>'
    document = kit.bxml(single, both.format("b"), both.format("c"), kit.stream_and_wait)
    server = kit.server({"/initiate": document}, bot)
    kit.place(server, HANG_UP_AFTER_A_SECOND)
    assert server.webhook("mediaStreamRejected").payload["cause"] == "track-limit"
    _, listening, _ = server.sockets
    outbound = b"".join(
        base64.b64decode(message["payload"])
        for _, message in listening.media()
        if message["track"] == "outbound"
    )
    assert outbound[800:2_400] == encode_mulaw(kit.tone(200))
    tracks = [message["track"] for _, message in listening.media()]
    assert tracks.count("inbound") == tracks.count("outbound") == 50


def test_the_servers_errors_are_kept_and_the_stream_goes_on(kit: Kit) -> None:
    async def bot(socket: BotSocket) -> None:
        await socket.next()
        socket.socket.send("{")
        socket.socket.send('{"eventType":"playAudio"}')
        socket.play(kit.tone(100))
        await socket.until_closed()

    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, bot)
    report = kit.place(server, HANG_UP_AFTER_A_SECOND)
    assert len(report.protocol_errors) == 2
    assert [event.name for event in report.named("protocol error")] == ["protocol error"] * 2
    assert report.bursts[0].heard_ms == pytest.approx(100)


def test_a_unidirectional_stream_plays_nothing(kit: Kit) -> None:
    async def bot(socket: BotSocket) -> None:
        socket.play(kit.tone(100))
        socket.clear()
        await socket.until_closed()

    document = kit.bxml('<StartStream name="one" destination="wss://a"/><StopStream name="one" wait="true"/>')
    report = kit.place(kit.server({"/initiate": document}, bot), HANG_UP_AFTER_A_SECOND)
    assert report.protocol_errors == [
        "PlayAudio on a unidirectional stream",
        "Clear on a unidirectional stream",
    ]
    assert report.bursts == []


def test_a_broken_socket_is_a_connection_error(kit: Kit) -> None:
    async def bot(socket: BotSocket) -> None:
        await asyncio.sleep(0.5)
        assert isinstance(socket.socket, LoopbackSocket)
        socket.socket.abort()

    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait, "<Pause/>")}, bot)
    report = kit.place(server, STAY)
    assert server.webhook("mediaStreamStopped").payload["cause"] == "connection-error"
    assert report.ended_at - report.started_at == pytest.approx(1.5)


def test_a_document_that_ends_closes_its_stream(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(kit.stream, "<Pause/>")}, silent_bot)
    report = kit.place(server, STAY)
    assert report.ended_at - report.started_at == pytest.approx(1)
    assert server.events()[-2:] in (["mediaStreamStopped", "disconnect"], ["disconnect", "mediaStreamStopped"])
    assert server.sockets[0].received[-1][1]["eventType"] == "stop"
