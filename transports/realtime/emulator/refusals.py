"""From what is wrong with a client event to the API's words for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from pydantic_core import ErrorDetails

from .errors import RequestError

_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}

_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
}

_ABOUT_A_FIELD = ("missing", "extra_forbidden")

_LIMITS = {
    "greater_than_equal": ("below_min_value", "below minimum value", ">= {ge}"),
    "less_than_equal": ("above_max_value", "above maximum value", "<= {le}"),
}


def refusal(event: Mapping[str, object], errors: Sequence[ErrorDetails]) -> RequestError:
    """Return the error for the most specific of the things that are wrong with `event`.

    Args:
        event: The client event.
        errors: What its check found, at least one.
    """
    located = [(_path(event, error), error) for error in errors]
    path, error = max(located, key=lambda pair: len(pair[0]))
    return _worded(_param(path), error)


def _path(event: object, error: ErrorDetails) -> list[str | int]:
    """Return where an error is, in keys of the event; the checker's own names of alternatives are left out."""
    path: list[str | int] = []
    place = event
    parts = error["loc"]
    for number, part in enumerate(parts):
        if isinstance(place, dict):
            fields = cast("dict[str, object]", place)
            if part in fields or (number == len(parts) - 1 and error["type"] in _ABOUT_A_FIELD):
                path.append(part)
                place = fields.get(str(part))
        elif isinstance(place, list) and isinstance(part, int):
            path.append(part)
            place = cast("list[object]", place)[part]
    if error["type"].startswith("union_tag"):
        path.append(_discriminator(error))
    return path


def _discriminator(error: ErrorDetails) -> str:
    return str(error.get("ctx", {}).get("discriminator", "type")).strip("'")


def _param(path: Sequence[str | int]) -> str | None:
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return param.lstrip(".") or None


def _worded(param: str | None, error: ErrorDetails) -> RequestError:
    kind, given = error["type"], error["input"]
    context = error.get("ctx", {})
    code = "invalid_value"
    if kind == "extra_forbidden":
        code, message = "unknown_parameter", f"Unknown parameter: '{param}'."
    elif kind in ("missing", "union_tag_not_found"):
        code, message = "missing_required_parameter", f"Missing required parameter: '{param}'."
    elif kind in _EXPECTED:
        code, contrast = "invalid_type", f"expected {_EXPECTED[kind]}, but got {_kind_of(given)} instead."
        message = f"Invalid type for '{param}': {contrast}"
    elif kind == "literal_error":
        message = f"Invalid value: {_shown(given)}. Supported values are: {context.get('expected')}."
    elif kind == "union_tag_invalid":
        supported = context.get("expected_tags")
        message = f"Invalid value: '{context.get('tag')}'. Supported values are: {supported}."
    elif kind in _LIMITS:
        number = "integer" if isinstance(given, int) else "decimal"
        limit, words, expected = _LIMITS[kind]
        code, contrast = f"{number}_{limit}", f"Expected a value {expected.format(**context)}"
        message = f"Invalid '{param}': {number} {words}. {contrast}, but got {given} instead."
    elif kind == "string_too_long":
        code, contrast = "string_above_max_length", f"but got a string with length {len(str(given))} instead."
        expected = f"Expected a string with maximum length {context.get('max_length')}"
        message = f"Invalid '{param}': string too long. {expected}, {contrast}"
    else:
        message = error["msg"] if kind == "invalid_value" else f"Invalid '{param}': {error['msg']}"
    return RequestError(message, code, param)


def _kind_of(value: object) -> str:
    return _KINDS.get(type(value), "an object")


def _shown(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)
