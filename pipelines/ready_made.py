"""Pipelines that most bots need, ready made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipecat.processors.frame_processor import FrameProcessor

from callpipe.processors.mulaw import MulawDecoder, MulawEncoder
from callpipe.processors.prerecorded import prerecorded
from callpipe.processors.realtime import RealtimeLLM
from callpipe.processors.recorder import Recorder
from callpipe.processors.resampler import Resampler
from callpipe.processors.tools import Tool, ToolRouter
from callpipe.transports.audio.formats import PCM_24K, PCMU_8K
from callpipe.transports.realtime.settings import RealtimeSettings

from .call import Call
from .pipeline import Pipeline
from .settings import Recording

Tools = Sequence[Tool | Callable[..., Any]]
Speech = Path | str | bytes


def realtime_call(
    call: Call,
    *,
    instructions: str,
    tools: Tools = (),
    greeting: str | None = None,
    greeting_audio: Speech | None = None,
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
        **model: Further fields of `RealtimeSettings`, such as ``voice`` or ``turn_detection``.

    Raises:
        PipelineFormatError: Never for this chain by itself.
        PrerecordedSpeechError: `greeting_audio` can't be played.
        ValueError: `greeting_audio` comes without `greeting`.
        pydantic.ValidationError: `RealtimeSettings` does not take one of `model`.
    """
    settings = RealtimeSettings(instructions=instructions, audio_format=PCM_24K, **model)
    router = ToolRouter(tools)
    return Pipeline(
        [
            call.transport.input(),
            MulawDecoder(),
            Resampler(24_000),
            _model(call, router, settings, greeting, greeting_audio),
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
    **model: Any,
) -> Pipeline:
    """Return the short chain: the model speaks PCMU itself, and payloads pass untouched in base64.

    It adds the least delay and costs the least. Takes what `realtime_call` takes.
    """
    settings = RealtimeSettings(instructions=instructions, audio_format=PCMU_8K, **model)
    router = ToolRouter(tools)
    return Pipeline(
        [
            call.transport.input(),
            _model(call, router, settings, greeting, greeting_audio),
            router,
            *recorder(call),
            call.transport.output(),
        ]
    )


def recorder(call: Call) -> list[FrameProcessor]:
    """Return a recorder for the call, or nothing where calls are not recorded (`CALLPIPE_RECORDING`)."""
    return [] if call.settings.recording is Recording.OFF else [Recorder(call.recording_path)]


def _model(
    call: Call,
    router: ToolRouter,
    settings: RealtimeSettings,
    greeting: str | None,
    greeting_audio: Speech | None,
) -> RealtimeLLM:
    key = call.settings.openai_api_key
    return RealtimeLLM(
        settings=settings,
        tools=router.tools,
        api_key=key.get_secret_value() if key is not None else "",
        base_url=call.settings.openai_base_url,
        greeting=greeting,
        greeting_audio=None if greeting_audio is None else prerecorded(greeting_audio, settings.audio_format),
        connect=call.connect,
        clock=call.clock,
    )
