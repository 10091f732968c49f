"""Pipelines that most bots need, ready made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipecat.processors.frame_processor import FrameProcessor

from callpipe.processors.mulaw import MulawDecoder, MulawEncoder
from callpipe.processors.prerecorded import prerecorded
from callpipe.processors.realtime import SORRY_ONE_MOMENT, RealtimeLLM
from callpipe.processors.recorder import Recorder
from callpipe.processors.resampler import Resampler
from callpipe.processors.tools import Tool, ToolRouter
from callpipe.transports.audio.formats import PCM_24K, PCMU_8K
from callpipe.transports.encoded_audio import EncodedAudio
from callpipe.transports.realtime import RealtimeSettings
from callpipe.transports.realtime.endpoints import RealtimeEndpoint

from .call import Call
from .pipeline import Pipeline
from .settings import Recording

Tools = Sequence[Tool | Callable[..., Any]]
Speech = Path | str | bytes

ONE_MOMENT_PLEASE = Path(__file__).with_name("one_moment_please.wav")
"""The words of its name in English, 1.2 s, by a neutral voice (hibari-tts)."""

for _format in (PCM_24K, PCMU_8K):  # here, because a call's first moments wait for no disk
    prerecorded(ONE_MOMENT_PLEASE, _format)


def realtime_call(
    call: Call,
    *,
    instructions: str,
    tools: Tools = (),
    greeting: str | None = None,
    greeting_audio: Speech | None = None,
    holding_phrase: Speech | None = ONE_MOMENT_PLEASE,
    resuming_phrase: Speech | None = SORRY_ONE_MOMENT,
    endpoints: Sequence[RealtimeEndpoint] = (),
    **model: Any,
) -> Pipeline:
    """Return the full chain: the caller's PCMU becomes PCM at 24 kHz for the model, and back.

    Args:
        call: The call.
        instructions: What the model is told to be and do.
        tools: The `@tool` functions it may call.
        greeting: What it says first; None lets the caller speak first.
        greeting_audio: The greeting's words from a file or bytes, see `prerecorded`. The caller hears them as
            soon as the media stream starts, whether the model is there yet or not.
        holding_phrase: What the caller hears whenever a lost model or a failed answer would leave them in
            silence for more than 0.8 s; a file or bytes, as `greeting_audio`. The default is English: give your
            own in the bot's language and voice. None leaves the silence.
        resuming_phrase: What the caller hears at once when the call goes on in another media stream, because
            one was lost; as `holding_phrase`. The default is English; None leaves the silence.
        endpoints: Where else the model is reached when `OPENAI_BASE_URL` does not answer, in this order.
        **model: Further fields of `RealtimeSettings`, such as ``voice`` or ``turn_detection``.

    Raises:
        PipelineFormatError: Never for this chain by itself.
        PrerecordedSpeechError: `greeting_audio` or `holding_phrase` can't be played.
        ValueError: `greeting_audio` comes without `greeting`.
        pydantic.ValidationError: `RealtimeSettings` does not take one of `model`.
    """
    settings = RealtimeSettings(instructions=instructions, audio_format=PCM_24K, **model)
    speech = _Speech(greeting, greeting_audio, holding_phrase, resuming_phrase)
    router = ToolRouter(tools, clock=call.clock)
    return Pipeline(
        [
            call.transport.input(),
            MulawDecoder(),
            Resampler(24_000),
            _model(call, router, settings, speech, endpoints),
            router,
            *recorder(call),
            Resampler(8_000),
            MulawEncoder(),
            call.transport.output(),
        ]
    )


def passthrough_call(
    call: Call,
    *,
    instructions: str,
    tools: Tools = (),
    greeting: str | None = None,
    greeting_audio: Speech | None = None,
    holding_phrase: Speech | None = ONE_MOMENT_PLEASE,
    resuming_phrase: Speech | None = SORRY_ONE_MOMENT,
    endpoints: Sequence[RealtimeEndpoint] = (),
    **model: Any,
) -> Pipeline:
    """Return the short chain: the model speaks PCMU itself, and payloads pass untouched in base64.

    It adds the least delay and costs the least. Takes what `realtime_call` takes.
    """
    settings = RealtimeSettings(instructions=instructions, audio_format=PCMU_8K, **model)
    speech = _Speech(greeting, greeting_audio, holding_phrase, resuming_phrase)
    router = ToolRouter(tools, clock=call.clock)
    return Pipeline(
        [
            call.transport.input(),
            _model(call, router, settings, speech, endpoints),
            router,
            *recorder(call),
            call.transport.output(),
        ]
    )


def recorder(call: Call) -> list[FrameProcessor]:
    """Return a recorder for the call, or nothing where calls are not recorded (`CALLPIPE_RECORDING`)."""
    if call.settings.recording is Recording.OFF:
        return []
    began_at = None if call.restored is None else call.restored.line_began_at
    return [Recorder(call.recording_path, began_at=began_at)]


class _Speech(NamedTuple):
    """What the bot says without the model."""

    greeting: str | None
    greeting_audio: Speech | None
    holding_phrase: Speech | None
    resuming_phrase: Speech | None


def _model(
    call: Call,
    router: ToolRouter,
    settings: RealtimeSettings,
    speech: _Speech,
    endpoints: Sequence[RealtimeEndpoint],
) -> RealtimeLLM:
    def recorded(words: Speech | None) -> EncodedAudio | None:
        return None if words is None else prerecorded(words, settings.audio_format)

    key = call.settings.openai_api_key
    return RealtimeLLM(
        settings=settings,
        tools=router.tools,
        api_key=key.get_secret_value() if key is not None else "",
        base_url=call.settings.openai_base_url,
        greeting=speech.greeting,
        greeting_audio=recorded(speech.greeting_audio),
        holding_phrase=recorded(speech.holding_phrase),
        resuming_phrase=speech.resuming_phrase,
        endpoints=endpoints,
        connect=call.connect,
        clock=call.clock,
    )
