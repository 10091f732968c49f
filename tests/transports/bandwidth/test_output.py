"""What the transport sends and when, in virtual time."""

from __future__ import annotations

import asyncio
from binascii import a2b_base64
from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportMessageFrame,
    OutputTransportReadyFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)

from callpipe.transports.audio.formats import PCM_24K, PCMU_8K, AudioFormat, Encoding, Tracks
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.frames import (
    ClearPlayoutFrame,
    EncodedAudio,
    InputEncodedAudioFrame,
    OutputEncodedAudioFrame,
    PlayheadFrame,
    PlayoutClearedFrame,
    PlayoutFinishedFrame,
    PlayoutStartedFrame,
)
from callpipe.transports.lane import DOWNSTREAM
from callpipe.transports.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from .conftest import PlaceCall


virtually = in_virtual_time()


def speech(duration_ms: int, letter: str = "A", context_id: str | None = None) -> OutputEncodedAudioFrame:
    """Return PCMU of a length that base64 needs no padding for, whose payload is one letter."""
    size = duration_ms * 8 // 3 * 3
    return OutputEncodedAudioFrame(EncodedAudio(a2b_base64(letter * (size // 3 * 4))), context_id)


def letters(order: list[str]) -> str:
    return "".join("!" if message == "clear" else message[0] for message in order)


SPEAKING = (BotStartedSpeakingFrame, BotStoppedSpeakingFrame, PlayoutFinishedFrame)


@virtually
async def test_audio_is_sent_at_once_and_goes_on_downstream(place_call: PlaceCall) -> None:
    async with place_call() as one:
        frames = [speech(300, "A"), speech(300, "B"), TTSAudioRawFrame(bytes(960), 24_000, 1)]
        await one.say(*frames)
        await asyncio.sleep(0)
        assert [at for at, _ in one.phone.sent] == [1.0, 1.0, 1.0]
        assert one.phone.sent[2][1]["media"]["contentType"].startswith("audio/pcm;rate=24000")
        assert [frame for _, frame in one.behind.seen if frame in frames] == frames
        assert one.transport.playhead.unheard_ms(1.0) == pytest.approx(620)


@virtually
async def test_the_payload_is_not_touched(place_call: PlaceCall) -> None:
    async with place_call() as one:
        frame = speech(20, "x")
        await one.say(frame)
        await asyncio.sleep(0)
        assert one.phone.sent[0][1]["media"]["payload"] is not None
        assert one.phone.order == [frame.encoded.payload]


@virtually
async def test_speaking_is_told_by_the_playhead_both_ways(place_call: PlaceCall) -> None:
    async with place_call() as one:
        await one.say(speech(300), speech(300))
        await asyncio.sleep(0.5)
        await one.say(speech(300))
        await asyncio.sleep(3)
        await one.say(speech(300))
        await asyncio.sleep(3)
        expected = [
            (1.0, "BotStartedSpeakingFrame"),
            (2.0, "BotStoppedSpeakingFrame"),
            (4.5, "BotStartedSpeakingFrame"),
            (4.9, "BotStoppedSpeakingFrame"),
        ]
        assert one.before.times(*SPEAKING[:2]) == expected
        assert one.behind.times(*SPEAKING[:2]) == expected
        finished = [frame.at for _, frame in one.before.seen if isinstance(frame, PlayoutFinishedFrame)]
        assert finished == [pytest.approx(1.9), pytest.approx(4.8)]


@virtually
async def test_a_source_in_real_time_speaks_without_a_break(place_call: PlaceCall) -> None:
    async with place_call() as one:
        for _ in range(50):
            await one.say(speech(20))
            await asyncio.sleep(0.03)
        await asyncio.sleep(1)
        assert len(one.before.times(*SPEAKING)) == 3


@virtually
async def test_the_lead_is_bounded_and_the_rest_is_sent_in_time(place_call: PlaceCall) -> None:
    async with place_call(max_lead_ms=3_000) as one:
        await one.say(*(speech(300) for _ in range(30)))
        worst = 0.0
        while one.transport.unheard_ms(asyncio.get_running_loop().time()) > 0:
            now = asyncio.get_running_loop().time()
            worst = max(worst, one.transport.playhead.unheard_ms(now))
            if one.transport.output().waiting_ms:
                assert one.transport.playhead.unheard_ms(now) > 2_700
            await asyncio.sleep(0.02)
        assert 3_000 <= worst < 3_300
        assert len(one.phone.sent) == 30
        assert one.transport.playhead.ends_at == pytest.approx(10.0), "a gap was heard"
        assert len(one.behind.times(OutputEncodedAudioFrame)) == 30
        assert one.phone.sent[-1][0] == pytest.approx(6.95, abs=0.3)


@virtually
async def test_a_huge_frame_is_sent_in_pieces(place_call: PlaceCall) -> None:
    async with place_call(max_lead_ms=3_000) as one:
        await one.say(OutputAudioRawFrame(bytes(48_000 * 20), 24_000, 1))
        await asyncio.sleep(0.01)
        assert len(one.phone.sent) == 3
        await asyncio.sleep(25)
        assert len(one.phone.sent) == 20
        assert one.transport.playhead.ends_at == pytest.approx(21.0)


@virtually
async def test_an_interruption_clears_between_the_old_answer_and_the_new(place_call: PlaceCall) -> None:
    async with place_call(max_lead_ms=1_000) as one:
        await one.say(*(speech(300, "A", "item_1") for _ in range(4)), speech(300, "B", "item_2"))
        await asyncio.sleep(0.4)
        await one.say(InterruptionFrame(), speech(300, "C", "item_3"))
        await asyncio.sleep(5)
        assert letters(one.phone.order) == "AAAA!C"
        cleared = one.before.only(PlayoutClearedFrame)
        assert cleared.at == pytest.approx(1.4)
        assert cleared.heard_ms == {"item_1": pytest.approx(400), "item_2": 0.0}
        kinds = (PlayoutClearedFrame, *SPEAKING)
        assert one.before.times(*kinds)[:3] == [
            (1.0, "BotStartedSpeakingFrame"),
            (1.4, "PlayoutClearedFrame"),
            (1.4, "BotStoppedSpeakingFrame"),
        ]
        order = [type(frame).__name__ for _, frame in one.behind.seen]
        assert order.index("BotStoppedSpeakingFrame") < order.index("InterruptionFrame")


@virtually
async def test_the_line_is_cleared_ahead_of_the_interruption_that_tells_of_it(place_call: PlaceCall) -> None:
    async with place_call(max_lead_ms=1_000) as one:
        await one.say(*(speech(300, "A", "item_1") for _ in range(4)), speech(300, "B", "item_2"))
        await asyncio.sleep(0.4)
        await one.say(ClearPlayoutFrame())
        await asyncio.sleep(0.001)
        assert letters(one.phone.order) == "AAAA!"
        assert one.before.times(PlayoutClearedFrame) == []
        await one.say(speech(300, "C", "item_3"), InterruptionFrame(), speech(300, "D", "item_4"))
        await asyncio.sleep(1)
        assert letters(one.phone.order) == "AAAA!C!D"
        cleared = one.before.only(PlayoutClearedFrame)
        assert cleared.heard_ms == {"item_1": pytest.approx(400), "item_2": 0.0, "item_3": pytest.approx(0.0)}
        await one.say(InterruptionFrame())
        assert len(one.before.times(PlayoutClearedFrame)) == 1


@virtually
async def test_an_interruption_in_silence_sends_nothing(place_call: PlaceCall) -> None:
    async with place_call() as one:
        await one.say(ClearPlayoutFrame(), InterruptionFrame(), speech(300, "A"))
        await asyncio.sleep(2)
        await one.say(ClearPlayoutFrame(), InterruptionFrame())
        await asyncio.sleep(1)
        assert letters(one.phone.order) == "A"
        assert one.before.times(PlayoutClearedFrame) == []
        assert len(one.behind.times(InterruptionFrame)) == 2


@virtually
async def test_the_neighbours_get_the_playhead_and_readiness(place_call: PlaceCall) -> None:
    async with place_call() as one:
        assert one.before.only(PlayheadFrame).playhead is one.transport.playhead
        assert one.before.only(OutputTransportReadyFrame)


@virtually
async def test_other_frames_pass_and_transport_messages_do_not(place_call: PlaceCall) -> None:
    async with place_call() as one:
        caller = InputEncodedAudioFrame(EncodedAudio(audio=bytes(160)))
        stopped = TTSStoppedFrame()
        await one.say(caller, stopped, OutputTransportMessageFrame(message={"secret": 1}))
        assert [frame for _, frame in one.behind.seen[-2:]] == [caller, stopped]
        assert one.phone.sent == []


@virtually
async def test_formats(place_call: PlaceCall) -> None:
    async with place_call() as one:
        output = one.transport.output()
        for bot in (None, PCMU_8K, PCM_24K):
            tracks = Tracks(caller=PCMU_8K, bot=bot)
            assert output.formats(tracks) is tracks
        for bot in (AudioFormat(Encoding.PCM, 48_000), AudioFormat(Encoding.PCMA, 8_000)):
            with pytest.raises(FormatMismatchError, match="PCMU 8 kHz, PCM 8 kHz, PCM 16 kHz, PCM 24 kHz"):
                output.formats(Tracks(bot=bot))
        assert one.transport.input().formats(Tracks()) == Tracks(caller=PCMU_8K)


@virtually
async def test_audio_that_is_observed_is_sent_once_too(place_call: PlaceCall) -> None:
    async with place_call() as one:
        output = one.transport.output()
        output._lane_audio_watched = output._lane_events_watched = True  # pyright: ignore[reportPrivateUsage]
        await output.queue_frame(speech(20, "A"), DOWNSTREAM)
        await asyncio.sleep(1)
        assert letters(one.phone.order) == "A"
        assert len(one.behind.times(OutputEncodedAudioFrame)) == 1
        assert len(one.before.times(*SPEAKING)) == 3


@virtually
async def test_the_first_packet_of_each_item_is_told_with_when_it_is_heard(place_call: PlaceCall) -> None:
    async with place_call() as one:
        await one.say(
            speech(300, "A", "one"), speech(300, "B"), speech(300, "C", "one"), speech(300, "D", "two")
        )
        await asyncio.sleep(0)

        began = [frame for _, frame in one.before.seen if isinstance(frame, PlayoutStartedFrame)]
        assert [(frame.context_id, frame.sent_at, frame.heard_at) for frame in began] == [
            ("one", 1.0, 1.0),
            ("two", 1.0, pytest.approx(1.9)),
        ]


@virtually
async def test_an_item_that_waits_is_told_when_it_is_sent(place_call: PlaceCall) -> None:
    async with place_call() as one:
        await one.say(*[speech(900, "A", "one")] * 4, speech(300, "B", "two"))
        await asyncio.sleep(4)

        began = [frame for _, frame in one.before.seen if isinstance(frame, PlayoutStartedFrame)]
        assert [frame.context_id for frame in began] == ["one", "two"]
        assert 1.0 < began[1].sent_at < began[1].heard_at == pytest.approx(4.6)
