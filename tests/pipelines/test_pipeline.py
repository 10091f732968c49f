"""A pipeline whose joints don't fit is refused with one sentence: both names, and what to put between."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pipecat.pipeline.pipeline import Pipeline as StockPipeline
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.frame_processor import FrameProcessor

from callpipe.pipelines import Call, Pipeline, passthrough_call, realtime_call
from callpipe.pipelines.call import rehearsal_call
from callpipe.pipelines.errors import PipelineFormatError
from callpipe.pipelines.settings import Recording, load_settings
from callpipe.processors import MulawDecoder, MulawEncoder, RealtimeLLM, Resampler
from callpipe.processors.tools import ToolRouter, tool
from callpipe.transports.audio.formats import PCM_8K, PCM_24K, PCMU_8K, AudioFormat, Tracks
from callpipe.transports.realtime.settings import RealtimeSettings


@tool
async def weather(town: str) -> str:
    """Tell the weather.

    Args:
        town: Where.
    """
    return f"sunny in {town}"


def call(recording: Recording = Recording.OFF) -> Call:
    return rehearsal_call("test", load_settings(recording=recording, data_dir=Path("nowhere")))


def model(audio_format: AudioFormat = PCM_24K, tools: Sequence[Any] = ()) -> RealtimeLLM:
    return RealtimeLLM(
        settings=RealtimeSettings(instructions="", audio_format=audio_format), tools=tools, api_key="key"
    )


def build(make: Callable[[Call], list[FrameProcessor]], recording: Recording = Recording.OFF) -> Pipeline:
    on_call = call(recording)
    return Pipeline([on_call.transport.input(), *make(on_call), on_call.transport.output()])


def refusal(make: Callable[[Call], list[FrameProcessor]]) -> PipelineFormatError:
    with pytest.raises(PipelineFormatError) as refused:
        build(make)
    return refused.value


def test_the_full_chain_fits_and_tells_its_joints() -> None:
    joints = realtime_call(call(Recording.ON), instructions="", tools=[weather]).joints
    assert [(joint.processor, joint.tracks) for joint in joints] == [
        ("BandwidthInput", Tracks(caller=PCMU_8K)),
        ("MulawDecoder", Tracks(caller=PCM_8K)),
        ("Resampler", Tracks(caller=PCM_24K)),
        ("RealtimeLLM", Tracks(bot=PCM_24K)),
        ("ToolRouter", Tracks(bot=PCM_24K)),
        ("Recorder", Tracks(bot=PCM_24K)),
        ("Resampler", Tracks(bot=PCM_8K)),
        ("MulawEncoder", Tracks(bot=PCMU_8K)),
        ("BandwidthOutput", Tracks(bot=PCMU_8K)),
    ]


def test_the_short_chain_decodes_nothing() -> None:
    tracks = [joint.tracks for joint in passthrough_call(call(), instructions="").joints]
    assert tracks[0] == Tracks(caller=PCMU_8K)
    assert set(tracks[1:]) == {Tracks(bot=PCMU_8K)}


def test_a_missing_decoder_is_named() -> None:
    refused = refusal(lambda _: [Resampler(24_000), model()])
    assert str(refused).startswith(
        "Resampler does not fit behind BandwidthInput: the caller's audio arrives as PCMU"
    )
    assert str(refused).endswith("put MulawDecoder() between them")
    assert (refused.giver, refused.taker, refused.between) == (
        "BandwidthInput",
        "Resampler",
        ("MulawDecoder()",),
    )


def test_two_missing_processors_are_named_in_their_order() -> None:
    refused = refusal(lambda _: [model()])
    assert (refused.giver, refused.taker) == ("BandwidthInput", "RealtimeLLM")
    assert refused.between == ("MulawDecoder()", "Resampler(24000)")


def test_a_missing_resampler_is_named() -> None:
    refused = refusal(lambda _: [MulawDecoder(), model()])
    assert refused.between == ("Resampler(24000)",)


def test_the_bots_track_is_checked_too() -> None:
    refused = refusal(lambda _: [MulawDecoder(), Resampler(24_000), model(), MulawEncoder()])
    assert (refused.giver, refused.taker, refused.between) == (
        "RealtimeLLM",
        "MulawEncoder",
        ("Resampler(8000)",),
    )
    assert "the bot's audio arrives as PCM 24 kHz" in str(refused)


def test_pcm_may_go_out_as_it_is() -> None:
    assert build(lambda _: [MulawDecoder(), Resampler(24_000), model()]).joints[-1].tracks == Tracks(
        bot=PCM_24K
    )


def test_a_processor_that_fits_nowhere_is_said_to() -> None:
    refused = refusal(lambda _: [model(PCMU_8K), model(PCMU_8K)])
    assert (refused.giver, refused.taker, refused.between) == ("RealtimeLLM", "RealtimeLLM", ())
    assert str(refused).endswith("RealtimeLLM can't stand here")


def test_a_stock_processor_may_stand_anywhere_and_is_told_what_it_misses() -> None:
    joints = build(lambda _: [AudioBufferProcessor(), MulawDecoder(), AudioBufferProcessor()]).joints
    assert joints[1].note == "hears nothing of the caller: put MulawDecoder() before it"
    assert joints[3].note == ""


def test_a_pipeline_within_a_pipeline_is_looked_into() -> None:
    joints = build(lambda _: [StockPipeline([MulawDecoder(), Resampler(24_000)]), model()]).joints
    assert [joint.processor for joint in joints][1:3] == ["MulawDecoder", "Resampler"]


def test_tools_that_nobody_runs_are_named() -> None:
    refused = refusal(lambda _: [model(PCMU_8K, [weather])])
    assert str(refused) == (
        "RealtimeLLM is told of weather, and no ToolRouter runs it: put ToolRouter(tools) behind RealtimeLLM"
    )
    assert build(lambda _: [model(PCMU_8K, [weather]), ToolRouter([weather])])
