"""The transport before its pipeline runs: the start of a stream, and the formats it is refused for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.bandwidth import BandwidthTransport, receive_start
from callpipe.transports.bandwidth.errors import MediaFormatError, NoStartError
from callpipe.transports.bandwidth.messages import MediaFormat, StartMessage, Track
from callpipe.transports.loopback import socket_pair
from callpipe.transports.virtual_time import in_virtual_time

FOLDER = Path(__file__).parents[2] / "packets" / "bandwidth"
PACKETS = {name: (FOLDER / f"{name}.json").read_text() for name in ("start", "media", "stop", "clear")}


virtually = in_virtual_time()


def start(tracks: tuple[Track, ...] = ()) -> StartMessage:
    return StartMessage(account_id="a", call_id="c", stream_id="s", stream_name="n", tracks=tracks)


@virtually
async def test_the_start_is_found_behind_what_should_not_be_there() -> None:
    ours, theirs = socket_pair()
    theirs.send_binary(b"x")
    for message in ("x", PACKETS["clear"], PACKETS["media"], PACKETS["start"], PACKETS["media"]):
        theirs.send(message)
    started = await receive_start(ours, deadline_s=1)
    assert started.stream_name == "bot.1"
    assert await ours.receive() == PACKETS["media"], "what follows the start stays for the transport"


@virtually
async def test_a_start_that_does_not_come_is_waited_for_until_the_deadline() -> None:
    ours, theirs = socket_pair()
    loop = asyncio.get_running_loop()

    async def chatter() -> None:
        while True:
            theirs.send(PACKETS["media"])
            await asyncio.sleep(0.02)

    chattering = asyncio.create_task(chatter())
    with pytest.raises(NoStartError, match="2 s"):
        await receive_start(ours, deadline_s=2)
    assert loop.time() == pytest.approx(2.0, abs=0.03)
    chattering.cancel()


@virtually
async def test_a_stream_that_ends_before_it_starts() -> None:
    ours, theirs = socket_pair()
    theirs.send(PACKETS["stop"])
    with pytest.raises(NoStartError, match="stopped") as stopped:
        await receive_start(ours, deadline_s=1)
    assert stopped.value.fault == "carrier"
    await theirs.close(1001)
    with pytest.raises(NoStartError, match="1001"):
        await receive_start(ours, deadline_s=1)


@virtually
async def test_only_pcmu_at_8_khz_is_read() -> None:
    ours, _ = socket_pair()
    for encoding, sample_rate in (("audio/PCMA", 8_000), ("audio/PCMU", 16_000)):
        track = Track("inbound", MediaFormat(encoding, sample_rate))
        with pytest.raises(MediaFormatError) as caught:
            BandwidthTransport(ours, start((track,)))
        assert (caught.value.encoding, caught.value.sample_rate) == (encoding, sample_rate)
    good = Track("inbound", MediaFormat("audio/PCMU", 8_000))
    other = Track("outbound", MediaFormat("audio/PCMA", 8_000))
    for tracks in ((), (Track("inbound"),), (good, other)):
        BandwidthTransport(ours, start(tracks))


@virtually
async def test_a_playhead_may_be_given_and_closing_closes_the_socket() -> None:
    ours, theirs = socket_pair()
    playhead = Playhead(prebuffer_ms=80)
    transport = BandwidthTransport(ours, start(), playhead=playhead)
    assert transport.playhead is playhead
    assert transport.input() is transport.input()
    await transport.close()
    await transport.close()
    with pytest.raises(Exception, match="1000"):
        await theirs.receive()
