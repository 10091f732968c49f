"""What the model is told about a tool call, as JSON text.

One rule: ``{"result": ...}`` when the tool worked, whatever its result, also for an empty one;
``{"error": "..."}`` when it did not, in words the model can act on.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Literal

from loguru import logger
from pydantic_core import to_json

Outcome = Literal["ok", "error", "timeout", "refused", "cancelled"]
"""How a tool call went. ``refused``: nothing ran. ``cancelled``: the call ended before the tool did."""

MAX_OUTPUT_BYTES = 32 * 1024
"""UTF-8 bytes of JSON the model is told at most."""

BEGINNING_LENGTH = 2_000
"""Characters that are told of a result beyond the bound."""


@dataclass(frozen=True)
class Answer:
    """The one answer to a tool call.

    Attributes:
        outcome: How it went.
        output: JSON text for the model, at most `MAX_OUTPUT_BYTES`.
        ends_call: The tool asked for the call to end.
    """

    outcome: Outcome
    output: str = field(repr=False)
    ends_call: bool = False


def problem(outcome: Outcome, explanation: str, **details: str) -> Answer:
    """Return an answer that tells the model why there is no result."""
    return Answer(outcome, json.dumps({"error": explanation, **details}))


def answer_with(result: object, *, tool_name: str, ends_call: bool = False) -> Answer:
    """Return the answer that tells the model a tool's result.

    Pydantic models, dataclasses, dates, enums, sets and the like are written as pydantic writes them. A result
    that can't be written, or is too long, becomes an answer that says so, with the outcome ``error``.
    """
    try:
        output = _written(result)
    except Exception as failure:  # noqa: BLE001  a result may be any object, and its methods may raise anything
        logger.error(
            "tool {}: its result of type {} can't be written as JSON ({})",
            tool_name,
            type(result).__name__,
            type(failure).__name__,
        )
        return problem("error", "The tool did its work, but its result can't be told. Do not repeat the call.")
    if len(output) > MAX_OUTPUT_BYTES:
        logger.error(
            "tool {}: its result has {} bytes and {} are told", tool_name, len(output), MAX_OUTPUT_BYTES
        )
        return problem(
            "error",
            f"The tool did its work, but its result has {len(output)} bytes, too many to be told: only its"
            " beginning follows. Ask for less if you need the rest.",
            beginning=output.decode()[:BEGINNING_LENGTH],
        )
    return Answer("ok", output.decode(), ends_call)


def _written(result: object) -> bytes:
    """Return ``{"result": ...}`` as JSON.

    Raises:
        Exception: Whatever comes up when the result is read.
    """
    if isinstance(result, (Iterator, AsyncIterator)):
        raise TypeError("an iterator may be endless")
    return to_json({"result": result}, inf_nan_mode="strings")
