from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.transports.realtime.emulator.brains.parameters import Kind, Parameter, parameters
from callpipe.transports.realtime.emulator.brains.slots import convert, fill

from .restaurant import DAYS, TOOLS

FRIDAY = date(2026, 11, 20)
BOOKING = parameters(TOOLS[1])


def tool(**properties: Mapping[str, object]) -> Mapping[str, object]:
    return {"name": "t", "parameters": {"type": "object", "properties": properties, "required": ["a"]}}


def one(name: str, schema: Mapping[str, object]) -> Parameter:
    return parameters(tool(**{name: schema}))[0]


@pytest.mark.parametrize(
    ("name", "schema", "kind"),
    [
        ("size", {"type": "integer"}, Kind.INTEGER),
        ("weight", {"type": "number"}, Kind.NUMBER),
        ("vegetarian", {"type": "boolean"}, Kind.YES_OR_NO),
        ("color", {"enum": ["red", "blue"]}, Kind.CHOICE),
        ("arrival", {"type": "string", "description": "as HH:MM"}, Kind.TIME),
        ("start_time", {"type": "string"}, Kind.TIME),
        ("on", {"type": "string", "format": "date"}, Kind.DATE),
        ("phone_number", {"type": "string"}, Kind.PHONE),
        ("last_name", {"anyOf": [{"type": "null"}, {"type": "string"}]}, Kind.NAME),
        ("amount", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, Kind.INTEGER),
        ("city", {"type": "string"}, Kind.TEXT),
        ("anything", {}, Kind.TEXT),
    ],
)
def test_a_schema_says_what_is_wanted(name: str, schema: Mapping[str, object], kind: Kind) -> None:
    assert one(name, schema).kind is kind


def test_references_are_followed() -> None:
    schema = {"properties": {"a": {"$ref": "#/$defs/Color"}}, "$defs": {"Color": {"enum": ["red"]}}}
    assert parameters({"parameters": schema})[0].choices == ("red",)


def test_a_tool_without_schema_has_no_parameters() -> None:
    assert parameters({"name": "t"}) == []
    assert parameters({"name": "t", "parameters": "odd"}) == []


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (
            "I would like to book a table for four people at seven thirty. My name is Sarah.",
            {"name": "Sarah", "party_size": 4, "time": "19:30"},
        ),
        (
            "Hi, this is Tom Jones, party of six at 8.15.",
            {"name": "Tom Jones", "party_size": 6, "time": "20:15"},
        ),
        ("A table for two under Anna at half past six", {"name": "Anna", "party_size": 2, "time": "18:30"}),
        ("at 9 for 3 people under the name mark", {"name": "Mark", "party_size": 3, "time": "21:00"}),
        ("a table for Saturday", {}),
    ],
)
def test_a_booking_is_understood(text: str, arguments: Mapping[str, object]) -> None:
    assert fill(BOOKING, text, None, FRIDAY) == arguments


@pytest.mark.parametrize(
    ("asked", "text", "arguments"),
    [
        ("name", "Sarah.", {"name": "Sarah"}),
        ("name", "um, it's Sarah Smith, please", {"name": "Sarah Smith"}),
        ("name", "for four people at eight", {"party_size": 4, "time": "20:00"}),
        ("name", "What?", {}),
        ("party_size", "five", {"party_size": 5}),
        ("party_size", "at seven thirty", {"time": "19:30"}),
        ("time", "eight", {"time": "20:00"}),
        ("time", "four people", {"party_size": 4}),
    ],
)
def test_an_answer_is_understood_as_one(asked: str, text: str, arguments: Mapping[str, object]) -> None:
    parameter = next(parameter for parameter in BOOKING if parameter.name == asked)
    assert fill(BOOKING, text, parameter, FRIDAY) == arguments


@pytest.mark.parametrize(
    ("name", "schema", "text", "value"),
    [
        ("day", {"enum": DAYS}, "Are you open on Mondays?", "monday"),
        ("day", {"enum": DAYS}, "Are you open tomorrow?", "saturday"),
        ("date", {"type": "string"}, "I come next Friday", "next friday"),
        ("date", {"type": "string", "format": "date"}, "on Monday", "2026-11-23"),
        ("city", {"type": "string"}, "What is the weather in New York today?", "New York"),
        ("topping", {"type": "string"}, "the topping is ham, please", "ham"),
        ("phone", {"type": "string"}, "It is 617 555 zero one two three", "6175550123"),
        ("order_number", {"type": "integer"}, "order four two seven", 427),
        ("weight", {"type": "number"}, "it weighs 2.5 kilos", 2.5),
    ],
)
def test_values_are_found_by_their_kind(
    name: str, schema: Mapping[str, object], text: str, value: object
) -> None:
    assert fill([one(name, schema)], text, None, FRIDAY) == {name: value}


def test_yes_and_no_are_answers_only() -> None:
    parameter = one("vegetarian", {"type": "boolean"})
    assert fill([parameter], "yes please", parameter, FRIDAY) == {"vegetarian": True}
    assert fill([parameter], "no", parameter, FRIDAY) == {"vegetarian": False}
    assert fill([parameter], "yes please", None, FRIDAY) == {}


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer"}, "four", 4),
        ({"type": "integer"}, "several", "several"),
        ({"type": "string", "description": "HH:MM"}, "seven thirty", "19:30"),
        ({"type": "string"}, "in Boston", "in Boston"),
        ({"enum": ["small", "large"]}, "Large", "large"),
    ],
)
def test_texts_become_what_the_schema_wants(schema: Mapping[str, object], text: str, value: object) -> None:
    assert convert(one("a", schema), text, FRIDAY) == value


@given(st.text(max_size=60), st.sampled_from([None, *BOOKING]))
@settings(deadline=None)
def test_any_text_is_read(text: str, asked: Parameter | None) -> None:
    assert set(fill(BOOKING, text, asked, FRIDAY)) <= {"name", "party_size", "time"}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(
            st.sampled_from(["properties", "required", "enum", "type", "anyOf", "$ref", "$defs", "a"]),
            values,
            max_size=4,
        )
    ),
)


@given(_json, st.text(max_size=30))
@settings(deadline=None)
def test_any_schema_is_read(schema: object, text: str) -> None:
    wanted = parameters({"name": "t", "parameters": schema})
    fill(wanted, text, None, FRIDAY)
