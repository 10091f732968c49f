"""Audio both ways, and what stops it."""

from __future__ import annotations

import asyncio
import base64
from binascii import a2b_base64
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import TTFBMetricsData
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.call_events import BargeInFrame, BotTurnFrame, TurnLatencyFrame
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.frames import (
    ClearPlayoutFrame,
    EncodedAudio,
    InputEncodedAudioFrame,
    OutputEncodedAudioFrame,
)
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from .conftest import PlaceCall

KEY = "sk-very-secret"
PCMU = RealtimeSettings(audio_format=PCMU_8K)


virtual = in_virtual_time(deadline_s=120)


def pcmu(payload: str = "/////w==") -> InputEncodedAudioFrame:
    return InputEncodedAudioFrame(EncodedAudio(a2b_base64(payload)))


class Stock(FrameProcessor):
    """A processor with pipecat's own queues."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


# Audio.


@virtual
async def test_pcmu_payloads_pass_untouched_both_ways(place_call: PlaceCall) -> None:
    async with place_call() as on:
        await on.caller_says(pcmu("/v38+w=="))
        on.model.begin()
        on.model.say("response.output_audio.delta", delta="/3//")
        await asyncio.sleep(0.01)

        assert on.model.last("input_audio_buffer.append")["audio"] == "/v38+w=="
        (audio,) = on.behind.all(OutputEncodedAudioFrame)
        assert (audio.encoded.payload, audio.context_id) == ("/3//", "item_bot_1")
        assert on.behind.all(InputEncodedAudioFrame) == []


@virtual
async def test_pcm_passes_both_ways(place_call: PlaceCall) -> None:
    async with place_call(RealtimeSettings()) as on:
        await on.caller_says(InputAudioRawFrame(b"\1\2" * 480, 24_000, 1))
        on.model.begin()
        on.model.say("response.output_audio.delta", delta=base64.b64encode(b"\3\4" * 240).decode())
        on.model.say("response.output_audio.done")
        await asyncio.sleep(0.01)

        assert base64.b64decode(on.model.last("input_audio_buffer.append")["audio"]) == b"\1\2" * 480
        (audio,) = on.behind.all(TTSAudioRawFrame)
        assert (audio.audio, audio.sample_rate, audio.context_id) == (b"\3\4" * 240, 24_000, "item_bot_1")
        names = on.behind.names(TTSStartedFrame, TTSAudioRawFrame, TTSStoppedFrame)
        assert names == ["TTSStartedFrame", "TTSAudioRawFrame", "TTSStoppedFrame"]
        assert on.behind.all(InputAudioRawFrame) == []


@virtual
async def test_audio_of_another_format_is_reported_and_not_sent(place_call: PlaceCall) -> None:
    async with place_call(RealtimeSettings()) as on:
        await on.caller_says(InputAudioRawFrame(bytes(320), 8_000, 1), pcmu())

        assert "input_audio_buffer.append" not in on.model.types()
        assert [type(error.exception) for error in on.errors] == [FormatMismatchError] * 2


@virtual
async def test_the_wait_for_an_answer_is_told(place_call: PlaceCall) -> None:
    async with place_call(metrics=True) as on:
        on.model.say("input_audio_buffer.speech_started")
        on.model.say("input_audio_buffer.speech_stopped")
        await asyncio.sleep(0.5)
        on.model.begin()
        on.model.speak(PCMU_8K, 300)
        await asyncio.sleep(0.01)

        latencies = on.behind.all(TurnLatencyFrame)
        assert [(round(one.response_ms), one.wire_ms, one.heard_ms) for one in latencies] == [(500, 0, 0)]
        metrics = [each for frame in on.behind.all(MetricsFrame) for each in frame.data]
        assert [each.value for each in metrics if isinstance(each, TTFBMetricsData) and each.value] == [
            pytest.approx(0.5, abs=0.01)
        ]
        for seen in (on.before, on.behind):
            speech = seen.names(UserStartedSpeakingFrame, UserStoppedSpeakingFrame)
            assert speech == ["UserStartedSpeakingFrame", "UserStoppedSpeakingFrame"]


# Barge-in.


@pytest.mark.parametrize("between", [(), (Stock,)])
@virtual
async def test_the_carrier_is_cleared_before_the_model_is_told(
    place_call: PlaceCall, between: Sequence[type[FrameProcessor]]
) -> None:
    async with place_call(between=tuple(one() for one in between)) as on:
        on.model.begin()
        on.model.speak(PCMU_8K, 3000)
        await asyncio.sleep(0.74)
        on.model.say("input_audio_buffer.speech_started")
        on.model.speak(PCMU_8K, 500)
        on.model.end(status="cancelled")
        await asyncio.sleep(0.3)

        assert on.wire[-2:] == ["clear", "conversation.item.truncate"]
        truncate = on.model.last("conversation.item.truncate")
        assert (truncate["item_id"], truncate["audio_end_ms"]) == ("item_1", pytest.approx(740, abs=1))
        assert "response.cancel" not in on.wire
        (barge_in,) = on.behind.all(BargeInFrame)
        assert (barge_in.believed_ms, barge_in.generated_ms) == (truncate["audio_end_ms"], 3000)
        interruption = [isinstance(frame, InterruptionFrame) for frame in on.behind.frames].index(True)
        assert not any(isinstance(frame, OutputEncodedAudioFrame) for frame in on.behind.frames[interruption:])
        (turn,) = on.behind.all(BotTurnFrame)
        assert turn.interrupted


@virtual
async def test_the_line_is_cleared_before_anybody_is_told_that_the_caller_speaks(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.begin()
        on.model.speak(PCMU_8K, 3000)
        await asyncio.sleep(0.74)
        on.model.say("input_audio_buffer.speech_started")
        await asyncio.sleep(0.01)

        told = (ClearPlayoutFrame, UserStartedSpeakingFrame, InterruptionFrame)
        assert tuple(type(frame) for frame in on.behind.frames if isinstance(frame, told)) == told


@virtual
async def test_without_our_transport_the_model_is_told_after_a_quarter_second(
    place_call: PlaceCall,
) -> None:
    async with place_call(line=False) as on:
        on.model.begin()
        on.model.speak(PCMU_8K, 3000)
        await asyncio.sleep(0.74)
        on.model.say("input_audio_buffer.speech_started")
        await asyncio.sleep(0.24)
        assert "conversation.item.truncate" not in on.wire
        await asyncio.sleep(0.02)

        assert on.model.last("conversation.item.truncate")["audio_end_ms"] == pytest.approx(740, abs=1)


@virtual
async def test_speech_while_nothing_is_said_interrupts_nobody(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.say("input_audio_buffer.speech_started")
        await asyncio.sleep(0.01)

        assert on.behind.all(InterruptionFrame) == []


@pytest.mark.parametrize("from_behind", [False, True])
@virtual
async def test_an_interruption_from_elsewhere_stops_the_model(place_call: PlaceCall, from_behind: bool) -> None:
    async with place_call() as on:
        on.model.begin()
        on.model.speak(PCMU_8K, 2000)
        await asyncio.sleep(0.5)
        if from_behind:
            await on.behind.broadcast_interruption()
            await on.line.queue_frame(InterruptionFrame())
        else:
            await on.before.broadcast_interruption()
        on.model.speak(PCMU_8K, 500)
        await asyncio.sleep(0.01)

        assert on.wire.count("response.cancel") == 1
        assert on.model.last("response.cancel")["response_id"] == "resp_1"
        assert on.model.last("conversation.item.truncate")["audio_end_ms"] == pytest.approx(500, abs=1)
        assert len(on.behind.all(OutputEncodedAudioFrame)) == 20
