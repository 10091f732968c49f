"""Speech without a network: tones for exact tests, small models for real words."""

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
from .tones import ToneDetector, ToneEar, ToneVoice

__all__ = [
    "Brain",
    "CallTool",
    "Ear",
    "Heard",
    "Say",
    "SpeechDetector",
    "SpeechEdge",
    "ToneDetector",
    "ToneEar",
    "ToneVoice",
    "ToolOutput",
    "Voice",
]
