"""What a caller is to do on a call, and what they expect of the bot, as YAML.

Example::

    name: Books a table
    steps:
      - wait_for_bot: {quiet_ms: 700, deadline_s: 15, again_after_s: 8}
      - say: A table for two at seven, please. My name is Rossi.
      - expect: {tool: book_table, arguments: {party_size: 2}, within_ms: 3000}
      - expect: {words: see you, within_ms: 5000}
      - cut_in: {after_ms: 1200, say: Never mind.}
      - expect: {bot: quiet, within_ms: 1000}
      - silence: {ms: 500}
      - play: cough.wav
      - press: 1#
      - wait_for_hang_up: {deadline_s: 20}
      - hang_up
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import ScriptError

Model = TypeVar("Model", bound=BaseModel)


class Step(BaseModel):
    """One thing a caller does."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Say(Step):
    """Speaks, whether anybody else speaks or not."""

    text: str = Field(min_length=1, repr=False)


class Play(Step):
    """Sends a WAV file of 16-bit samples."""

    file: Path


class WaitingStep(Step):
    """Waits for something that the bot does.

    Attributes:
        deadline_s: When the caller gives up.
        again_after_s: For how long nobody speaks until the caller says their last words again; never when None.
    """

    deadline_s: float = Field(default=15, gt=0)
    again_after_s: float | None = Field(default=None, gt=0)


class WaitForBot(WaitingStep):
    """Waits until the bot has spoken and then been quiet for a while.

    Attributes:
        quiet_ms: For how long it has to be quiet.
    """

    quiet_ms: float = Field(default=700, gt=0)


class CutIn(WaitingStep):
    """Waits until the bot has been speaking for a while, and then speaks over it.

    Attributes:
        after_ms: For how long the bot has to have spoken.
        say: What is said then.
    """

    after_ms: float = Field(ge=0)
    say: str = Field(min_length=1, repr=False)


class Silence(Step):
    """Says nothing for a while."""

    ms: float = Field(gt=0)


class Press(Step):
    """Presses keys, 200 ms each: they reach a `Gather` or a `StartGather`, and are no sound on the line.

    Attributes:
        keys: Digits, * and #.
    """

    keys: str = Field(pattern=r"^[0-9*#]+$", repr=False)


class Expect(Step):
    """Expects something of the bot since the caller's last words, and waits for it; else the caller hangs up.

    One of `words`, `tool` and `bot`.

    Attributes:
        words: The bot says these, one after the other; upper case and punctuation make no difference.
        tool: The bot's model calls this tool.
        arguments: With these among its arguments.
        bot: ``speaks``, or ``quiet``: is quiet after the caller has cut in.
        within_ms: How soon after the caller's last words, or after the call was answered, it has to begin.
            For ``quiet`` it counts from the first of these words.
    """

    words: str | None = Field(default=None, min_length=1, repr=False)
    tool: str | None = Field(default=None, min_length=1)
    arguments: dict[str, Any] = Field(default={}, repr=False)
    bot: Literal["speaks", "quiet"] | None = None
    within_ms: float = Field(default=10_000, gt=0)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(wanted is not None for wanted in (self.words, self.tool, self.bot)) != 1:
            raise ValueError("give one of words, tool and bot")
        if self.arguments and self.tool is None:
            raise ValueError("arguments go with a tool")
        if self.words is not None and not any(letter.isalnum() for letter in self.words):
            raise ValueError("words have a letter or a digit")
        return self


class WaitForHangUp(WaitingStep):
    """Waits until the bot hangs up."""

    deadline_s: float = Field(default=30, gt=0)


class HangUp(Step):
    """Hangs up."""


AnyStep = Say | Play | WaitForBot | CutIn | Silence | Press | Expect | WaitForHangUp | HangUp

STEPS: Mapping[str, type[AnyStep]] = {
    "say": Say,
    "play": Play,
    "wait_for_bot": WaitForBot,
    "cut_in": CutIn,
    "silence": Silence,
    "press": Press,
    "expect": Expect,
    "wait_for_hang_up": WaitForHangUp,
    "hang_up": HangUp,
}
"""The steps, by their names in YAML."""

_FIELD_OF_PLAIN_VALUE = {"say": "text", "play": "file", "press": "keys", "silence": "ms", "expect": "words"}
_EXAMPLES = {
    "say": "say: When do you open?",
    "play": "play: cough.wav",
    "wait_for_bot": "wait_for_bot: {quiet_ms: 700, deadline_s: 15}",
    "cut_in": "cut_in: {after_ms: 1200, say: Never mind.}",
    "silence": "silence: {ms: 500}",
    "press": 'press: "1#"',
    "expect": "expect: {words: see you, within_ms: 5000}",
    "wait_for_hang_up": "wait_for_hang_up: {deadline_s: 30}",
    "hang_up": "hang_up",
}
_KEYS = ("name", "steps", "linger_s")


