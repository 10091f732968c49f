from __future__ import annotations

import pytest

from callpipe.transports.realtime.emulator.brains.spoken_numbers import (
    find_count,
    find_time,
    time_in_words,
    with_digits,
)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("a table for four", "a table for 4"),
        ("twenty one or thirty-five", "21 or 35"),
        ("twenty nine or fifty one", "29 or 51"),
        ("seven thirty", "7 30"),
        ("seven oh five", "7 05"),
        ("None of them weighs a ton", "None of them weighs a ton"),
    ],
)
def test_number_words_become_digits(said: str, written: str) -> None:
    assert with_digits(said) == written


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ("at seven thirty", "19:30"),
        ("half past seven", "19:30"),
        ("7:30 pm", "19:30"),
        ("at 730.", "19:30"),
        ("at 8.15 please", "20:15"),
        ("at 7 30", "19:30"),
        ("a quarter to eight", "19:45"),
        ("quarter past 6", "18:15"),
        ("twenty minutes to nine", "20:40"),
        ("at seven o'clock", "19:00"),
        ("eight o'clock", "20:00"),
        ("around eight", "20:00"),
        ("ten AM", "10:00"),
        ("at 7.30 p.m. please", "19:30"),
        ("at nine in the morning", "09:00"),
        ("12 a.m.", "00:00"),
        ("at twelve", "12:00"),
        ("noon", "12:00"),
        ("at 19:30", "19:30"),
        ("for four people at 6", "18:00"),
        ("at 6.00 for 3 people", "18:00"),
        ("at seven oh five", "19:05"),
    ],
)
def test_times_are_found(said: str, time: str) -> None:
    found = find_time(with_digits(said))
    assert found is not None
    assert found.value == time


@pytest.mark.parametrize(
    "said", ["order 427", "for four people", "555 0123", "", "at 6 people", "we are seven"]
)
def test_other_numbers_are_no_times(said: str) -> None:
    assert find_time(with_digits(said)) is None


@pytest.mark.parametrize(
    ("said", "time"), [("eight", "20:00"), ("730", "19:30"), ("nine thirty please", "21:30")]
)
def test_an_answer_may_be_a_bare_time(said: str, time: str) -> None:
    found = find_time(with_digits(said), asked=True)
    assert found is not None
    assert found.value == time


def test_people_are_no_answer_to_when() -> None:
    assert find_time("4 people", asked=True) is None


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ("a table for four people", 4),
        ("room 12, party of 6", 6),
        ("a table for to people", 2),
        ("table for two", 2),
        ("there will be nine of us", 9),
        ("a couple", 2),
        ("just me", 1),
        ("ten", 10),
    ],
)
def test_counts_are_found(said: str, count: int) -> None:
    found = find_count(with_digits(said))
    assert found is not None
    assert found.value == count


def test_no_number_is_no_count() -> None:
    assert find_count("I would like to come for dinner") is None


def test_times_are_said_in_twelve_hours() -> None:
    assert [time_in_words(time) for time in ("19:30", "17:00", "00:05", "12:00")] == [
        *("7:30 PM", "5 PM", "12:05 AM", "12 PM")
    ]
