"""Fills a tool's arguments from what the caller said."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

from .parameters import Kind, Parameter
from .spoken_numbers import Found, find_count, find_time, with_digits

__all__ = ["convert", "fill"]


def fill(wanted: list[Parameter], text: str, asked: Parameter | None, today: date) -> dict[str, object]:
    """Return the arguments that the text gives.

    Args:
        wanted: The tool's parameters.
        text: What the caller said.
        asked: The parameter that the caller was asked for, so that a bare value is its answer.
        today: The day that "tomorrow" comes after.
    """
    arguments: dict[str, object] = {}
    rest = with_digits(text)
    for parameter in sorted(wanted, key=lambda parameter: (parameter.kind, parameter != asked)):
        found = _FINDERS[parameter.kind](parameter, rest, parameter == asked, today)
        if found is not None:
            arguments[parameter.name] = found.value
            rest = f"{rest[: found.start]} , {rest[found.end :]}"
    if asked is not None and not arguments and (match := _BARE_ANSWER.fullmatch(text)):
        answer = match["answer"]
        arguments |= {asked.name: _proper(answer)} if asked.kind is Kind.NAME else {}
        arguments |= {asked.name: answer} if asked.kind is Kind.TEXT else {}
    return arguments


def convert(parameter: Parameter, text: str, today: date) -> object:
    """Return the text as the parameter's type, the text itself when it is none or says no such value."""
    if parameter.kind in {Kind.NAME, Kind.PHONE, Kind.DATE, Kind.TEXT}:
        return text
    return fill([parameter], text, parameter, today).get(parameter.name, text)


_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = re.compile(rf"\b(?:(?:next |this )?({'|'.join(_WEEKDAYS)})|(today|tonight|tomorrow))", re.IGNORECASE)


def _day(text: str, today: date) -> tuple[date, re.Match[str]] | None:
    match = _DAY.search(text)
    if match is None:
        return None
    weekday, relative = match.groups()
    if relative:
        return today + timedelta(days=relative.lower() == "tomorrow"), match
    return today + timedelta(days=(_WEEKDAYS.index(weekday.lower()) - today.weekday()) % 7), match


def _find_choice(parameter: Parameter, text: str, asked: bool, today: date) -> Found | None:
    for choice in sorted(parameter.choices, key=lambda choice: -len(str(choice))):
        words = re.escape(with_digits(str(choice).replace("_", " ")))
        if match := re.search(rf"\b{words}s?\b", text, re.IGNORECASE):
            return Found(choice, match.start(), match.end())
    if set(_WEEKDAYS) & {str(choice).lower() for choice in parameter.choices} and (day := _day(text, today)):
        named = _WEEKDAYS[day[0].weekday()]
        choice = next((c for c in parameter.choices if str(c).lower() == named), None)
        return None if choice is None else Found(choice, *day[1].span())
    return None


def _find_time(parameter: Parameter, text: str, asked: bool, today: date) -> Found | None:
    return find_time(text, asked=asked)


_PHONE = re.compile(r"\+?(?:\d[ ().,-]*){7,15}")


def _find_phone(parameter: Parameter, text: str, asked: bool, today: date) -> Found | None:
    match = _PHONE.search(text)
    return match and Found(re.sub(r"[^+\d]", "", match.group()), match.start(), match.end())


def _find_date(parameter: Parameter, text: str, asked: bool, today: date) -> Found | None:
    if (day := _day(text, today)) is None:
        return None
    on, match = day
    return Found(on.isoformat() if parameter.iso_date else match.group().lower(), *match.span())


_PROPER = r"(?P<name>(?-i:[A-Z][\w'-]+(?: [A-Z][\w'-]+){0,2}))"
_NAMES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bnames?(?: is|'s| will be|,)? (?:of )?" + _PROPER,
        r"\b(?:name is|name of|under the name) (?P<name>[a-z][\w'-]+)",
        r"\b(?:under|this is|call me|i am|i'm) " + _PROPER,
        r"\bfor " + _PROPER,
    )
]
_NO_NAMES = re.compile(
    rf"^(?:{'|'.join(_WEEKDAYS)}|today|tonight|tomorrow|january|february|march|april|may|june|july|august|september"
    r"|october|november|december|dinner|lunch|goodbye|bye|thanks?)\b",
    re.IGNORECASE,
)


def _find_name(parameter: Parameter, text: str, asked: bool, today: date) -> Found | None:
    names = (match for pattern in _NAMES for match in pattern.finditer(text))
    match = next((match for match in names if not _NO_NAMES.match(match["name"])), None)
    return match and Found(_proper(match["name"]), *match.span("name"))


def _proper(name: str) -> str:
    return name[0].upper() + name[1:]


def _find_integer(parameter: Parameter, text: str, asked: bool, today: date) -> Found | None:
    spelled = re.search(r"\b\d(?: \d){2,}\b", text)
    if spelled:
        return Found(int(spelled.group().replace(" ", "")), *spelled.span())
    return find_count(text)


def _find_number(parameter: Parameter, text: str, asked: bool, today: date) -> Found | None:
    match = re.search(r"-?\d+(?:\.\d+)?", text)
    return match and Found(float(match.group()), match.start(), match.end())


def _find_yes_or_no(parameter: Parameter, text: str, asked: bool, today: date) -> Found | None:
    match = re.search(r"\b(?:(yes|yeah|sure|please|correct|right)|no|not|don't)\b", text, re.IGNORECASE)
    return Found(match[1] is not None, *match.span()) if match and asked else None


_BARE_ANSWER = re.compile(
    r"\W*(?:(?:it's|it is|that's|that is|sure|please|okay|um|uh|er|well)\W+)*"
    r"(?!(?:yes|no|what|sorry|pardon|hello|hi|okay|please|thanks)\b)(?P<answer>\w[\w' -]*?)(?:,? please)?\W*",
    re.IGNORECASE,
)
_AFTER_PREPOSITION = re.compile(
    r"\b(?:in|to|about|from|of|for|on|with) (?!\d)(?P<value>[^,.?!]+?)"
    r"(?= (?:in|at|on|for|to|please|today|tomorrow)\b|[,.?!]|$)",
    re.IGNORECASE,
)


def _find_text(parameter: Parameter, text: str, asked: bool, today: date) -> Found | None:
    named = re.search(rf"\b{re.escape(parameter.words)} (?:is |was )?(?P<value>[^,.?!]+)", text, re.IGNORECASE)
    match = named or _AFTER_PREPOSITION.search(text)
    return match and Found(match["value"].strip(), *match.span("value"))


_Finder = Callable[[Parameter, str, bool, date], Found | None]
_FINDERS: dict[Kind, _Finder] = {
    Kind.CHOICE: _find_choice,
    Kind.TIME: _find_time,
    Kind.PHONE: _find_phone,
    Kind.DATE: _find_date,
    Kind.NAME: _find_name,
    Kind.INTEGER: _find_integer,
    Kind.NUMBER: _find_number,
    Kind.YES_OR_NO: _find_yes_or_no,
    Kind.TEXT: _find_text,
}
