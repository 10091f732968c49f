"""The model's brain in a drill: acts by the conversation it is told, so what it was told can be heard."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from callpipe.transports.speech.interfaces import (
    CallTool,
    Ear,
    Heard,
    Say,
    SpeechDetector,
    ToolOutput,
    Voice,
)
from callpipe.transports.speech.tones import ToneDetector, ToneEar, ToneVoice

History = Sequence[Heard | Say | CallTool | ToolOutput]

STORY = " ".join(f"story{number:02}" for number in range(20))
"""Some ten seconds of tones."""

_FACT = re.compile(r"remember (fact\d+)")


class DrillBrain:
    """Answers by the conversation alone, as it was told to this session."""

    def __init__(self) -> None:
        self.voice: Voice = ToneVoice()
        self.ear: Ear = ToneEar()

    def detector(self) -> SpeechDetector:
        """Make the speech detector of one new stream."""
        return ToneDetector(silence_ms=100)

    def greet(self, instructions: str) -> list[Say | CallTool]:
        """Greet."""
        del instructions
        return [Say("hello")]

    def answer(
        self, instructions: str, tools: Sequence[Mapping[str, object]], history: History
    ) -> list[Say | CallTool]:
        """Do what the caller's last turn asks for; go on where it was broken off."""
        del instructions, tools
        turns = [place for place, entry in enumerate(history) if isinstance(entry, Heard)]
        if not turns:
            return [Say("hello")]
        asked, since = history[turns[-1]], history[turns[-1] + 1 :]
        text = asked.text if isinstance(asked, Heard) else ""
        if "goodbye" in text:
            return [Say("goodbye"), CallTool("end_call", {})]
        if "which word" in text:
            return [Say(f"it was {_fact(history)}")]
        if "look it up" in text:
            called = any(isinstance(entry, CallTool) for entry in since)
            # What the tool takes is no part of what a drill measures, so the bot speaks before it.
            return [Say("looked up")] if called else [Say("let me see"), CallTool("look_up", {"key": "it"})]
        if "a story" in text:
            return [Say(_rest_of_story(since))]
        return [Say("very well")]


def _fact(history: History) -> str:
    facts = [found[1] for entry in history if isinstance(entry, Heard) if (found := _FACT.search(entry.text))]
    return facts[-1] if facts else "forgotten"


def _rest_of_story(since: History) -> str:
    said = " ".join(entry.text for entry in since if isinstance(entry, Say))
    words = STORY.split()
    told = [place for place, word in enumerate(words) if word in said]
    return " ".join(words[told[-1] + 1 :] if told else words) or "the end"