class CallerScript(BaseModel):
    """A caller's steps, one after the other.

    Attributes:
        name: What the script is called.
        steps: What the caller does.
        linger_s: How long the caller stays on the line after the last step, for the bot to hang up.
        source: The file it was read from; empty when there is none.
        lines: The line of each step in it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "caller"
    steps: tuple[AnyStep, ...] = Field(min_length=1)
    linger_s: float = Field(default=30, ge=0)
    source: str = ""
    lines: tuple[int, ...] = Field(default=(), repr=False)

    def place(self, number: int) -> str:
        """Return what a step is called in reports; `number` counts from 1."""
        where = f"{self.source}:{self.lines[number - 1]}: " if number <= len(self.lines) and self.source else ""
        return f"{where}step {number}, {step_name(self.steps[number - 1])}"


def step_name(step: Step) -> str:
    """Return a step's name as YAML has it."""
    return next(name for name, model in STEPS.items() if type(step) is model)


def load_script(path: Path) -> CallerScript:
    """Read a script from a YAML file; the paths in it are relative to the file. It blocks while it reads.

    Raises:
        ScriptError: The file can't be read or is no script; the message names file, line and step.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ScriptError(f"{path} can't be read: {reason}") from error
    return parse_script(text, folder=path.parent, source=str(path))


def parse_script(text: str, *, folder: Path = Path(), source: str = "") -> CallerScript:
    """Return the script that a YAML text holds.

    Args:
        text: The YAML.
        folder: What the paths in it are relative to.
        source: What errors and reports call the text: a file's name.

    Raises:
        ScriptError: It is none; the message names the line and the step.
    """
    try:
        document: object = yaml.safe_load(text)
        lines = _lines_of_steps(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else None
        raise ScriptError(
            f"{source or 'the script'}{f':{mark.line + 1}' if source and mark else ''}: no YAML"
            f"{f' at line {mark.line + 1}' if mark and not source else ''}{f', {problem}' if problem else ''}"
        ) from error
    return _Reader(source, folder, lines).script(document)


def _lines_of_steps(text: str) -> tuple[int, ...]:
    """Return the line of each step, as far as there are steps."""
    root = yaml.compose(text, yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode):
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", root.value):
            if (
                isinstance(key, yaml.ScalarNode)
                and key.value == "steps"
                and isinstance(value, yaml.SequenceNode)
            ):
                return tuple(step.start_mark.line + 1 for step in cast("list[yaml.Node]", value.value))
    return ()


class _Reader:
    """Turns a YAML document into a script, and says where it is wrong."""

    def __init__(self, source: str, folder: Path, lines: tuple[int, ...]) -> None:
        self._source = source
        self._folder = folder
        self._lines = lines

    def script(self, document: object) -> CallerScript:
        what = self._source or "the script"
        script = _mapping(document)
        if script is None:
            raise ScriptError(f"{what} is no mapping of names to values; it begins with steps:")
        if unknown := [key for key in script if key not in _KEYS]:
            raise ScriptError(f"{what} has {unknown[0]!r}; a script has {', '.join(_KEYS)}")
        written = script.get("steps")
        if not isinstance(written, list) or not written:
            raise ScriptError(f"{what} has no list of steps; write one below steps:, such as - hang_up")
        steps = [self._step(number, step) for number, step in enumerate(cast("list[object]", written), 1)]
        values = {**script, "steps": steps, "source": self._source, "lines": self._lines}
        return _validated(CallerScript, values, what, "")

    def _step(self, number: int, written: object) -> Step:
        line = self._lines[number - 1] if number <= len(self._lines) else None
        where = f"{self._source}:{line}: " if self._source and line else ""
        what = f"{where}step {number}"
        mapping = {written: None} if isinstance(written, str) else _mapping(written)
        if mapping is None or len(mapping) != 1:
            raise ScriptError(f"{what} must have one name, such as - {_EXAMPLES['say']}")
        name, value = next(iter(mapping.items()))
        model = STEPS.get(name)
        if model is None:
            raise ScriptError(f"{what} is {name[:40]!r}, which is none of {', '.join(STEPS)}")
        values = _values(name, value)
        if values is None:
            raise ScriptError(f"{what}, {name}, has a value it does not take; write - {_EXAMPLES[name]}")
        step = _validated(model, values, f"{what}, {name},", f"; write it like - {_EXAMPLES[name]}")
        return Play(file=self._folder / step.file) if isinstance(step, Play) else step


def _values(name: str, value: object) -> Mapping[str, object] | None:
    """Return a step's fields; None when what stands there is no way to write them."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return _mapping(cast("object", value))
    plain = _FIELD_OF_PLAIN_VALUE.get(name)
    return None if plain is None or isinstance(value, list) else {plain: value}


def _mapping(value: object) -> Mapping[str, object] | None:
    if not isinstance(value, dict):
        return None
    mapping = cast("dict[object, object]", value)
    return cast("Mapping[str, object]", value) if all(isinstance(key, str) for key in mapping) else None


def _validated(model: type[Model], values: Mapping[str, object], what: str, mend: str) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as invalid:
        error = invalid.errors(include_input=False)[0]
        where = ".".join(str(part) for part in error["loc"])
        said = error["msg"].removeprefix("Value error, ")
        wrong = f"has a wrong {where}: {said.lower()}" if where else f"is wrong: {said}"
        raise ScriptError(f"{what} {wrong}{mend}") from invalid
