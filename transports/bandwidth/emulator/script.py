"""What a caller is to do on a call, as YAML.

Example::

    name: Asks for the opening hours
    steps:
      - wait_for_bot: {quiet_ms: 700, deadline_s: 15}
      - say: When do you open?
      - cut_in: {after_ms: 1200, say: Never mind.}
      - silence: {ms: 500}
      - play: cough.wav
      - hang_up
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

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


class WaitForBot(Step):
    """Waits until the bot has spoken and then been quiet for a while.

    Attributes:
        quiet_ms: For how long it has to be quiet.
        deadline_s: When the caller gives up.
    """

    quiet_ms: float = Field(default=700, gt=0)
    deadline_s: float = Field(default=15, gt=0)


class CutIn(Step):
    """Waits until the bot has been speaking for a while, and then speaks over it.

    Attributes:
        after_ms: For how long the bot has to have spoken.
        say: What is said then.
        deadline_s: When the caller gives up.
    """

    after_ms: float = Field(ge=0)
    say: str = Field(min_length=1, repr=False)
    deadline_s: float = Field(default=15, gt=0)


class Silence(Step):
    """Says nothing for a while."""

    ms: float = Field(gt=0)


class HangUp(Step):
    """Hangs up."""


_STEPS: Mapping[str, type[Step]] = {
    "say": Say,
    "play": Play,
    "wait_for_bot": WaitForBot,
    "cut_in": CutIn,
    "silence": Silence,
    "hang_up": HangUp,
}
_FIELD_OF_PLAIN_VALUE = {"say": "text", "play": "file"}


class CallerScript(BaseModel):
    """A caller's steps, one after the other.

    Attributes:
        name: What the script is called.
        steps: What the caller does.
        linger_s: How long the caller stays on the line after the last step, for the bot to hang up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "caller"
    steps: tuple[Say | Play | WaitForBot | CutIn | Silence | HangUp, ...] = Field(min_length=1)
    linger_s: float = Field(default=30, ge=0)


def load_script(path: Path) -> CallerScript:
    """Read a script from a YAML file; the paths in it are relative to the file. It blocks while it reads.

    Raises:
        ScriptError: The file can't be read or is no script.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"{path} can't be read: {type(error).__name__}") from error
    return parse_script(text, folder=path.parent)


def parse_script(text: str, *, folder: Path = Path()) -> CallerScript:
    """Return the script that a YAML text holds.

    Args:
        text: The YAML.
        folder: What the paths in it are relative to.

    Raises:
        ScriptError: It is none.
    """
    try:
        document: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        raise ScriptError(f"the script is no YAML{f' at line {mark.line + 1}' if mark else ''}") from error
    script = _mapping(document, "the script")
    written = script.get("steps")
    if not isinstance(written, list) or not written:
        raise ScriptError("the script has no list of steps")
    steps = [_step(number, step, folder) for number, step in enumerate(cast("list[object]", written), 1)]
    return _validated(CallerScript, {**script, "steps": steps}, "the script")


def _step(number: int, written: object, folder: Path) -> Step:
    what = f"step {number}"
    if isinstance(written, str):
        written = {written: {}}
    mapping = _mapping(written, what)
    if len(mapping) != 1:
        raise ScriptError(f"{what} must have one name, and has {len(mapping)}")
    name, value = next(iter(mapping.items()))
    model = _STEPS.get(name)
    if model is None:
        raise ScriptError(f"{what} is none of {', '.join(_STEPS)}")
    plain = _FIELD_OF_PLAIN_VALUE.get(name)
    if value is None:
        value = {}
    elif plain is not None and not isinstance(value, dict):
        value = {plain: value}
    step = _validated(model, _mapping(cast("object", value), what), f"{what}, {name},")
    return Play(file=folder / step.file) if isinstance(step, Play) else step


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict) or not all(
        isinstance(name, str) for name in cast("dict[object, object]", value)
    ):
        raise ScriptError(f"{what} is no mapping of names to values")
    return cast("Mapping[str, object]", value)


def _validated(model: type[Model], values: Mapping[str, object], what: str) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as invalid:
        error = invalid.errors(include_input=False)[0]
        where = ".".join(str(part) for part in error["loc"])
        raise ScriptError(f"{what} has a wrong {where}: {error['msg'].lower()}") from invalid
