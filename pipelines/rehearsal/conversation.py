"""The conversation of a rehearsed call: who says which words, and a model that remembers only what it is told.

Every word is said once in the whole conversation, so that a word which is lost or said twice can be told by
counting. The model is deterministic: it says of an answer what is not in its history yet, so whatever callpipe
tells a new session wrongly is heard by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from callpipe.transports.bandwidth.emulator import CallerScript
from callpipe.transports.bandwidth.emulator.script import CutIn, HangUp, Silence, Step, WaitForBot
from callpipe.transports.bandwidth.emulator.script import Say as SayStep
from callpipe.transports.speech.interfaces import CallTool, Ear, Heard, Say, SpeechDetector, ToolOutput, Voice
from callpipe.transports.speech.tones import ToneDetector, ToneEar, ToneVoice

History: TypeAlias = Sequence[Heard | Say | CallTool | ToolOutput]
Words: TypeAlias = tuple[str, ...]

TOOL = "look_up"
TOOL_S = 0.8
"""How long the tool takes."""
TOOL_RESULT = "table"
"""What the tool gives; it is in the history and never spoken."""

APOLOGY = "sorry"
"""What the carrier says when the bot can't go on."""

HOLDING_PHRASE = "one moment please"
"""What the caller hears when the model can't be reached for a while; no word of the conversation."""

QUIET_MS = 2_500.0
"""How long the caller waits for more before they go on."""
PATIENCE_S = 20.0
"""How long the caller waits for anything."""

_WORD = re.compile(rf"[bc]\d{{3}}|{APOLOGY}")
"""A whole word, even where the piece of another one stands right before it."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Something the caller says, and the answer.

    Attributes:
        said: The caller's words.
        answer: The bot's.
        looks_up: The model calls the tool before it answers.
        cut_short: The caller cuts into the answer, so the rest of it is owed to nobody.
    """

    said: Words
    answer: Words
    looks_up: bool = False
    cut_short: bool = False


def _words(kind: str, number: int, count: int) -> Words:
    return tuple(f"{kind}{number}{place:02}" for place in range(count))


GREETING: Words = _words("b", 0, 10)
EXCHANGES = (
    Exchange(_words("c", 1, 6), _words("b", 1, 12)),
    Exchange(_words("c", 2, 6), _words("b", 2, 10), looks_up=True),
    Exchange(_words("c", 3, 6), _words("b", 3, 24), cut_short=True),
    Exchange(_words("c", 4, 6), _words("b", 4, 10)),
    Exchange(_words("c", 5, 6), _words("b", 5, 8)),
)
GOODBYE = EXCHANGES[-1].answer[-1]
"""The last word of the conversation."""

CUT_IN_AFTER_MS = 1_500.0


def words_in(text: str) -> list[str]:
    """Return the conversation's words that a text holds; pieces of words are none."""
    return _WORD.findall(text)


def caller_script() -> CallerScript:
    """Return what the caller does."""
    wait = WaitForBot(quiet_ms=QUIET_MS, deadline_s=PATIENCE_S)
    steps: list[Step] = [wait]
    cuts_in = False
    for exchange in EXCHANGES:
        text = " ".join(exchange.said)
        if cuts_in:
            steps.append(CutIn(after_ms=CUT_IN_AFTER_MS, say=text, deadline_s=PATIENCE_S))
        else:
            steps.append(SayStep(text=text))
        cuts_in = exchange.cut_short
        if not cuts_in:
            steps.append(wait)
    steps += [Silence(ms=200), HangUp()]
    return CallerScript.model_validate({"name": "rehearsal", "steps": steps})


@dataclass
class Memory:
    """What the model's sessions were told of the conversation.

    Attributes:
        asked: The history behind every answer that was asked of a brain, oldest first.
    """

    asked: list[History] = field(default_factory=list[History], repr=False)


class RehearsalBrain:
    """The brain of one session: answers by its history alone.

    Args:
        memory: Where it notes what it was told.
    """

    def __init__(self, memory: Memory) -> None:
        self.voice: Voice = ToneVoice()
        self.ear: Ear = ToneEar()
        self._memory = memory

    def detector(self) -> SpeechDetector:
        """Make the speech detector of one new stream; the session's own silence decides when a turn ends."""
        return ToneDetector(silence_ms=100)

    def greet(self, instructions: str) -> list[Say | CallTool]:
        """Greet, when nothing was said yet."""
        del instructions
        self._memory.asked.append(())
        return _rest(GREETING, ())

    def answer(
        self, instructions: str, tools: Sequence[Mapping[str, object]], history: History
    ) -> list[Say | CallTool]:
        """Say what is left to say to the caller's last turn, or look it up first."""
        del instructions, tools
        self._memory.asked.append(tuple(history))
        heard = [place for place, entry in enumerate(history) if isinstance(entry, Heard)]
        if not heard:
            return _rest(GREETING, history)
        since = history[heard[-1] + 1 :]
        exchange = _exchange(history[heard[-1]])
        if exchange is None:
            return []
        if exchange.looks_up and not any(isinstance(entry, CallTool | ToolOutput) for entry in since):
            return [CallTool(TOOL, {"key": exchange.said[0]})]
        if exchange.looks_up and not any(isinstance(entry, ToolOutput) for entry in since):
            return []
        return _rest(exchange.answer, since)


def _exchange(turn: Heard | Say | CallTool | ToolOutput) -> Exchange | None:
    """Return the latest exchange of which a turn has a word."""
    words = set(words_in(turn.text)) if isinstance(turn, Heard) else set[str]()
    return next((exchange for exchange in reversed(EXCHANGES) if words & set(exchange.said)), None)


def _rest(answer: Words, since: History) -> list[Say | CallTool]:
    """Return the words of an answer behind the last one that the history has."""
    said = {word for entry in since if isinstance(entry, Say) for word in words_in(entry.text)}
    places = [place for place, word in enumerate(answer) if word in said]
    rest = answer[places[-1] + 1 :] if places else answer
    return [Say(" ".join(rest))] if rest else []
