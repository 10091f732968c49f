"""What a rehearsed call shows: silence, words, memory, tool calls, how it ended. Pure: evidence to figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from callpipe.transports.speech.interfaces import CallTool, Heard, Say, ToolOutput

from .conversation import (
    APOLOGY,
    EXCHANGES,
    GOODBYE,
    GREETING,
    TOOL,
    TOOL_RESULT,
    History,
    Words,
    words_in,
)

LONGEST_SILENCE_S = 1.0
"""What a recoverable fault may cost the caller, beyond the model's own delays."""

PAUSE_S = 0.25
"""A shorter pause is part of an utterance."""

_SHORTEST_S = 0.05
"""A shorter sound is a click, which breaks no silence."""

_FRAME_S = 0.01
_LOUD_RMS = 100.0
_RATE = 8_000

Span = tuple[float, float]
"""From when to when, in seconds since the call was answered."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something that was said without a pause, by anybody.

    Attributes:
        start_s: When it began, since the call was answered.
        end_s: When it ended.
        words: What an ear makes of it.
    """

    start_s: float
    end_s: float
    words: Words = field(repr=False)


class Outcome(StrEnum):
    """How a call ended."""

    WENT_ON = "went on"
    """The conversation came to its goodbye."""
    APOLOGISED = "apologised"
    """The carrier said the bot's apology."""
    BROKE_OFF = "broke off"
    """It ended without a word."""
    SILENT = "silent"
    """The caller waited for an answer until they gave up."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a call when it is over. Times are in seconds since it was answered.

    Attributes:
        said: What the caller said.
        heard: What the caller heard.
        ended_s: When the call ended.
        gave_up: Whether the caller lost patience.
        model_busy: When the model took its own time: to open a session, to find the end of a turn, to think;
            and when a tool ran.
        asked: The history behind every answer that the model was asked for, oldest first.
        tool_runs: How often the tool ran.
        sessions: How many sessions were opened.
    """

    said: Sequence[Utterance]
    heard: Sequence[Utterance]
    ended_s: float
    gave_up: bool
    model_busy: Sequence[Span]
    asked: Sequence[History] = field(repr=False)
    tool_runs: int
    sessions: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Words that should each be there once, counted.

    Attributes:
        expected: How many should.
        lost: How many are not there.
        repeated: How often a word is there once too many.
    """

    expected: int
    lost: int
    repeated: int

    @property
    def is_exact(self) -> bool:
        """Whether every word is there once."""
        return not self.lost and not self.repeated


@dataclass(frozen=True, slots=True)
class Figures:
    """What a call shows.

    Attributes:
        outcome: How it ended.
        silence_s: The longest the caller heard nothing while they were owed audio, beyond the model's delays.
        caller_words: The words the caller said, in the model's memory at the end.
        bot_words: The words the caller was to hear, as they heard them.
        memory: The words of the bot that the caller heard, in the model's memory at the end.
        tool_runs: How often the tool ran.
        tool_calls: How often its call is in the model's memory at the end.
        tool_results: How often its result is.
        sessions: How many sessions were opened.
    """

    outcome: Outcome
    silence_s: float
    caller_words: Tally
    bot_words: Tally
    memory: Tally
    tool_runs: int
    tool_calls: int
    tool_results: int
    sessions: int

    @property
    def memory_held(self) -> bool:
        """Whether the model knew at the end what was said and done, each thing once."""
        tools = (self.tool_calls, self.tool_results) == (1, 1)
        return self.caller_words.is_exact and self.memory.is_exact and tools

    def breaches(self, *, recoverable: bool) -> list[str]:
        """Return what of the promise the call does not keep, in a few words each."""
        ended = [f"the call {_ENDED[self.outcome]}"]
        if not recoverable:
            return [] if self.outcome in (Outcome.APOLOGISED, Outcome.WENT_ON) else ended
        silence = [f"{self.silence_s:.1f} s of silence"] if self.silence_s > LONGEST_SILENCE_S else []
        if self.outcome is not Outcome.WENT_ON:
            return [*ended, *silence]
        told = [
            (self.caller_words.lost, f"{self.caller_words.lost} words of the caller lost"),
            (self.caller_words.repeated, f"{self.caller_words.repeated} words of the caller repeated"),
            (self.bot_words.repeated, f"{self.bot_words.repeated} words repeated to the caller"),
            (self.tool_runs != 1, f"the tool ran {self.tool_runs} times"),
            (not self.memory_held, "memory not held"),
        ]
        return silence + [breach for broken, breach in told if broken]


_ENDED = {
    Outcome.WENT_ON: "went on",
    Outcome.APOLOGISED: "ended with the apology",
    Outcome.BROKE_OFF: "broke off",
    Outcome.SILENT: "stayed open and silent",
}


def figures(evidence: Evidence) -> Figures:
    """Return what a call shows."""
    heard = _heard_words(evidence)
    memory = evidence.asked[-1] if evidence.asked else ()
    calls = [entry for entry in memory if isinstance(entry, CallTool) and entry.name == TOOL]
    results = [entry for entry in memory if isinstance(entry, ToolOutput) and TOOL_RESULT in entry.output]
    said = [word for exchange in EXCHANGES[: len(evidence.said)] for word in exchange.said]
    return Figures(
        outcome=_outcome(evidence, heard),
        silence_s=longest_silence(owed(evidence), evidence.heard, evidence.model_busy),
        caller_words=tally(said, _words(memory, Heard)),
        bot_words=tally(_to_be_heard(evidence), heard),
        memory=_remembered(heard, _words(memory, Say)),
        tool_runs=evidence.tool_runs,
        tool_calls=len(calls),
        tool_results=len(results),
        sessions=evidence.sessions,
    )


def utterances(pcm: bytes, hear: Callable[[bytes, int], str]) -> list[Utterance]:
    """Return what is said in PCM16 at 8 kHz. Pauses too short to end an utterance are not given to the ear."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    frame = int(_RATE * _FRAME_S)
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    loud = np.flatnonzero(np.sqrt(np.mean(frames**2, axis=1)) >= _LOUD_RMS)
    if not loud.size:
        return []
    found: list[Utterance] = []
    for stretch in np.split(loud, np.flatnonzero(np.diff(loud) > PAUSE_S / _FRAME_S) + 1):
        if len(stretch) * _FRAME_S < _SHORTEST_S:
            continue
        audio = frames[stretch].astype("<i2").tobytes()
        end_s = (int(stretch[-1]) + 1) * _FRAME_S
        found.append(Utterance(int(stretch[0]) * _FRAME_S, end_s, tuple(words_in(hear(audio, _RATE)))))
    return found


