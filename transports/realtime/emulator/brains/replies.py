"""Sentences: a question for a missing argument, a tool's output, what a bot's instructions want said."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import cast

from .parameters import Kind, Parameter
from .spoken_numbers import time_in_words

__all__ = ["abilities", "answered", "output_in_words", "question", "requested_sentence"]

_SPEAKABLE = ("message", "say", "text", "summary", "answer")
"""Fields whose text is a sentence."""
_QUESTIONS = {
    Kind.TIME: "At what time?",
    Kind.DATE: "For which day?",
    Kind.PHONE: "What is the phone number?",
}
_DICTATED = re.compile(r"\b[Ss]ay (?:exactly|only|just|this|the following)\b[^:\n]*:\s*(?P<words>\S.*)")
_QUOTED = re.compile(
    r"(?:\b(?i:say|greet|greeting|begin|start|open|ask)\b[^.\n\"“]*|^)[\"“](?P<words>[^\"”]*\w[^\"”]*)[\"”]"
)
_AFFIRMED = {"yes", "true", "ok", "done"}


def question(parameter: Parameter, tool_name: str) -> str:
    """Return the sentence that asks the caller for an argument of a tool."""
    if parameter.kind is Kind.NAME and re.search(r"book|reserv|table|appointment", tool_name):
        return "What name is the booking under?"
    if parameter.kind is Kind.INTEGER and re.search(r"party|people|guests", parameter.name):
        return "For how many people?"
    if parameter.kind is Kind.CHOICE:
        return f"Which {parameter.words}?"
    return _QUESTIONS.get(parameter.kind, f"What is the {parameter.words}?")


def abilities(tools: Sequence[Mapping[str, object]]) -> str:
    """Return what the tools can do by the first sentences of their descriptions, joined by "or"."""
    done = (str(tool.get("description") or tool.get("name", "")).replace("_", " ") for tool in tools)
    firsts = (re.split(r"[.\n]", words, maxsplit=1)[0].strip() for words in done)
    return " or ".join(words[0].lower() + words[1:] for words in firsts if words)


def answered(output: str) -> object:
    """Return what a tool's output tells: the result alone where it is wrapped in an object of its own.

    Args:
        output: JSON text; any other text is returned as it is.
    """
    try:
        value: object = json.loads(output)
    except (ValueError, RecursionError):
        return output
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        if fields.keys() == {"result"}:
            return fields["result"]
    return cast("object", value)


def output_in_words(output: str) -> str:
    """Return what a tool gave back as one or a few sentences.

    Args:
        output: JSON text; any other text is spoken as it is.
    """
    value = answered(output)
    if not isinstance(value, dict):
        return _sentence(_in_words(value)) or "That is done."
    fields = cast("dict[str, object]", value)
    if "error" in fields:
        return _sentence(f"I am sorry, that did not work: {_in_words(fields['error'])}")
    for key in _SPEAKABLE:
        if isinstance(fields.get(key), str):
            return _sentence(str(fields[key]))
    affirmed = any(_in_words(field).lower() in _AFFIRMED for field in fields.values())
    told = _in_words({key: field for key, field in fields.items() if _in_words(field).lower() not in _AFFIRMED})
    if affirmed:
        return _sentence(f"It is done: {told}" if told else "It is done")
    return _sentence(told) or "There is nothing."


def requested_sentence(instructions: str) -> str | None:
    """Return the sentence that instructions want said word by word, None when they want none.

    Understood are ``Say exactly this: ...`` to the end of the line, and a sentence in quotation marks after a
    word like "say" or "greet".
    """
    dictated = _DICTATED.search(instructions)
    quoted = _QUOTED.search(dictated["words"] if dictated else instructions)
    if dictated and (quoted is None or quoted.start() > 0):
        return dictated["words"].strip()
    return quoted and quoted["words"].strip()


def _sentence(text: str) -> str:
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        fields = cast("Mapping[object, object]", value)
        return ", ".join(f"{str(key).replace('_', ' ')} {_in_words(field)}" for key, field in fields.items())
    if isinstance(value, list):
        return ", ".join(_in_words(item) for item in cast("list[object]", value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "nothing"
    return re.sub(r"\b([01]\d|2[0-3]):([0-5]\d)\b", lambda match: time_in_words(match.group()), str(value))
