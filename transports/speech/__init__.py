"""Speech without a network: tones for exact tests, small models for real words."""

from .demo_words import DemoBooking, random_booking
from .extra import MissingExtraError
from .hibari_voice import HibariVoice
from .interfaces import (
    Brain,
    CallTool,
    Ear,
    Heard,
    Say,
    SpeechDetector,
    SpeechEdge,
    ToolOutput,
    Voice,
)
from .silero_detector import SileroDetector
from .tones import ToneDetector, ToneEar, ToneVoice
from .whisper_ear import WhisperEar

__all__ = [
    "Brain",
    "CallTool",
    "DemoBooking",
    "Ear",
    "Heard",
    "HibariVoice",
    "MissingExtraError",
    "Say",
    "SileroDetector",
    "SpeechDetector",
    "SpeechEdge",
    "ToneDetector",
    "ToneEar",
    "ToneVoice",
    "ToolOutput",
    "Voice",
    "WhisperEar",
    "random_booking",
]
