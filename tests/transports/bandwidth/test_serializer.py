"""The serializer, as pipecat's stock WebSocket transports call it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
)

from callpipe.transports.bandwidth import BandwidthSerializer
from callpipe.transports.bandwidth.errors import PlayoutFormatError
from callpipe.transports.call_events import CarrierFaultFrame, MediaStartedFrame, MediaStoppedFrame
from callpipe.transports.frames import EncodedAudio, InputEncodedAudioFrame, OutputEncodedAudioFrame

FOLDER = Path(__file__).parents[2] / "packets" / "bandwidth"
PACKETS = {name: (FOLDER / f"{name}.json").read_text() for name in ("start", "media", "stop", "clear")}


async def played(frame: Frame) -> Any:
    message = await BandwidthSerializer().serialize(frame)
    assert isinstance(message, str)
    return json.loads(message)


async def test_a_stream_makes_frames() -> None:
    serializer = BandwidthSerializer(clock=lambda: 4.0)
    frames = [await serializer.deserialize(PACKETS[name]) for name in ("start", "media", "stop")]
    started, heard, stopped = frames
    assert isinstance(started, MediaStartedFrame)
    assert (started.stream_name, started.at) == ("bot.1", 4.0)
    assert isinstance(heard, InputEncodedAudioFrame)
    assert heard.encoded.audio == bytes(range(160))
    assert isinstance(stopped, MediaStoppedFrame)
    assert stopped.counts["packets"] == 1


async def test_bad_messages_never_raise_and_are_reported_once_a_kind() -> None:
    serializer = BandwidthSerializer()
    frames = [
        await serializer.deserialize(message)
        for message in ("x", "y", b"z", PACKETS["clear"], PACKETS["media"], PACKETS["media"])
    ]
    assert [frame.kind if isinstance(frame, CarrierFaultFrame) else frame for frame in frames] == [
        "malformed", None, "binary", "unknown", "out-of-order", None,
    ]  # fmt: skip


async def test_encoded_audio_goes_out_untouched() -> None:
    message = await played(OutputEncodedAudioFrame(EncodedAudio(b"\x01\x02\x03")))
    assert message["media"] == {"contentType": "audio/pcmu", "payload": "AQID"}


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000])
async def test_pcm_goes_out_with_its_rate(rate: int) -> None:
    for frame_type in (OutputAudioRawFrame, TTSAudioRawFrame):
        media = (await played(frame_type(b"\x01\x02", rate, 1)))["media"]
        assert media["contentType"].startswith(f"audio/pcm;rate={rate};")
        assert base64.b64decode(media["payload"]) == b"\x01\x02"


async def test_an_interruption_clears_and_other_frames_send_nothing() -> None:
    serializer = BandwidthSerializer()
    assert await serializer.serialize(InterruptionFrame()) == PACKETS["clear"].rstrip()
    for frame in (EndFrame(), BotStartedSpeakingFrame(), InputAudioRawFrame(b"\0\0", 8_000, 1)):
        assert await serializer.serialize(frame) is None


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 1), (8_000, 2)])
async def test_other_audio_is_refused(rate: int, channels: int) -> None:
    with pytest.raises(PlayoutFormatError):
        await BandwidthSerializer().serialize(OutputAudioRawFrame(b"\0\0\0\0", rate, channels))
