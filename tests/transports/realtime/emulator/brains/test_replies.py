from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpipe.transports.realtime.emulator.brains.parameters import parameters
from callpipe.transports.realtime.emulator.brains.replies import (
    abilities,
    output_in_words,
    question,
    requested_sentence,
)

from .restaurant import TOOLS


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ('"We open at 17:00"', "We open at 5 PM."),
        ("not JSON", "Not JSON."),
        ("null", "Nothing."),
        ('{"error": "no table is free"}', "I am sorry, that did not work: no table is free."),
        ('{"message": "You are number three!", "id": 7}', "You are number three!"),
        ('{"booked": true, "party_size": 4, "time": "19:30"}', "It is done: party size 4, time 7:30 PM."),
        ('{"ok": "yes"}', "It is done."),
        ('{"open": false, "days": ["monday", "sunday"]}', "Open no, days monday, sunday."),
        ("{}", "There is nothing."),
    ],
)
def test_output_becomes_a_sentence(output: str, words: str) -> None:
    assert output_in_words(output) == words


@given(st.text(max_size=50) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_any_output_can_be_said(output: str) -> None:
    assert output_in_words(output)


def test_questions_ask_for_what_is_missing() -> None:
    asked = [question(parameter, "book_table") for parameter in parameters(TOOLS[1])]
    assert asked == ["What name is the booking under?", "For how many people?", "At what time?"]
    assert question(parameters(TOOLS[0])[0], "opening_hours") == "Which day?"


def test_abilities_are_the_tools_own_words() -> None:
    assert abilities(TOOLS[:2]) == "tell when the restaurant is open or book a table for today"
    assert abilities([{"name": "send_text"}]) == "send text"
    assert abilities([]) == ""


@pytest.mark.parametrize(
    ("instructions", "sentence"),
    [
        ('Greet the caller with: "Luigi\'s, good evening!"', "Luigi's, good evening!"),
        ('You are "Bo". Say exactly “Hello, how are you?”', "Hello, how are you?"),
        ("Greet the caller. Say exactly this, and nothing else: Luigi's! Hello?", "Luigi's! Hello?"),
        ('Say exactly this: Welcome to "Luigi\'s"!', 'Welcome to "Luigi\'s"!'),
        ('Say exactly this: "Welcome." Then wait.', "Welcome."),
        ("Say only this:\nGood evening!\n\nBe kind.", "Good evening!"),
        ("You answer the telephone of Luigi's.", None),
        ('You are "Bo". When the caller says goodbye, call "end_call".', None),
        ('Say ""', None),
        ("Say exactly this:", None),
    ],
)
def test_the_dictated_sentence_is_found(instructions: str, sentence: str | None) -> None:
    assert requested_sentence(instructions) == sentence
