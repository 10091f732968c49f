from __future__ import annotations

import pytest

from callpipe.transports.realtime.emulator.brains.intents import is_goodbye, matching_tool

from .restaurant import TOOLS

pytestmark = pytest.mark.offline


def named(text: str) -> object:
    tool = matching_tool(text, TOOLS[:2])
    return tool and tool["name"]


@pytest.mark.parametrize(
    "text",
    [
        "I would like to book a table for four people at 7:30.",
        "Can I make a reservation?",
        "Table for two at nine.",
        "I want to reserve something for Saturday.",
    ],
)
def test_a_booking_is_recognized(text: str) -> None:
    assert named(text) == "book_table"


@pytest.mark.parametrize(
    "text",
    [
        "What time do you open on Saturday?",
        "When do you close tonight?",
        "What are your hours?",
        "Are you opened on Mondays?",
    ],
)
def test_a_question_for_hours_is_recognized(text: str) -> None:
    assert named(text) == "opening_hours"


@pytest.mark.parametrize(
    "text", ["", "What is the meaning of life?", "My name is Sarah.", "on Saturday", "at seven"]
)
def test_other_words_ask_for_no_tool(text: str) -> None:
    assert named(text) is None


def test_without_tools_none_matches() -> None:
    assert matching_tool("book a table", []) is None


def test_of_tools_that_fit_equally_well_the_first_is_called() -> None:
    tools = [{"name": "cancel_table"}, {"name": "cancel_room"}, {"name": "cancel_taxi"}]
    assert matching_tool("cancel it", tools) == tools[0]


def test_a_word_of_a_name_outweighs_a_synonym_of_another() -> None:
    tools = [{"name": "reserve_room"}, {"name": "book_taxi"}]
    assert matching_tool("book it", tools) == tools[1]
    assert matching_tool("reserve it", tools) == tools[0]


def test_a_word_of_the_description_alone_asks_for_nothing() -> None:
    tools = [{"name": "look_up", "description": "Finds rooms."}]
    assert matching_tool("rooms", tools) is None
    assert matching_tool("look for rooms", tools) == tools[0]


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("rooms with a view", False),
        ("rooms, suites, balconies", True),
        ("guests", False),
        ("guests, evening", True),
    ],
)
def test_words_of_lesser_weight_add_up(text: str, called: bool) -> None:
    properties = {"guests": {"type": "integer"}, "evening": {"type": "string"}}
    tool = {
        "name": "look_up",
        "description": "Finds rooms, suites, balconies.",
        "parameters": {"type": "object", "properties": properties},
    }
    assert (matching_tool(text, [tool]) is tool) is called


def test_synonyms_belong_to_tools_of_any_bot() -> None:
    tools = [{"name": "transfer_call"}, {"name": "get_weather"}, {"name": "order_status"}]
    asked = ["I want to speak to a human.", "Will it rain in Boston?", "Where is my package?"]
    assert [matching_tool(text, tools) for text in asked] == tools


@pytest.mark.parametrize(
    "text",
    ["Goodbye.", "Thank you. Good bye!", "Bye bye", "No thanks.", "That's all, thank you.", "Have a nice day"],
)
def test_goodbyes_are_recognized(text: str) -> None:
    assert is_goodbye(text)


@pytest.mark.parametrize("text", ["Hello", "Is that all right?", "a table by the window", "thank you"])
def test_other_words_are_no_goodbye(text: str) -> None:
    assert not is_goodbye(text)
