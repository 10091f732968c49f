"""A brain without a network: small models hear and speak, and rules decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from ....speech.hibari_voice import HibariVoice
from ....speech.interfaces import CallTool, Ear, Heard, Say, SpeechDetector, ToolOutput, Voice
from ....speech.silero_detector import SileroDetector
from ....speech.whisper_ear import WhisperEar
from .dialogue import greeting, next_turn

__all__ = ["OfflineBrain"]

_DETECTOR_SILENCE_MS = 200
"""Short, so that the session's own silence decides when a turn ends."""


class OfflineBrain:
    """A demo brain, not a language model: it understands what its rules list, and nothing else.

    It matches what the caller says to the words of the session's tools, fills their arguments by their JSON
    Schema, asks for a missing one, and speaks the output through a template. It keeps no state between
    answers: all it knows is in the conversation's history.

    Args:
        today: Gives the day that "tomorrow" comes after.

    Raises:
        MissingExtraError: The extra `offline` is not installed.
    """

    banner = "offline demo brain: rules and small speech models, not a language model; it knows only its tools"

    def __init__(self, today: Callable[[], date] = date.today) -> None:
        self._hibari = HibariVoice()
        self._whisper = WhisperEar()
        self.voice: Voice = self._hibari
        self.ear: Ear = self._whisper
        self._today = today

    def warm_up(self) -> None:
        """Load everything now, so that the first answer is as fast as the others."""
        self._hibari.warm_up()
        self._whisper.warm_up()
        SileroDetector()

    def detector(self) -> SpeechDetector:
        """Make the speech detector of one new stream."""
        return SileroDetector(_DETECTOR_SILENCE_MS)

    def greet(self, instructions: str) -> list[Say | CallTool]:
        """Say the sentence that the instructions dictate, or a greeting."""
        return [Say(greeting(instructions))]

    def answer(
        self,
        instructions: str,
        tools: Sequence[Mapping[str, object]],
        history: Sequence[Heard | Say | CallTool | ToolOutput],
    ) -> list[Say | CallTool]:
        """Answer what was heard, or speak what the tools gave back."""
        return next_turn(instructions, tools, history, self._today())
