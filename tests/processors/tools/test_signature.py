"""Schemas and arguments of functions of every kind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from callpipe.processors.tools import ToolArgumentsError, ToolContext
from callpipe.processors.tools.signature import Signature
from callpipe.transports.errors import Fault

CONTEXT = ToolContext(call_id="call_1", tool_name="t")


class Area(Enum):
    INSIDE = "inside"
    OUTSIDE = "outside"


class Guest(BaseModel):
    """Somebody who comes."""

    name: str = Field(description="First name.")
    age: int | None = None


class Party(BaseModel):
    host: Guest
    guests: list[Guest] = []


@dataclass
class Address:
    street: str
    number: int = 1


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def check(cls, number: int) -> int:
        if number % 2:
            raise ValueError("an even number, please")
        return number


def plain(text: str, count: int, share: float, loud: bool) -> None:
    """Do something.

    More about it,
    over two lines.

    Args:
        text: The words,
            all of them.
        count (int): How many.
        share: How much.

    Returns:
        Nothing.

    Raises:
        ValueError: Never.
    """


def choices(area: Area, size: Literal["small", "large"], way: Literal[1, 2] = 1) -> None:
    """Choose.

    Args:
        area: Where.
    """


def collections(names: list[str], prices: dict[str, float], areas: list[Area], any_of: list[Any]) -> None:
    """Collect."""


def optionals(a: str | None, b: int | None = None, c: str = "x", d: list[int] = [1]) -> None:  # noqa: B006
    """Leave out."""


def dates(on: date, at: time, when: datetime) -> None:
    """Meet."""


def structures(party: Party, address: Address) -> None:
    """Nest.

    Args:
        party: Who comes.
    """


def bounded(people: Annotated[int, Field(ge=1, le=8, description="How many.")]) -> None:
    """Bound."""


def odd_names(copy: str, _day: str, model_config: str, schema: str = "s") -> None:
    """Shadow nothing."""


def with_context(context: ToolContext, day: str) -> None:
    """Know the call.

    Args:
        context: The call.
        day: Which day.
    """


def nothing() -> None:
    """Take nothing."""


UNSPEAKABLE = object()


def strange_default(day: date | None = UNSPEAKABLE) -> None:  # pyright: ignore[reportArgumentType]  made to be wrong
    """Default to something JSON has no word for."""


TEXT = {"type": "string"}
AREA = {"enum": ["inside", "outside"], "type": "string"}
GUEST = {
    "description": "Somebody who comes.",
    "properties": {
        "name": {"description": "First name.", "type": "string"},
        "age": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
    },
    "required": ["name"],
    "type": "object",
}


def arguments(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("function", "schema"),
    [
        (
            plain,
            arguments(
                {
                    "text": {"description": "The words, all of them.", "type": "string"},
                    "count": {"description": "How many.", "type": "integer"},
                    "share": {"description": "How much.", "type": "number"},
                    "loud": {"type": "boolean"},
                },
                "text",
                "count",
                "share",
                "loud",
            ),
        ),
        (
            choices,
            arguments(
                {
                    "area": {**AREA, "description": "Where."},
                    "size": {"enum": ["small", "large"], "type": "string"},
                    "way": {"enum": [1, 2], "type": "integer", "default": 1},
                },
                "area",
                "size",
            ),
        ),
        (
            collections,
            arguments(
                {
                    "names": {"type": "array", "items": TEXT},
                    "prices": {"type": "object", "additionalProperties": {"type": "number"}},
                    "areas": {"type": "array", "items": AREA},
                    "any_of": {"type": "array", "items": {}},
                },
                "names",
                "prices",
                "areas",
                "any_of",
            ),
        ),
        (
            optionals,
            arguments(
                {
                    "a": {"anyOf": [TEXT, {"type": "null"}]},
                    "b": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
                    "c": {"type": "string", "default": "x"},
                    "d": {"type": "array", "items": {"type": "integer"}, "default": [1]},
                },
                "a",
            ),
        ),
        (
            dates,
            arguments(
                {
                    "on": {"type": "string", "format": "date"},
                    "at": {"type": "string", "format": "time"},
                    "when": {"type": "string", "format": "date-time"},
                },
                "on",
                "at",
                "when",
            ),
        ),
        (
            structures,
            arguments(
                {
                    "party": {
                        "description": "Who comes.",
                        "type": "object",
                        "properties": {
                            "host": GUEST,
                            "guests": {"type": "array", "items": GUEST, "default": []},
                        },
                        "required": ["host"],
                    },
                    "address": {
                        "type": "object",
                        "properties": {"street": TEXT, "number": {"type": "integer", "default": 1}},
                        "required": ["street"],
                        "additionalProperties": False,
                    },
                },
                "party",
                "address",
            ),
        ),
        (
            bounded,
            arguments(
                {"people": {"type": "integer", "minimum": 1, "maximum": 8, "description": "How many."}},
                "people",
            ),
        ),
        (
            odd_names,
            arguments(
                {"copy": TEXT, "_day": TEXT, "model_config": TEXT, "schema": {**TEXT, "default": "s"}},
                "copy",
                "_day",
                "model_config",
            ),
        ),
        (
            with_context,
            arguments({"day": {"description": "Which day.", "type": "string"}}, "day"),
        ),
        (nothing, arguments({})),
        (
            strange_default,
            arguments({"day": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}}),
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_the_schema_of(function: Callable[..., Any], schema: dict[str, Any]) -> None:
    assert Signature(function).parameters == schema


def test_the_description_is_the_docstring_before_its_sections() -> None:
    assert Signature(plain).description == "Do something.\n\nMore about it,\nover two lines."


@pytest.mark.parametrize(
    ("function", "written", "given"),
    [
        (choices, {"area": "inside", "size": "small"}, {"area": Area.INSIDE, "size": "small"}),
        (optionals, {"a": None, "d": []}, {"a": None, "d": []}),
        (
            dates,
            {"on": "2031-02-03", "at": "19:30", "when": "2031-02-03T19:30:00"},
            {"on": date(2031, 2, 3), "at": time(19, 30), "when": datetime(2031, 2, 3, 19, 30)},  # noqa: DTZ001
        ),
        (
            structures,
            {"party": {"host": {"name": "Zoë"}}, "address": {"street": "Elm"}},
            {"party": Party(host=Guest(name="Zoë")), "address": Address("Elm")},
        ),
        (
            odd_names,
            {"copy": "1", "_day": "2", "model_config": "3"},
            {"copy": "1", "_day": "2", "model_config": "3"},
        ),
        (with_context, {"day": "Monday"}, {"day": "Monday", "context": CONTEXT}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_arguments_arrive_as_what_they_are_annotated(
    function: Callable[..., Any], written: dict[str, Any], given: dict[str, Any]
) -> None:
    assert Signature(function).read(json.dumps(written), CONTEXT) == given


@pytest.mark.parametrize("blank", ["", "  ", "{}", " {} "])
def test_no_arguments_may_be_written_as_nothing(blank: str) -> None:
    assert Signature(nothing).read(blank, CONTEXT) == {}


def even(even: Even) -> None:
    """Take an even number."""


@pytest.mark.parametrize(
    ("function", "written", "explanation"),
    [
        (nothing, "{", "The arguments are not one JSON object (Invalid JSON: EOF"),
        (nothing, "[]", "The arguments are not one JSON object."),
        (nothing, "null", "The arguments are not one JSON object."),
        (nothing, '"\ud800"', "The arguments are not one JSON object (Input should be a valid string"),
        (nothing, '{"x": 1}', "`x` is not a parameter; the parameters are: none."),
        (bounded, "{}", "`people` is missing."),
        (bounded, '{"people": "many"}', "`people`: Input should be a valid integer"),
        (bounded, '{"people": 9}', "`people`: Input should be less than or equal to 8."),
        (bounded, '{"people": 2, "day": 1}', "`day` is not a parameter; the parameters are: `people`."),
        (
            plain,
            '{"text": 5, "count": 1, "share": NaN, "loud": true}',
            "`text`: Input should be a valid string.",
        ),
        (plain, '{"text": 5, "count": 1, "share": NaN, "loud": true}', "`share`: Input should be a finite"),
        (choices, '{"area": "roof", "size": "small"}', "`area`: Input should be 'inside' or 'outside'."),
        (structures, '{"party": {"host": {}}, "address": {}}', "`party.host.name` is missing."),
        (even, '{"even": {"number": 3}}', "`even.number`: Value error, an even number, please."),
    ],
)
def test_arguments_that_do_not_fit_are_explained(
    function: Callable[..., Any], written: str, explanation: str
) -> None:
    with pytest.raises(ToolArgumentsError) as refused:
        Signature(function).read(written, CONTEXT)
    assert explanation in refused.value.explanation
    assert refused.value.explanation.startswith("Nothing was done. ")
    assert refused.value.explanation.endswith(" Correct the arguments and call again.")
    assert refused.value.fault is Fault.MODEL
    assert str(refused.value) == "the arguments do not fit the tool's parameters"


def test_many_problems_are_condensed() -> None:
    with pytest.raises(ToolArgumentsError) as refused:
        Signature(nothing).read(json.dumps({"x" * 1_000 + str(n): n for n in range(100)}), CONTEXT)
    assert refused.value.explanation.count("is not a parameter") == 5
    assert "95 more are wrong." in refused.value.explanation
    assert len(refused.value.explanation) < 1_000


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
any_arguments = st.dictionaries(st.sampled_from(["party", "address", "host", "x"]), any_json)


STRUCTURED = Signature(structures)
PLAIN = Signature(plain)


@settings(max_examples=400, deadline=None)
@given(st.text(st.characters()) | any_json.map(json.dumps) | any_arguments.map(json.dumps))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ToolArgumentsError):
        assert isinstance(STRUCTURED.read(text, CONTEXT)["party"], Party)
    with contextlib.suppress(ToolArgumentsError):
        assert isinstance(PLAIN.read(text, CONTEXT)["text"], str)
