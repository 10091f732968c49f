"""The offline brain's rules: from a conversation so far to what is said or done next.

Nothing is remembered between calls: what the caller wants is read from the history each time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from ....speech.interfaces import CallTool, Heard, Say, ToolOutput
from .intents import is_goodbye, matching_tool
from .parameters import Kind, Parameter, parameters
from .replies import abilities, output_in_words, question, requested_sentence
from .slots import fill

__all__ = ["greeting", "next_turn"]

Tools = Sequence[Mapping[str, object]]
History = Sequence[Heard | Say | CallTool | ToolOutput]

_END_CALL = "end_call"
_ANYTHING_ELSE = "Is there anything else I can do for you?"
_GOODBYE = "Thank you for calling. Goodbye!"
_THANKS = re.compile(r"\b(?:thanks|thank you|great|perfect|wonderful)\b", re.IGNORECASE)
_NO = re.compile(r"\W*(?:no|nope|no,? that is fine)\W*", re.IGNORECASE)


def greeting(instructions: str) -> str:
    """Return the sentence that the instructions dictate, or a greeting."""
    return requested_sentence(instructions) or "Hello! How can I help you?"


def next_turn(instructions: str, tools: Tools, history: History, today: date) -> list[Say | CallTool]:
    """Return the answer to the newest item of the conversation.

    Args:
        instructions: The response's instructions; a sentence they dictate is said when nothing new was heard.
        tools: The session's tools.
        history: The conversation, oldest first.
        today: The day that "tomorrow" comes after.
    """
    match history[-1] if history else None:
        case Heard(text):
            return _answer(text, tools, history, today)
        case ToolOutput():
            return _told(tools, history)
        case CallTool():
            return [Say(requested_sentence(instructions) or "One moment, please.")]
        case _:
            return [Say(requested_sentence(instructions) or _ANYTHING_ELSE)]


@dataclass
class _Request:
    """A tool that the caller asked for, and the arguments they gave."""

    tool: Mapping[str, object]
    wanted: list[Parameter]
    arguments: dict[str, object] = field(default_factory=dict[str, object], repr=False)
    understood: bool = True
    """The newest words of the caller gave an argument, or the request itself."""

    @property
    def name(self) -> str:
        return str(self.tool.get("name", ""))

    @property
    def missing(self) -> Parameter | None:
        """The parameter to ask for."""
        return next((p for p in self.wanted if p.required and p.name not in self.arguments), None)

    @property
    def call(self) -> CallTool:
        """The tool call, with its arguments in the schema's order."""
        given = {p.name: self.arguments[p.name] for p in self.wanted if p.name in self.arguments}
        return CallTool(self.name, given)

    def take(self, text: str, asked: Parameter | None, today: date) -> None:
        """Add the arguments that the text gives."""
        given = fill(self.wanted, text, asked, today)
        self.understood = bool(given)
        self.arguments |= given


def _open_request(tools: Tools, history: History, today: date) -> _Request | None:
    """Return what the caller has asked for since the last tool call."""
    tools = [tool for tool in tools if tool.get("name") != _END_CALL]
    request: _Request | None = None
    said: list[str] = []
    for item in history:
        if isinstance(item, CallTool):
            request, said = None, []
        elif isinstance(item, Heard):
            tool = matching_tool(item.text, tools)
            if tool is not None and (request is None or request.tool != tool):
                request = _Request(tool, parameters(tool))
                for text in [*said, item.text]:
                    request.take(text, None, today)
                request.understood = True
            elif request is not None:
                request.take(item.text, request.missing, today)
            said.append(item.text)
    return request


def _answer(text: str, tools: Tools, history: History, today: date) -> list[Say | CallTool]:
    request = _open_request(tools, history, today)
    if request is not None and request.missing is None:
        return [request.call]
    if is_goodbye(text) or (request is None and _NO.fullmatch(text)):
        return _goodbye(tools)
    if request is not None and request.missing is not None:
        asked = question(request.missing, request.name)
        return [Say(asked if request.understood else f"Sorry, I did not understand that. {asked}")]
    if _THANKS.search(text):
        return [Say(f"You are welcome. {_ANYTHING_ELSE}")]
    can = abilities([tool for tool in tools if tool.get("name") != _END_CALL])
    return [Say("Sorry, I did not understand that." + (f" I can {can}." if can else ""))]


def _told(tools: Tools, history: History) -> list[Say | CallTool]:
    """Speak the outputs that end the history."""
    outputs: list[ToolOutput] = []
    for item in reversed(history):
        if not isinstance(item, ToolOutput):
            break
        outputs.insert(0, item)
    spoken = [output_in_words(output.output) for output in outputs if output.name != _END_CALL]
    used = {_END_CALL, *(output.name for output in outputs)}
    can = abilities([tool for tool in tools if tool.get("name") not in used])
    offer = f"I can also {can}." if can else _ANYTHING_ELSE
    return [Say(" ".join([*spoken, offer]))] if spoken else []


def _goodbye(tools: Tools) -> list[Say | CallTool]:
    end_call = next((tool for tool in tools if tool.get("name") == _END_CALL), None)
    if end_call is None:
        return [Say(_GOODBYE)]
    arguments = {p.name: _said_goodbye(p) for p in parameters(end_call) if p.required}
    return [Say(_GOODBYE), CallTool(_END_CALL, arguments)]


def _said_goodbye(parameter: Parameter) -> object:
    """Return an argument of `end_call` that nobody gave."""
    if parameter.choices:
        return parameter.choices[0]
    if parameter.kind is Kind.YES_OR_NO:
        return True
    return 0 if parameter.kind in {Kind.INTEGER, Kind.NUMBER} else "The caller said goodbye."
