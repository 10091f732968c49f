"""Scripts: what a scripted brain says and does, read from YAML."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from ....errors import Fault, TransportsError

__all__ = ["PLACEHOLDER", "RECEPTIONIST", "Rule", "Script", "ScriptError", "ScriptedCall"]

RECEPTIONIST = Path(__file__).with_name("receptionist.yaml")
"""A script for a restaurant's receptionist with the tools opening_hours, book_table and end_call."""
PLACEHOLDER = re.compile(r"\{(\w+(?:\.\w+)*)\}")
"""A name in braces, or several joined by dots."""


class ScriptError(TransportsError):
    """A script can't be played.

    Attributes:
        source: The file, or what else the script was read from.
        key: Where in it, like ``rules.0.when``; "" when it is no single place.
        explanation: What is wrong there.
    """

    fault = Fault.BOT_AUTHOR

    def __init__(self, source: str, key: str, explanation: str) -> None:
        super().__init__(f"{source}: {f'{key}: ' if key else ''}{explanation}")
        self.source = source
        self.key = key
        self.explanation = explanation


def _regular_expression(pattern: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"no regular expression, {error}") from None
    return pattern


class ScriptedCall(BaseModel):
    """A tool call in a script."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tool: str
    arguments: dict[str, str] = {}
    """Texts with placeholders; each becomes the type that the tool's schema wants."""


class Rule(BaseModel):
    """When something is heard, or a tool has answered: what to say and which tool to call, in this order.

    The text of `say` and of arguments may hold placeholders in braces: named groups of `when`, and after a tool
    the fields of its output (``{table.number}`` for a nested one) or the whole ``{output}``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: Annotated[str, AfterValidator(_regular_expression)] | None = None
    """A regular expression, searched in what was heard, or after a tool in its output; it ignores case."""
    after: str | None = None
    """The name of the tool whose output this rule answers."""
    say: str | None = None
    call: ScriptedCall | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.when is None and self.after is None:
            raise ValueError("a rule needs when, after or both")
        if self.say is None and self.call is None:
            raise ValueError("a rule needs say, call or both")
        if self.after is None:
            unknown = self._placeholders() - set(re.compile(self.when or "").groupindex)
            if unknown:
                raise ValueError(f"{{{min(unknown)}}} is no named group of when")
        return self

    def _placeholders(self) -> set[str]:
        texts = [self.say or "", *(self.call.arguments.values() if self.call else ())]
        return {name for text in texts for name in PLACEHOLDER.findall(text)}

    def matched(self, text: str) -> Mapping[str, object] | None:
        """Return the named groups of `when` in the text, None when it does not match."""
        match = re.search(self.when or "", text, re.IGNORECASE)
        return None if match is None else {k: v for k, v in match.groupdict().items() if v is not None}


class Script(BaseModel):
    r"""What a `ScriptedBrain` plays.

    Of the rules the first that matches is taken. Example::

        greeting: Hello!
        rules:
          - when: table for (?P<size>\w+)
            call: {tool: book_table, arguments: {party_size: "{size}"}}
          - after: book_table
            say: Your table is number {table}.
          - when: goodbye
            say: Goodbye!
            call: {tool: end_call}
        fallback: Please say that again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    greeting: str | None = None
    """Said first; without it, the sentence that the instructions dictate."""
    rules: list[Rule] = []
    fallback: str = "I did not understand that."
    """Said when no rule matches what was heard."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a script from a YAML file.

        Raises:
            ScriptError: It can't be read, or is no script.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ScriptError(path.name, "", f"it can't be read, {error}") from error
        return cls.parse(text, path.name)

    @classmethod
    def parse(cls, text: str, source: str = "script") -> Self:
        """Read a script from YAML; every value is taken as text.

        Args:
            text: The YAML.
            source: What errors call it.

        Raises:
            ScriptError: It is no script.
        """
        try:
            # BaseLoader makes strings of all scalars, and knows no tag that could make anything else.
            return cls.model_validate(yaml.load(text, yaml.BaseLoader))  # noqa: S506
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ScriptError(source, f"line {line}", f"no YAML, {error.problem}") from error
        except (yaml.YAMLError, RecursionError) as error:
            raise ScriptError(source, "", "no YAML that can be read") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ScriptError(source, key, first["msg"].removeprefix("Value error, ")) from error
