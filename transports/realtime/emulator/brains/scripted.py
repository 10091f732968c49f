"""A brain that plays a script: the same words heard always give the same answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import cast

from ....speech.interfaces import CallTool, Ear, Heard, Say, SpeechDetector, ToolOutput, Voice
from ....speech.tones import ToneDetector, ToneEar, ToneVoice
from .parameters import parameters
from .replies import answered, requested_sentence
from .script import PLACEHOLDER, Rule, Script, ScriptedCall
from .slots import convert

__all__ = ["ScriptedBrain"]

_DETECTOR_SILENCE_MS = 200
"""Short, so that the session's own silence decides when a turn ends."""


class ScriptedBrain:
    """Plays a script; hears and speaks tones, so that nothing has to be recognized.

    Args:
        script: What to say and do.
        voice: Speaks; tones at 8 kHz when none is given.
        ear: Hears; reads tones when none is given.
        today: Gives the day that a "tomorrow" in arguments comes after.
    """

    def __init__(
        self,
        script: Script,
        *,
        voice: Voice | None = None,
        ear: Ear | None = None,
        today: Callable[[], date] = date.today,
    ) -> None:
        self.voice = voice or ToneVoice()
        self.ear = ear or ToneEar()
        self._script = script
        self._today = today

    def detector(self) -> SpeechDetector:
        """Make the speech detector of one new stream."""
        return ToneDetector(_DETECTOR_SILENCE_MS)

    def greet(self, instructions: str) -> list[Say | CallTool]:
        """Say the script's greeting."""
        text = self._script.greeting or requested_sentence(instructions) or self._script.fallback
        return [Say(text)]

    def answer(
        self,
        instructions: str,
        tools: Sequence[Mapping[str, object]],
        history: Sequence[Heard | Say | CallTool | ToolOutput],
    ) -> list[Say | CallTool]:
        """Do what the first matching rule says.

        Tool outputs that no rule answers are met with silence. Where nothing new was heard, the sentence that
        the instructions dictate is said.
        """
        match history[-1] if history else None:
            case Heard(text):
                rules = (rule for rule in self._script.rules if rule.after is None)
                return self._played(rules, text, {}, tools) or [Say(self._script.fallback)]
            case ToolOutput():
                return [turn for output in _newest_outputs(history) for turn in self._told(output, tools)]
            case _:
                return [Say(requested_sentence(instructions) or self._script.fallback)]

    def _told(self, output: ToolOutput, tools: Sequence[Mapping[str, object]]) -> list[Say | CallTool]:
        rules = (rule for rule in self._script.rules if rule.after == output.name)
        return self._played(rules, output.output, _fields(output.output), tools)

    def _played(
        self,
        rules: Iterator[Rule],
        text: str,
        fields: Mapping[str, object],
        tools: Sequence[Mapping[str, object]],
    ) -> list[Say | CallTool]:
        """Return what the first of the rules that matches the text says and calls."""
        for rule in rules:
            groups = rule.matched(text)
            if groups is None:
                continue
            values = {**fields, **groups}
            said: list[Say | CallTool] = [] if rule.say is None else [Say(_filled(rule.say, values))]
            return said if rule.call is None else [*said, self._call(rule.call, values, tools)]
        return []

    def _call(
        self, call: ScriptedCall, values: Mapping[str, object], tools: Sequence[Mapping[str, object]]
    ) -> CallTool:
        called = (tool for tool in tools if tool.get("name") == call.tool)
        known = {parameter.name: parameter for tool in called for parameter in parameters(tool)}
        arguments: dict[str, object] = {}
        for name, template in call.arguments.items():
            text = _filled(template, values)
            arguments[name] = convert(known[name], text, self._today()) if name in known else text
        return CallTool(call.tool, arguments)


def _newest_outputs(history: Sequence[Heard | Say | CallTool | ToolOutput]) -> list[ToolOutput]:
    outputs: list[ToolOutput] = []
    for item in reversed(history):
        if not isinstance(item, ToolOutput):
            break
        outputs.insert(0, item)
    return outputs


def _fields(output: str) -> dict[str, object]:
    """Return a tool's output by the names that placeholders use."""
    value = answered(output)
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    return {"output": value if isinstance(value, str) else output, **fields}


def _filled(template: str, values: Mapping[str, object]) -> str:
    """Return the template with its placeholders replaced; one without a value stays as it is."""

    def replaced(match: re.Match[str]) -> str:
        value = _field(dict(values), match[1].split("."))
        return match.group() if value is None else str(value)

    return PLACEHOLDER.sub(replaced, template)


def _field(value: object, names: Sequence[str]) -> object:
    """Return what stands under the names, one below the other; None when there is no such field."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, object]", value).get(name)
    return value
