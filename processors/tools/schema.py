"""A JSON schema made simple for the model: no titles, no references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BY_NAME = frozenset({"properties", "patternProperties"})
"""Keywords whose keys are the author's names, not keywords."""

_AS_IT_IS = frozenset({"default", "enum", "const", "examples", "required"})
"""Keywords whose values are no schemas."""

_LEFT_OUT = frozenset({"title", "$defs", "discriminator"})
"""Keywords the model has no use for; a discriminator refers to definitions that are gone."""

_REFERENCE = "#/$defs/"


class RecursiveSchemaError(ValueError):
    """A type refers to itself, so that its schema can't be written without references."""


def simplified(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with every reference replaced by what it refers to, and without titles.

    Args:
        schema: A schema as pydantic writes it, with its `$defs`.

    Raises:
        RecursiveSchemaError: A definition refers to itself.
    """
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    return _object(schema, definitions, frozenset())


def _object(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], within: frozenset[str]
) -> dict[str, Any]:
    """Simplify one schema; `within` names the definitions it stands in."""
    simple: dict[str, Any] = {}
    reference: str | None = schema.get("$ref")
    if reference is not None:
        name = reference.removeprefix(_REFERENCE)
        if name in within:
            raise RecursiveSchemaError(name)
        simple = _object(definitions[name], definitions, within | {name})
    for keyword, value in schema.items():
        if keyword in _LEFT_OUT or keyword == "$ref":
            continue
        if keyword in _AS_IT_IS:
            simple[keyword] = value
        elif keyword in _BY_NAME:
            simple[keyword] = {name: _any(one, definitions, within) for name, one in value.items()}
        else:
            simple[keyword] = _any(value, definitions, within)
    return simple


def _any(value: Any, definitions: Mapping[str, Any], within: frozenset[str]) -> Any:
    """Simplify a keyword's value: a schema, a list of them, or neither."""
    match value:
        case dict():
            return _object(value, definitions, within)  # pyright: ignore[reportUnknownArgumentType]  JSON
        case list():
            return [_any(one, definitions, within) for one in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
