"""Functions that can be no tools, and those that are only written differently."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from enum import Enum
from functools import partial, wraps
from typing import Any

import pytest
from pydantic import BaseModel, Field

from callpipe.processors.tools import ToolContext, ToolDefinitionError
from callpipe.processors.tools.signature import Signature
from callpipe.transports.errors import Fault

CONTEXT = ToolContext(call_id="call_1", tool_name="t")


class Area(Enum):
    INSIDE = "inside"


def with_context(context: ToolContext, day: str) -> None:
    """Know the call."""


def plain(text: str) -> None:
    """Do something."""


class Node(BaseModel):
    children: list[Node] = []


def undocumented(day: str) -> None:
    pass


def blank(day: str) -> None:
    """ """


def only_sections(day: str) -> None:
    """

    Args:
        day: Which.
    """


def untyped(day) -> None:  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
    """Book."""


def starred(*days: str) -> None:
    """Book."""


def double_starred(**days: str) -> None:
    """Book."""


def positional(day: str, /) -> None:
    """Book."""


def misdescribed(day: str) -> None:
    """Book.

    Args:
        dya: Which.
    """


def recursive(node: Node) -> None:
    """Book."""


def unknown_type(day: Callable[[], None], other: object = None) -> None:
    """Book."""


def foreign_type(day: re.Match[str]) -> None:
    """Book."""


def unreadable(day: Nowhere) -> None:  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]
    """Book."""


def field_default(day: str = Field(description="Which.")) -> None:
    """Book."""


def generator() -> Iterator[int]:
    """Book."""
    yield 1


async def async_generator() -> AsyncIterator[int]:
    """Book."""
    yield 1


REFUSED: list[tuple[Callable[..., Any], str]] = [
    (undocumented, "it has no docstring; say in one what it does and when the model calls it"),
    (blank, "it has no docstring; say in one what it does and when the model calls it"),
    (only_sections, "its docstring can't be read (No specification for"),
    (untyped, "parameter day has no type; annotate it, for instance day: str"),
    (starred, "it takes *days; name and annotate each parameter"),
    (double_starred, "it takes *days; name and annotate each parameter"),
    (positional, "parameter day is positional-only; remove the / behind it"),
    (misdescribed, "its docstring describes dya, which is no parameter; rename one of them"),
    (recursive, "type Node refers to itself; give the model a flat one"),
    (unknown_type, "the model can't be told one of its types (Cannot generate a JsonSchema"),
    (foreign_type, "the model can't be told one of its types (Unable to generate pydantic-core schema"),
    (unreadable, "its annotations can't be read (name 'Nowhere' is not defined); import their types"),
    (field_default, "parameter day has a Field as its default; write day: Annotated[..., Field(...)]"),
    (generator, "it yields; return one result, for instance a list"),
    (async_generator, "it yields; return one result, for instance a list"),
]


@pytest.mark.parametrize(("function", "problem"), REFUSED)
def test_a_function_that_can_be_no_tool_is_refused_with_the_mend(
    function: Callable[..., Any], problem: str
) -> None:
    with pytest.raises(ToolDefinitionError) as refused:
        Signature(function)
    line = function.__code__.co_firstlineno
    assert refused.value.problem.startswith(problem)
    assert str(refused.value) == f"tool {function.__name__} ({__file__}:{line}): {refused.value.problem}"
    assert "\n" not in str(refused.value)
    assert refused.value.fault is Fault.BOT_AUTHOR


@pytest.mark.parametrize("callable_", [partial(plain, "x"), print, Area], ids=["partial", "print", "Area"])
def test_what_is_no_function_is_refused(callable_: Callable[..., Any]) -> None:
    with pytest.raises(ToolDefinitionError, match="it is not a function; write one with def or async def"):
        Signature(callable_)


class Desk:
    def book(self, day: str) -> None:
        """Book."""


def test_a_bound_method_is_a_function_and_an_unbound_one_lacks_its_self() -> None:
    assert Signature(Desk().book).parameters["properties"] == {"day": {"type": "string"}}
    with pytest.raises(ToolDefinitionError, match="parameter self has no type"):
        Signature(Desk.book)


def test_a_wrapped_function_keeps_its_parameters() -> None:
    @wraps(with_context)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        with_context(*args, **kwargs)

    signature = Signature(wrapper)
    assert signature.parameters == Signature(with_context).parameters
    assert signature.read('{"day": "Monday"}', CONTEXT) == {"day": "Monday", "context": CONTEXT}
