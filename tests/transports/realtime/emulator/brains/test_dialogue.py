from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.transports.realtime.emulator.brains.dialogue import greeting, next_turn
from callpipe.transports.speech.interfaces import CallTool, Heard, Say, ToolOutput

from .restaurant import TOOLS, Conversation, History

pytestmark = pytest.mark.offline

SARAH = CallTool("book_table", {"name": "Sarah", "party_size": 4, "time": "19:30"})


def answer(instructions: str, tools: Sequence[Mapping[str, object]], history: History) -> list[Say | CallTool]:
    return next_turn(instructions, tools, history, date(2026, 11, 20))


@pytest.fixture
def conversation() -> Conversation:
    return Conversation(answer)


@pytest.mark.parametrize(
    "turns",
    [
        ["I would like to book a table for four people at 730. My name is Sarah."],
        ["I would like to book a table for four people at 730.", "My name is Sarah."],
        ["I would like to book a table", "for four people at seven thirty.", "Sarah."],
        ["I'd like a reservation.", "It's Sarah.", "four", "half past seven"],
        ["My name is Sarah.", "Table for four at 7.30 please."],
        ["Hi, a table for four please.", "What?", "Sarah", "at 19:30"],
    ],
)
def test_a_booking_is_made_however_it_is_told(conversation: Conversation, turns: list[str]) -> None:
    assert conversation.calls(*turns) == [SARAH]


def test_what_is_missing_is_asked_for(conversation: Conversation) -> None:
    assert conversation.words("Book a table for four at 7:30.") == "What name is the booking under?"
    assert conversation.words("Sorry?") == "Sorry, I did not understand that. What name is the booking under?"


def test_a_newer_request_takes_the_place_of_an_open_one(conversation: Conversation) -> None:
    assert conversation.calls("Book a table please.", "What time do you open on Sunday?") == [
        CallTool("opening_hours", {"day": "sunday"})
    ]


def test_the_demo_conversation(conversation: Conversation) -> None:
    booked = conversation.words("I would like to book a table for four people at 730. My name is Sarah.")
    assert booked == (
        "It is done: name Sarah, party size 4, time 7:30 PM. I can also tell when the restaurant is open."
    )
    assert conversation.calls("What time do you open on Saturday?")[-1] == (
        CallTool("opening_hours", {"day": "saturday"})
    )
    assert conversation.say("Thank you. Goodbye.") == [
        Say("Thank you for calling. Goodbye!"),
        CallTool("end_call", {}),
    ]


def test_no_ends_the_call_when_nothing_is_open(conversation: Conversation) -> None:
    assert conversation.calls("No.") == [CallTool("end_call", {})]


def test_without_end_call_a_goodbye_is_said() -> None:
    assert answer("", TOOLS[:2], [Heard("Goodbye")]) == [Say("Thank you for calling. Goodbye!")]


def test_end_call_is_given_what_it_requires() -> None:
    properties = {
        "reason": {"type": "string"},
        "mood": {"enum": ["good", "bad"]},
        "sure": {"type": "boolean"},
        "rating": {"type": "integer"},
    }
    end_call = {"name": "end_call", "parameters": {"properties": properties, "required": list(properties)}}
    assert answer("", [end_call], [Heard("Bye")])[1] == CallTool(
        "end_call", {"reason": "The caller said goodbye.", "mood": "good", "sure": True, "rating": 0}
    )


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("Thanks.", "You are welcome. Is there anything else I can do for you?"),
        (
            "Who are you?",
            "Sorry, I did not understand that. "
            "I can tell when the restaurant is open or book a table for today.",
        ),
    ],
)
def test_small_talk_is_answered(conversation: Conversation, heard: str, said: str) -> None:
    assert conversation.words(heard) == said


def test_where_nothing_new_was_heard_the_quoted_sentence_is_said() -> None:
    waiting: History = [Heard("book a table"), CallTool("book_table", {})]
    assert answer('Say "Let me look."', TOOLS, waiting) == [Say("Let me look.")]
    assert answer("Be kind.", TOOLS, waiting) == [Say("One moment, please.")]
    assert answer('Say "Still there?"', TOOLS, [Say("Hello")]) == [Say("Still there?")]
    assert answer("Be kind.", TOOLS, []) == [Say("Is there anything else I can do for you?")]


def test_an_error_is_told() -> None:
    history: History = [Heard("x"), SARAH, ToolOutput("book_table", '{"error": "All tables are taken."}')]
    (said,) = answer("", TOOLS[1:], history)
    assert said == Say(
        "I am sorry, that did not work: All tables are taken. Is there anything else I can do for you?"
    )


def test_greetings() -> None:
    assert greeting('Say "Good evening!"') == "Good evening!"
    assert greeting("Be kind.") == "Hello! How can I help you?"


@given(st.lists(st.text(max_size=30).map(Heard) | st.just(SARAH) | st.text(max_size=9).map(Say), max_size=5))
@settings(deadline=None)
def test_any_conversation_is_answered(history: History) -> None:
    assert answer("", TOOLS, history)
