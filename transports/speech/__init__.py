"""Voices, ears and speech detectors: synthetic tones for tests, offline models for a call without a network."""

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

__all__ = [
    "Brain",
    "CallTool",
    "Ear",
    "Heard",
    "Say",
    "SpeechDetector",
    "SpeechEdge",
    "ToolOutput",
    "Voice",
]
