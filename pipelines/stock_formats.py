"""Which audio pipecat's own processors take and give, as far as they say so."""

from __future__ import annotations

import sys

from pipecat.processors.frame_processor import FrameProcessor

from callpipe.processors.stock_audio import AudioFilter, AudioMixer
from callpipe.transports.audio.formats import AudioFormat, Encoding, Tracks
from callpipe.transports.errors import FormatMismatchError

PIPELINE_RATE = 8_000
"""The sample rate, in Hz, that callpipe tells stock processors; those without one of their own go by it."""


def stock_formats(processor: FrameProcessor, tracks: Tracks) -> Tracks:
    """Return the tracks behind one of pipecat's processors.

    A speech-to-text service, and whatever has a voice activity detector, takes the caller's audio as PCM at the
    rate it was given, or at the pipeline's. A text-to-speech service begins the bot's track. Others pass audio
    on.

    Raises:
        FormatMismatchError: It does not take the caller's audio as it comes.
    """
    _check_plain(processor, tracks)
    taken = _taken_rate(processor)
    if taken is not None and tracks.caller is not None:
        accepted = AudioFormat(Encoding.PCM, taken)
        if tracks.caller != accepted:
            raise FormatMismatchError("caller", str(tracks.caller), str(accepted))
    if _is(processor, "pipecat.services.tts_service", "TTSService"):
        rate: int | None = vars(processor)["_init_sample_rate"]
        return tracks.with_bot(AudioFormat(Encoding.PCM, rate or PIPELINE_RATE))
    return tracks


def _check_plain(processor: FrameProcessor, tracks: Tracks) -> None:
    """Refuse a filter, or a mixer, of audio that it would let pass unheard."""
    for kind, track, audio_format in (
        (AudioFilter, "caller", tracks.caller),
        (AudioMixer, "bot", tracks.bot),
    ):
        if isinstance(processor, kind) and audio_format and audio_format.encoding is not Encoding.PCM:
            raise FormatMismatchError(track, str(audio_format), "PCM")


def _taken_rate(processor: FrameProcessor) -> int | None:
    """Return the rate at which a processor takes the caller's audio; None where it does not say.

    pipecat keeps it in private attributes; tests/pipelines/test_stock_formats.py holds their names.
    """
    if _is(processor, "pipecat.services.stt_service", "STTService"):
        rate: int | None = vars(processor)["_init_sample_rate"]
        return rate or PIPELINE_RATE
    analyzer: object = None
    if _is(processor, "pipecat.processors.aggregators.llm_response_universal", "LLMUserAggregator"):
        analyzer = getattr(vars(processor)["_params"], "vad_analyzer")  # noqa: B009  it is untyped here
    elif _is(processor, "pipecat.processors.audio.vad_processor", "VADProcessor"):
        analyzer = getattr(vars(processor)["_vad_controller"], "_vad_analyzer")  # noqa: B009  as above
    if analyzer is None:
        return None
    own: int | None = vars(analyzer)["_init_sample_rate"]
    return own or PIPELINE_RATE


def _is(processor: FrameProcessor, module: str, name: str) -> bool:
    """Say whether a processor is of a class of pipecat's, without importing what nobody uses."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(processor, getattr(loaded, name))