def owed(evidence: Evidence) -> list[Span]:
    """Return when the caller was owed audio: from each of their turns to the end of its answer.

    An answer whose end never came is owed until the caller speaks again; one that the caller cut short, and
    one that the apology stands in for, is owed no longer.
    """
    starts = [0.0, *(utterance.end_s for utterance in evidence.said)]
    limits = [*(utterance.start_s for utterance in evidence.said), evidence.ended_s]
    last_words = [GREETING[-1], *(exchange.answer[-1] for exchange in EXCHANGES)]
    spans: list[Span] = []
    for start_s, limit_s, last_word in zip(starts, limits, last_words, strict=False):
        paid = (
            utterance.end_s
            for utterance in evidence.heard
            if start_s < utterance.end_s and {last_word, APOLOGY} & set(utterance.words)
        )
        spans.append((start_s, max(start_s, min(next(paid, limit_s), limit_s))))
    return spans


def longest_silence(
    owed_spans: Iterable[Span], heard: Sequence[Utterance], model_busy: Sequence[Span]
) -> float:
    """Return the longest silence within the spans, in seconds, less what of it the model was busy."""
    longest = 0.0
    for span in owed_spans:
        for gap in _without(span, [(utterance.start_s, utterance.end_s) for utterance in heard]):
            longest = max(longest, sum(end_s - start_s for start_s, end_s in _without(gap, model_busy)))
    return longest


def tally(expected: Sequence[str], found: Iterable[str]) -> Tally:
    """Count the expected words among those found; others don't count."""
    counts = Counter(found)
    lost = sum(not counts[word] for word in expected)
    return Tally(len(expected), lost, sum(max(0, counts[word] - 1) for word in expected))


def _without(span: Span, taken: Sequence[Span]) -> list[Span]:
    """Return what is left of a span."""
    left: list[Span] = []
    at = span[0]
    for start_s, end_s in sorted(taken):
        if start_s >= span[1]:
            break
        if start_s > at:
            left.append((at, start_s))
        at = max(at, end_s)
    return [*left, (at, span[1])] if at < span[1] else left


def _heard_words(evidence: Evidence) -> list[str]:
    return [word for utterance in evidence.heard for word in utterance.words]


def _to_be_heard(evidence: Evidence) -> list[str]:
    """Return the words of every answer that nobody cut short."""
    answered = EXCHANGES[: len(evidence.said)]
    whole = [word for exchange in answered if not exchange.cut_short for word in exchange.answer]
    return [*GREETING, *whole]


def _remembered(heard: Sequence[str], told: Sequence[str]) -> Tally:
    """Count what the caller heard, but for the last answer, among what the model was told that it said.

    The word on which an answer was cut may have been heard and not be told, or the other way round.
    """
    answers = [GREETING, *(exchange.answer for exchange in EXCHANGES[:-1])]
    expected: list[str] = []
    unheard: list[str] = []
    for answer in answers:
        whole = [word for word in answer if word in heard]
        rest = [word for word in answer if word not in heard]
        cut = bool(whole and rest)
        expected += whole[:-1] if cut else whole
        unheard += rest[1:] if cut else rest
    counts = Counter(told)
    lost = sum(not counts[word] for word in expected)
    twice = sum(max(0, counts[word] - 1) for word in expected)
    return Tally(len(expected), lost, twice + sum(counts[word] for word in unheard))


def _words(memory: History, kind: type[Heard] | type[Say]) -> list[str]:
    return [word for entry in memory if isinstance(entry, kind) for word in words_in(entry.text)]


def _outcome(evidence: Evidence, heard: Sequence[str]) -> Outcome:
    if GOODBYE in heard:
        return Outcome.WENT_ON
    if APOLOGY in heard:
        return Outcome.APOLOGISED
    return Outcome.SILENT if evidence.gave_up else Outcome.BROKE_OFF
