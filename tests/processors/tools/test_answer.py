"""What the model is told of a result."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_serializer

from callpipe.processors.tools.answer import BEGINNING_LENGTH, MAX_OUTPUT_BYTES, answer_with, problem


class Size(Enum):
    SMALL = "small"


class Table(BaseModel):
    seats: int
    on: date


@dataclass
class Booking:
    number: str
    table: Table


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, None),
        (False, False),
        (0, 0),
        ("", ""),
        ([], []),
        ({}, {}),
        ("Zoë", "Zoë"),
        ('{"a": 1}', '{"a": 1}'),
        ({"a": [1, 2.5, None]}, {"a": [1, 2.5, None]}),
        ((1, 2), [1, 2]),
        (Size.SMALL, "small"),
        (datetime(2031, 2, 3, 4, 5, tzinfo=UTC), "2031-02-03T04:05:00Z"),
        (Decimal("1.10"), "1.10"),
        (Table(seats=2, on=date(2031, 2, 3)), {"seats": 2, "on": "2031-02-03"}),
        (
            Booking("a1", Table(seats=2, on=date(2031, 2, 3))),
            {"number": "a1", "table": {"seats": 2, "on": "2031-02-03"}},
        ),
        (math.nan, "NaN"),
    ],
    ids=repr,
)
def test_a_result_is_told_as_it_is(result: object, told: object) -> None:
    answer = answer_with(result, tool_name="t")
    assert answer.outcome == "ok"
    assert json.loads(answer.output) == {"result": told}


class Unreadable(BaseModel):
    seats: int = 2

    @field_serializer("seats")
    def write_seats(self, seats: int) -> int:
        raise LookupError("secret")


def circular() -> list[object]:
    ring: list[object] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    "result",
    [object(), {object(): 1}, b"\xff", "\ud800", circular(), iter([1, 2]), [object()], Unreadable(), lambda: 1],
    ids=lambda result: type(result).__name__,
)
def test_a_result_that_cannot_be_written_is_an_error_the_model_understands(result: object) -> None:
    answer = answer_with(result, tool_name="t", ends_call=True)
    assert answer.outcome == "error"
    assert not answer.ends_call
    assert json.loads(answer.output) == {
        "error": "The tool did its work, but its result can't be told. Do not repeat the call."
    }


def test_a_result_may_fill_the_bound() -> None:
    fitting = "x" * (MAX_OUTPUT_BYTES - len('{"result":""}'))
    assert answer_with(fitting, tool_name="t").outcome == "ok"
    assert answer_with(fitting + "x", tool_name="t").outcome == "error"


@pytest.mark.parametrize("character", ["x", '"', "\x01", "é", "\N{TELEPHONE RECEIVER}"])
def test_a_result_beyond_the_bound_is_told_by_its_beginning(character: str) -> None:
    answer = answer_with(character * 40_000, tool_name="t", ends_call=True)
    assert answer.outcome == "error"
    assert not answer.ends_call
    assert len(answer.output.encode()) <= MAX_OUTPUT_BYTES
    told = json.loads(answer.output)
    assert set(told) == {"error", "beginning"}
    assert told["beginning"].startswith('{"result":"')
    assert len(told["beginning"]) == BEGINNING_LENGTH


@given(st.text(st.characters(categories=("L", "N", "P", "Cs", "Cc"))))
def test_an_explanation_may_hold_any_text(text: str) -> None:
    assert json.loads(problem("refused", text).output)["error"] == text


def test_no_content_shows_in_an_answers_repr() -> None:
    assert "secret" not in repr(answer_with("secret", tool_name="t"))
