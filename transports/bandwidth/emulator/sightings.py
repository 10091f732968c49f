"""What is known of a call while it goes on: the words that were heard, the tools that were called.

The times here are milliseconds of what the caller has heard since the call was answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class HeardWords:
    """Something the bot said.

    Attributes:
        began_ms: When it began.
        text: The words.
    """

    began_ms: float
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SeenToolCall:
    """A tool that the bot's model called.

    Attributes:
        at_ms: When it was seen.
        name: The tool's name.
        arguments: What it was called with; empty where that is no JSON object.
        outcome: How it went, as the server tells it.
        output: What the model was answered, JSON text.
    """

    at_ms: float
    name: str
    arguments: Mapping[str, Any] = field(repr=False)
    outcome: str = ""
    output: str = field(default="", repr=False)

    def has(self, arguments: Mapping[str, Any]) -> bool:
        """Say whether these are among its arguments."""
        given = self.arguments
        return all(name in given and given[name] == value for name, value in arguments.items())


class Sightings:
    """What the expectations of one call look at.

    A carrier sees no tools, and knows the bot's words only where the caller has an ear. Whoever runs the server
    too, as the demo and the pytest plugin do, gives the call sightings that it fills.

    Args:
        tells_tools: Tool calls are told here.
        tells_words: The bot's words are told here, so that nobody has to listen for them.

    Attributes:
        words: What the bot said, in order.
        tool_calls: Its tool calls, in order.
        listening: Bursts of speech that are being turned into words.
    """

    def __init__(self, *, tells_tools: bool = False, tells_words: bool = False) -> None:
        self.tells_tools = tells_tools
        self.tells_words = tells_words
        self.words: list[HeardWords] = []
        self.tool_calls: list[SeenToolCall] = []
        self.listening = 0
        self._now_ms = 0.0
        self._burst_began_ms = 0.0

    def follow(self, now_ms: float, burst_began_ms: float | None) -> None:
        """Take the time: what has been heard so far, and when the latest burst of speech began."""
        self._now_ms = now_ms
        self._burst_began_ms = burst_began_ms or 0.0

    def bot_said(self, text: str, began_ms: float | None = None) -> None:
        """Add what the bot said; by default in the latest burst."""
        if text:
            self.words.append(HeardWords(self._burst_began_ms if began_ms is None else began_ms, text))

    def tool_called(self, name: str, arguments: str, outcome: str = "", output: str = "") -> None:
        """Add a tool call that was just seen.

        Args:
            name: The tool's name.
            arguments: As the model wrote them: JSON text, possibly broken.
            outcome: How it went.
            output: What the model was answered.
        """
        try:
            given: object = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            given = None
        mapping = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        self.tool_calls.append(SeenToolCall(self._now_ms, name, mapping, outcome, output))


def plain_words(text: str) -> str:
    """Return a text's words in lower case, with one space between and around them, without punctuation."""
    letters = "".join(letter if letter.isalnum() else " " for letter in text.casefold().replace("'", ""))
    return f" {' '.join(letters.split())} "
