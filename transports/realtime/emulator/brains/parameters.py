"""Reads from a tool's JSON Schema what each of its parameters asks for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, auto
from typing import NamedTuple, cast

__all__ = ["Kind", "Parameter", "parameters"]


class Kind(IntEnum):
    """What a parameter asks for, in the order in which text is searched: what is surest first."""

    CHOICE = auto()
    TIME = auto()
    PHONE = auto()
    DATE = auto()
    NAME = auto()
    INTEGER = auto()
    NUMBER = auto()
    YES_OR_NO = auto()
    TEXT = auto()


class Parameter(NamedTuple):
    """One parameter of a tool."""

    name: str
    kind: Kind
    required: bool
    description: str = ""
    choices: tuple[object, ...] = ()
    iso_date: bool = False

    @property
    def words(self) -> str:
        """The parameter's name as words."""
        return self.name.replace("_", " ")


def parameters(tool: Mapping[str, object]) -> list[Parameter]:
    """Return the parameters of a tool of the session; what its schema leaves open is text."""
    schema = _mapping(tool.get("parameters"))
    required = schema.get("required")
    names = cast("list[object]", required) if isinstance(required, list) else []
    return [
        _parameter(name, _resolved(_mapping(value), schema), name in names)
        for name, value in _mapping(schema.get("properties")).items()
    ]


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _resolved(schema: Mapping[str, object], root: Mapping[str, object]) -> Mapping[str, object]:
    """Return the first alternative that is not null, with a reference into the root followed."""
    options = schema.get("anyOf")
    if isinstance(options, list):
        typed = [_mapping(option) for option in cast("list[object]", options)]
        option = next((option for option in typed if option.get("type") != "null"), schema)
        schema = {**option, **schema}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        schema = {**_mapping(_mapping(root.get("$defs")).get(reference.rpartition("/")[2])), **schema}
    return schema


def _parameter(name: str, schema: Mapping[str, object], required: bool) -> Parameter:
    description = schema.get("description")
    description = description if isinstance(description, str) else ""
    choices = schema.get("enum")
    listed = tuple(cast("list[object]", choices)) if isinstance(choices, list) else ()
    kind = Kind.CHOICE if listed else _kind(name.lower(), schema, description)
    return Parameter(name, kind, required, description, listed, schema.get("format") == "date")


def _kind(name: str, schema: Mapping[str, object], description: str) -> Kind:
    by_type = {"integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.YES_OR_NO}
    written = schema.get("type")
    if isinstance(written, str) and written in by_type:
        return by_type[written]
    by_format = {"time": Kind.TIME, "date": Kind.DATE}
    form = schema.get("format")
    if isinstance(form, str) and form in by_format:
        return by_format[form]
    words = set(name.split("_"))
    if "HH:MM" in description or "time" in words:
        return Kind.TIME
    if words & {"date", "day"}:
        return Kind.DATE
    if words & {"phone", "telephone", "mobile"}:
        return Kind.PHONE
    return Kind.NAME if "name" in words else Kind.TEXT
