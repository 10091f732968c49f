"""Processors: they work on frames. Tools and their router are in `callpipe.processors.tools`."""

from .mulaw import MulawDecoder, MulawEncoder
from .prerecorded import prerecorded
from .realtime import RealtimeLLM
from .recorder import Recorder
from .resampler import Resampler
from .stock_audio import AudioFilter, AudioMixer

__all__ = [
    "AudioFilter",
    "AudioMixer",
    "MulawDecoder",
    "MulawEncoder",
    "RealtimeLLM",
    "Recorder",
    "Resampler",
    "prerecorded",
]
