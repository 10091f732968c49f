"""pipecat's own processors, analyzers, filters, mixers and observers, anywhere in a pipeline."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.audio.mixers.soundfile_mixer import SoundfileMixer
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADAnalyzer
from pipecat.frames.frames import FilterControlFrame, Frame, VADUserStartedSpeakingFrame
from pipecat.observers.loggers.llm_log_observer import LLMLogObserver
from pipecat.observers.speaking_observer import SpeakingObserver
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.filters.frame_filter import FrameFilter
from pipecat.processors.filters.function_filter import FunctionFilter
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies

from callpipe.pipelines import Bot, Call, Pipeline
from callpipe.pipelines.call import rehearsal_call
from callpipe.pipelines.errors import PipelineFormatError
from callpipe.pipelines.settings import Settings
from callpipe.pipelines.stock_formats import stock_formats
from callpipe.pipelines.trials.phone import Phone
from callpipe.processors import AudioFilter, AudioMixer, MulawDecoder, MulawEncoder, RealtimeLLM, Resampler
from callpipe.processors.cascade.scripted import ToneSTT, ToneTTS, ToneVAD
from callpipe.transports.audio.formats import PCM_8K, PCM_16K, PCMU_8K, Tracks
from callpipe.transports.realtime.emulator.brains import RECEPTIONIST
from callpipe.transports.realtime.settings import RealtimeSettings

pytest_plugins = ["callpipe.pipelines.pytest_plugin"]


def user_aggregator(vad: VADAnalyzer | None) -> FrameProcessor:
    params = LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies(), vad_analyzer=vad)
    return LLMContextAggregatorPair(LLMContext(), user_params=params).user()


def refusal(*processors: FrameProcessor) -> str:
    call = rehearsal_call("test", Settings())
    with pytest.raises(PipelineFormatError) as refused:
        Pipeline([call.transport.input(), *processors, call.transport.output()])
    return str(refused.value)


ARRIVES = "the caller's audio arrives as"


@pytest.mark.parametrize(
    ("processors", "sentence"),
    [
        (
            lambda: [ToneSTT()],
            f"ToneSTT does not fit behind BandwidthInput: {ARRIVES} PCMU 8 kHz, and PCM 8 kHz is taken;"
            " put MulawDecoder() between them",
        ),
        (
            lambda: [MulawDecoder(), Resampler(16_000), ToneSTT()],
            f"ToneSTT does not fit behind Resampler: {ARRIVES} PCM 16 kHz, and PCM 8 kHz is taken;"
            " put Resampler(8000) between them",
        ),
        (
            lambda: [VADProcessor(vad_analyzer=ToneVAD(sample_rate=16_000))],
            f"VADProcessor does not fit behind BandwidthInput: {ARRIVES} PCMU 8 kHz, and PCM 16 kHz is taken;"
            " put MulawDecoder() and Resampler(16000) between them",
        ),
        (
            lambda: [MulawDecoder(), user_aggregator(ToneVAD(sample_rate=16_000))],
            f"LLMUserAggregator does not fit behind MulawDecoder: {ARRIVES} PCM 8 kHz, and PCM 16 kHz is taken;"
            " put Resampler(16000) between them",
        ),
        (
            lambda: [AudioFilter(Halved())],
            f"AudioFilter does not fit behind BandwidthInput: {ARRIVES} PCMU 8 kHz, and PCM is taken;"
            " put MulawDecoder() between them",
        ),
        (
            lambda: [MulawDecoder(), ToneTTS(sample_rate=8_000), MulawEncoder(), AudioMixer(cast("Any", None))],
            "AudioMixer does not fit behind MulawEncoder: the bot's audio arrives as PCMU 8 kHz, and PCM is"
            " taken; put MulawDecoder() between them",
        ),
        (
            lambda: [ToneTTS(sample_rate=44_100)],
            "BandwidthOutput does not fit behind ToneTTS: the bot's audio arrives as PCM 44.1 kHz, and",
        ),
    ],
)
def test_a_rate_or_encoding_that_does_not_fit_is_refused_in_one_sentence(
    processors: Callable[[], list[FrameProcessor]], sentence: str
) -> None:
    assert refusal(*processors()).startswith(sentence)


def test_what_fits_or_does_not_say_is_taken() -> None:
    on = Tracks(caller=PCM_16K)
    assert stock_formats(ToneSTT(sample_rate=16_000), on) == on
    assert stock_formats(VADProcessor(vad_analyzer=ToneVAD(sample_rate=16_000)), on) == on
    assert stock_formats(user_aggregator(None), Tracks(caller=PCMU_8K)) == Tracks(caller=PCMU_8K)
    assert stock_formats(AudioBufferProcessor(), on) == on
    assert stock_formats(ToneTTS(sample_rate=16_000), on) == Tracks(caller=PCM_16K, bot=PCM_16K)
    assert stock_formats(ToneSTT(), Tracks(caller=PCM_8K)) == Tracks(caller=PCM_8K)


class Heard(FrameProcessor):
    """Counts what a stock processor beside it has told."""

    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
        self.started = 0

    async def process_frame(self, frame: Frame, direction: Any) -> None:
        await super().process_frame(frame, direction)
        self.started += isinstance(frame, VADUserStartedSpeakingFrame)
        await self.push_frame(frame, direction)


class Halved(BaseAudioFilter):
    """Halves every sample."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    async def start(self, sample_rate: int) -> None:
        self.happened.append(f"started at {sample_rate}")

    async def stop(self) -> None:
        self.happened.append("stopped")

    async def process_frame(self, frame: FilterControlFrame) -> None:
        self.happened.append(type(frame).__name__)

    async def filter(self, audio: bytes) -> bytes:
        return (np.frombuffer(audio, "<i2") // 2).astype("<i2").tobytes()


def hum(path: Path) -> Path:
    """Write a second of a low hum, at 24 kHz."""
    samples = (1_500 * np.sin(2 * np.pi * 120 * np.arange(24_000) / 24_000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(samples.tobytes())
    return path


def test_a_stock_filter_mixer_and_observers_on_a_call(phone: Phone, tmp_path: Path) -> None:
    bot, halved = Bot("mixed"), Halved()
    told: list[str] = []
    sound = str(hum(tmp_path / "hum.wav"))

    @bot.pipeline
    def build(call: Call) -> Pipeline:
        nonlocal halved
        halved = Halved()
        model = RealtimeLLM(
            settings=RealtimeSettings(instructions=""),
            api_key=call.settings.api_key(),
            connect=call.connect,
            clock=call.clock,
            greeting="Good evening!",
        )
        speaking = SpeakingObserver()

        async def noted(_: SpeakingObserver, event: Any) -> None:
            told.append(str(event.kind))

        speaking.add_event_handler("on_speech_event", noted)  # pyright: ignore[reportUnknownMemberType]
        return Pipeline(
            [
                call.transport.input(),
                MulawDecoder(),
                AudioFilter(halved),
                Resampler(24_000),
                model,
                AudioMixer(SoundfileMixer(sound_files={"hum": sound}, default_sound="hum", volume=1.0)),
                Resampler(8_000),
                MulawEncoder(),
                call.transport.output(),
            ],
            observers=[speaking, LLMLogObserver()],
        )

    assert build
    with phone.dial(bot, model=RECEPTIONIST) as call:
        call.wait_for_bot()
        call._time.run(asyncio.sleep(0))  # pyright: ignore[reportPrivateUsage]
        call.say("Where are you?")
        call.wait_for_bot()
    assert halved.happened == ["started at 8000", "stopped"]
    assert call.result.understood == ["Where are you?"]
    assert {"bot_speech_started", "user_turn_started"} <= set(told)
    heard = np.frombuffer(call.result.report.heard, "<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(heard))
    hertz = np.fft.rfftfreq(heard.size, 1 / 8_000)
    assert spectrum[(hertz > 110) & (hertz < 130)].max() > 20 * np.median(
        spectrum[(hertz > 140) & (hertz < 300)]
    )


@pytest.mark.parametrize("make_vad", [ToneVAD, SileroVADAnalyzer])
def test_a_conversation_with_stock_processors_at_every_joint(
    make_vad: Callable[[], VADAnalyzer], phone: Phone
) -> None:
    """Silero takes tones for no speech, or for some: here it has to run, and to leave the call alone."""
    bot, heard = Bot("mixed"), Heard()

    @bot.pipeline
    def build(call: Call) -> Pipeline:
        nonlocal heard
        heard = Heard()

        async def everything(_: Frame) -> bool:
            return True

        model = RealtimeLLM(
            settings=RealtimeSettings(instructions=""),
            api_key=call.settings.api_key(),
            greeting="Good evening!",
            connect=call.connect,
            clock=call.clock,
        )
        return Pipeline(
            [
                call.transport.input(),
                IdentityFilter(),
                MulawDecoder(),
                VADProcessor(vad_analyzer=make_vad()),
                heard,
                Resampler(24_000),
                FunctionFilter(filter=everything),
                model,
                FrameFilter(types=(Frame,)),
                Resampler(8_000),
                IdentityFilter(),
                MulawEncoder(),
                IdentityFilter(),
                call.transport.output(),
                AudioBufferProcessor(),
            ]
        )

    assert build
    with phone.dial(bot, model=RECEPTIONIST) as call:
        call.expect(words="good evening", within_ms=2_000)
        call.wait_for_bot()
        call.say("Where are you?")
        call.cut_in("Nothing at all", after_ms=300)
        call.expect(bot="quiet", within_ms=1_000)
        call.expect(words="I did not understand that")
    assert call.result.understood == ["Where are you?", "Nothing at all"]
    assert call.result.logged == []
    if make_vad is ToneVAD:
        assert heard.started == 2
