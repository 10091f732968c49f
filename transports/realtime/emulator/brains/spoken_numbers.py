"""Numbers and times of day as people say them and speech recognition writes them."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Found", "find_count", "find_time", "time_in_words", "with_digits"]


class Found(NamedTuple):
    """A value and the part of the text that says it."""

    value: object
    start: int
    end: int


_SMALL = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: value for value, word in enumerate(_SMALL)} | {
    word: 10 * tens for tens, word in enumerate(_TENS, start=2)
}
_NUMBER_WORD = re.compile(
    rf"\b(?:({'|'.join(_TENS)})[ -]({'|'.join(_SMALL[1:10])})|({'|'.join(_VALUES)}))\b", re.IGNORECASE
)


def with_digits(text: str) -> str:
    """Return the text with its number words up to 99 in digits."""

    def digits(match: re.Match[str]) -> str:
        return str(sum(_VALUES[word.lower()] for word in match.groups() if word))

    return re.sub(r"\b(\d) oh (\d)\b", r"\1 0\2", _NUMBER_WORD.sub(digits, text))


_HOUR = r"(?P<hour>[01]?\d|2[0-3])"
_MERIDIEM = r"(?:\s*(?P<meridiem>[ap])\.?\s?m\b\.?)"
_O_CLOCK = r"(?:\s*o\W?clock)"
_AROUND = r"\b(?:at|around|about|by|for|until|from)\s+"
_PAST = r"\b(?P<part>half|(?:a )?quarter|\d{1,2}(?: minutes)?)\s+(?P<way>past|after|to|before|till)\s+"
_MINUTE = r"(?P<minute>[0-5]\d)"
_TIMES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_PAST}{_HOUR}\b{_O_CLOCK}?{_MERIDIEM}?",
        rf"{_AROUND}{_HOUR}[:.\s-]?{_MINUTE}(?![\d.]*\d)(?!\s+(?:people|persons|guests)){_MERIDIEM}?",
        rf"\b{_HOUR}:{_MINUTE}(?!\d){_MERIDIEM}?",
        rf"\b{_HOUR}[.\s-]?{_MINUTE}{_MERIDIEM}",
        rf"\b{_HOUR}{_O_CLOCK}{_MERIDIEM}?",
        rf"\b{_HOUR}{_MERIDIEM}",
        rf"\b(?:at|around|by)\s+{_HOUR}\b(?!\s+(?:people|persons|guests))",
        r"\b(?P<name>noon|midday|midnight)\b",
    )
]
_BARE_TIME = re.compile(
    rf"\b{_HOUR}(?:[:.\s-]?{_MINUTE})?\b(?!\s+(?:people|persons|guests)){_O_CLOCK}?{_MERIDIEM}?", re.IGNORECASE
)
_NAMED = {"noon": "12:00", "midday": "12:00", "midnight": "00:00"}


def find_time(text: str, *, asked: bool = False) -> Found | None:
    """Find a time of day, as HH:MM in 24 hours; without "am" or "pm" it is after noon.

    Args:
        text: Text in which numbers are digits.
        asked: The text answers the question for a time, so that a bare number is one.
    """
    for pattern in [*_TIMES, _BARE_TIME] if asked else _TIMES:
        if match := pattern.search(text):
            return Found(_time(match, text), match.start(), match.end())
    return None


def _time(match: re.Match[str], text: str) -> str:
    parts = match.groupdict()
    if name := parts.get("name"):
        return _NAMED[name.lower()]
    hour, minute = int(parts["hour"]), int(parts.get("minute") or 0)
    if part := parts.get("part"):
        away = 30 if part.lower() == "half" else 15 if "quarter" in part.lower() else int(part.split()[0])
        hour, minute = (hour, away) if parts["way"].lower() in {"past", "after"} else (hour - 1, 60 - away)
    meridiem = (parts.get("meridiem") or ("a" if "morning" in text.lower() else "p")).lower()
    if meridiem == "p" and 0 < hour < 12:
        hour += 12
    if meridiem == "a" and hour == 12:
        hour = 0
    return f"{hour % 24:02}:{minute % 60:02}"


def time_in_words(time: str) -> str:
    """Return a time of HH:MM in 24 hours as it is said: 19:30 is "7:30 PM", 17:00 is "5 PM"."""
    hour, minute = (int(part) for part in time.split(":"))
    shown = f"{hour % 12 or 12}:{minute:02}" if minute else f"{hour % 12 or 12}"
    return f"{shown} {'PM' if hour >= 12 else 'AM'}"


_PEOPLE = r"(?:people|persons?|guests?|adults|of us|diners|seats|pax)"
_SOUNDS_LIKE = {"to": 2, "too": 2, "for": 4, "fore": 4, "ate": 8, "won": 1, "tree": 3, "free": 3, "tin": 10}
_HEARD = rf"(?P<count>\d+|{'|'.join(_SOUNDS_LIKE)})"
_COUNTS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?P<count>\d+)\s+{_PEOPLE}",
        rf"\b(?:for|of)\s+{_HEARD}\s+{_PEOPLE}",
        rf"\b(?:table|party|group|reservation|booking|dinner)\s+(?:for|of)\s+{_HEARD}\b",
        r"\b(?:for|of|are|be)\s+(?P<count>\d+)\b",
        r"\b(?P<count>\d+)\b",
        r"\ba (?P<couple>couple)\b",
        r"\b(?P<alone>just me|only me|myself|alone)\b",
    )
]


def find_count(text: str) -> Found | None:
    """Find a whole number; one that counts people before others.

    Args:
        text: Text in which numbers are digits.
    """
    for pattern in _COUNTS:
        if match := pattern.search(text):
            parts = match.groupdict()
            said = (parts.get("count") or "").lower()
            value = 2 if parts.get("couple") else 1 if parts.get("alone") else _SOUNDS_LIKE.get(said)
            return Found(int(said) if value is None else value, match.start(), match.end())
    return None
