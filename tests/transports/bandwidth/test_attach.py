"""A pipeline that runs before its media stream is there, in virtual time."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    ErrorFrame,
    InterruptionFrame,
)

from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.bandwidth import BandwidthTransport
from callpipe.transports.bandwidth.errors import MediaFormatError
from callpipe.transports.bandwidth.messages import MediaFormat, StartMessage, Track
from callpipe.transports.call_events import MediaStartedFrame, MediaStoppedFrame
from callpipe.transports.frames import (
    EncodedAudio,
    InputEncodedAudioFrame,
    OutputEncodedAudioFrame,
    PlayheadFrame,
    PlayoutClearedFrame,
)
from callpipe.transports.loopback import socket_pair
from callpipe.transports.virtual_time import in_virtual_time, run_virtual

if TYPE_CHECKING:
    from .conftest import PlaceCall

START = StartMessage(account_id="a", call_id="c", stream_id="s", stream_name="n")
PACKET = json.dumps(
    {"eventType": "media", "track": "inbound", "payload": base64.b64encode(bytes(160)).decode()}
)


virtually = in_virtual_time()


def speech(duration_ms: int, context_id: str | None = None) -> OutputEncodedAudioFrame:
    return OutputEncodedAudioFrame(EncodedAudio(audio=b"\x55" * PCMU_8K.size(duration_ms)), context_id)


def now() -> float:
    return asyncio.get_running_loop().time()


@virtually
async def test_what_was_said_before_the_stream_goes_out_when_it_begins(place_call: PlaceCall) -> None:
    async with place_call(attached=False) as one:
        await one.say(*(speech(300, "greeting") for _ in range(20)))
        await asyncio.sleep(5)
        assert one.phone.sent == []
        assert one.transport.playhead.heard_ms("greeting", now()) == 0.0
        assert one.transport.unheard_ms(now()) == pytest.approx(6_000)
        assert one.behind.times(OutputEncodedAudioFrame, BotStartedSpeakingFrame, MediaStartedFrame) == []
        one.attach()
        await asyncio.sleep(0.001)
        assert [at for at, _ in one.phone.sent] == [6.0] * 10, "as much as may lead"
        await asyncio.sleep(9)
        assert len(one.phone.sent) == 20
        assert one.transport.playhead.ends_at == pytest.approx(12.0), "a gap was heard"
        assert one.behind.times(MediaStartedFrame, BotStartedSpeakingFrame, BotStoppedSpeakingFrame) == [
            (6.0, "MediaStartedFrame"),
            (6.0, "BotStartedSpeakingFrame"),
            (12.1, "BotStoppedSpeakingFrame"),
        ]


@virtually
async def test_waiting_for_the_stream_costs_no_timer(
    place_call: PlaceCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place_call(attached=False) as one:
        await one.say(speech(300))
        loop = asyncio.get_running_loop()
        scheduled = 0
        call_at = loop.call_at

        def count(*args: Any, **kwargs: Any) -> asyncio.TimerHandle:
            nonlocal scheduled
            scheduled += 1
            return call_at(*args, **kwargs)

        monkeypatch.setattr(loop, "call_at", count)
        await asyncio.sleep(50)
        assert scheduled == 1, "the sleep's own"


@virtually
async def test_audio_after_the_stream_began_is_not_held(place_call: PlaceCall) -> None:
    async with place_call(attached=False) as one:
        one.attach()
        await one.say(speech(20))
        await asyncio.sleep(0)
        assert [at for at, _ in one.phone.sent] == [1.0]


@virtually
async def test_the_caller_is_heard_from_the_start_on(place_call: PlaceCall) -> None:
    async with place_call(first=[PACKET, PACKET], attached=False) as one:
        assert one.before.times(InputEncodedAudioFrame, MediaStartedFrame) == []
        assert len(one.before.times(PlayheadFrame)) == 1, "the model knows the playhead meanwhile"
        one.attach()
        await asyncio.sleep(0.1)
        assert one.before.times(MediaStartedFrame, InputEncodedAudioFrame) == [
            (1.0, "MediaStartedFrame"),
            (1.0, "InputEncodedAudioFrame"),
            (1.0, "InputEncodedAudioFrame"),
        ]


@virtually
async def test_an_interruption_before_the_stream_drops_what_waits(place_call: PlaceCall) -> None:
    async with place_call(attached=False) as one:
        await one.say(speech(300, "greeting"), InterruptionFrame(), speech(200, "second"))
        assert one.before.only(PlayoutClearedFrame).heard_ms == {"greeting": 0.0}
        one.attach()
        await asyncio.sleep(1)
        assert len(one.phone.sent) == 1, "there was nothing to clear"
        assert one.transport.playhead.heard_ms("second", now()) == pytest.approx(200)


@virtually
async def test_an_end_before_the_stream_waits_until_the_goodbye_was_heard(place_call: PlaceCall) -> None:
    async with place_call(attached=False) as one:
        await one.say(speech(1_000))
        await one.worker.queue_frame(EndFrame())
        await asyncio.sleep(10)
        assert not one.run.done()
        one.attach()
        await one.run
        assert one.phone.closed_at == pytest.approx(12.0)
        assert one.behind.only(MediaStoppedFrame).cause == "ended"


@pytest.mark.parametrize("says_something", [False, True])
def test_a_pipeline_whose_stream_never_comes_ends_at_once(says_something: bool, place_call: PlaceCall) -> None:
    async def scenario() -> None:
        async with place_call(attached=False) as one:
            if says_something:
                await one.say(speech(1_000))
            await one.worker.queue_frame(EndFrame())
            await asyncio.sleep(0.5)
            assert one.run.done() is not says_something
            await one.transport.close()
            await asyncio.wait_for(one.run, 0.1)
            assert one.behind.times(MediaStartedFrame, MediaStoppedFrame, ErrorFrame) == []

    run_virtual(scenario())


@virtually
async def test_cancelling_before_the_stream_tells_of_no_stream(place_call: PlaceCall) -> None:
    async with place_call(attached=False) as one:
        await one.worker.cancel()
        await one.run
        assert one.behind.times(MediaStartedFrame, MediaStoppedFrame) == []


@virtually
async def test_a_stream_that_comes_too_late_is_closed_with_the_transport(place_call: PlaceCall) -> None:
    async with place_call(attached=False) as one:
        await one.say(speech(300))
        await one.transport.close()
        one.attach()
        await one.end()
        assert one.phone.sent == []
        assert one.phone.closed_at == pytest.approx(1.0)


@virtually
async def test_a_stream_before_the_pipeline_has_started() -> None:
    ours, theirs = socket_pair()
    transport = BandwidthTransport(clock=now)
    assert not transport.attached
    transport.attach(ours, START)
    assert transport.attached
    with pytest.raises(RuntimeError):
        transport.attach(ours, START)
    await transport.close()
    with pytest.raises(Exception, match="1000"):
        await theirs.receive()


@virtually
async def test_only_pcmu_at_8_khz_is_attached() -> None:
    ours, _ = socket_pair()
    transport = BandwidthTransport()
    track = Track("inbound", MediaFormat("audio/PCMA", 8_000))
    with pytest.raises(MediaFormatError):
        transport.attach(ours, StartMessage("a", "c", "s", "n", tracks=(track,)))
    assert not transport.attached
    for given in ({"socket": ours}, {"start": START}):
        with pytest.raises(ValueError, match="both"):
            BandwidthTransport(**given)  # pyright: ignore[reportArgumentType]
