"""Finds the tool that the caller asks for, by the words in its name, description and parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ....speech.extra import import_extra
from .parameters import parameters

__all__ = ["is_goodbye", "matching_tool"]

_NAME_WEIGHT, _SYNONYM_WEIGHT, _PARAMETER_WEIGHT, _DESCRIPTION_WEIGHT = 3.0, 2.5, 1.0, 0.7
_THRESHOLD = 2.0
"""One word of a tool's name is enough, a word of its description is not."""
_SAME_WORD = 85
"""Per cent of letters in which two words agree."""

_SYNONYMS = (
    {"book", "booking", "reserve", "reservation", "table", "appointment", "schedule"},
    {"open", "hour", "close", "closed", "closing"},
    {"cancel", "cancellation"},
    {"transfer", "human", "operator", "representative", "person", "agent", "connect"},
    {"price", "cost", "charge", "expensive", "much"},
    {"weather", "temperature", "forecast", "rain", "sunny"},
    {"order", "status", "track", "package", "delivery", "parcel"},
    {"callback", "ring", "message"},
    {"address", "where", "located", "location", "direction"},
)  # fmt: skip
_COMMON_WORDS = (
    "a an and are as at be by call caller can could do does did for from get give have hello hi how "
    "i if in is it like many me my name of on or please tell that the their there they this time to "
    "today under want we what when will with would you your"
)
_COMMON = frozenset(_COMMON_WORDS.split())
"""Words that ask for nothing in particular."""
_GOODBYE = re.compile(
    r"\b(?:good\W?bye|bye|bye.?bye|hang up|that(?:'s| is| will be|'ll be) (?:all|it|everything)|nothing else"
    r"|no,? (?:thanks|thank you)|have a (?:nice|good|great|lovely) (?:day|evening|night|weekend|one))\b",
    re.IGNORECASE,
)


def is_goodbye(text: str) -> bool:
    """Return whether the caller ends the call."""
    return _GOODBYE.search(text) is not None


def matching_tool(text: str, tools: Sequence[Mapping[str, object]]) -> Mapping[str, object] | None:
    """Return the tool that shares the weightiest words with the text, None when no tool shares enough.

    Raises:
        MissingExtraError: rapidfuzz is not installed.
    """
    said = _words(text)
    scored = [(_score(said, _vocabulary(tool)), -place, tool) for place, tool in enumerate(tools)]
    score, _, tool = max(scored, key=lambda entry: entry[:2], default=(0.0, 0, None))
    return tool if score >= _THRESHOLD else None


def _score(said: set[str], vocabulary: Mapping[str, float]) -> float:
    fuzz = import_extra("rapidfuzz.fuzz")
    return sum(
        max(
            (weight for known, weight in vocabulary.items() if fuzz.ratio(word, known) >= _SAME_WORD),
            default=0.0,
        )
        for word in said
    )


def _vocabulary(tool: Mapping[str, object]) -> dict[str, float]:
    """Return the words that ask for a tool, with their weights."""
    wanted = parameters(tool)
    name = _words(str(tool.get("name", "")).replace("_", " "))
    weights = dict.fromkeys(_words(str(tool.get("description", ""))), _DESCRIPTION_WEIGHT)
    for parameter in wanted:
        choices = " ".join(str(choice) for choice in parameter.choices)
        weights |= dict.fromkeys(_words(f"{parameter.words} {choices}"), _PARAMETER_WEIGHT)
    for group in _SYNONYMS:
        stems = {_stem(word) for word in group}
        if stems & name:
            weights |= dict.fromkeys(stems, _SYNONYM_WEIGHT)
    return weights | dict.fromkeys(name, _NAME_WEIGHT)


def _words(text: str) -> set[str]:
    return {_stem(word) for word in re.findall(r"[a-z]{2,}", text.lower()) if word not in _COMMON}


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
