"""A conversation that another process had to leave is picked up where it stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from callpipe.transports.realtime.dialogue import Dialogue
from callpipe.transports.realtime.history import History
from callpipe.transports.realtime.resuming import (
    ANSWER,
    BROKE_OFF,
    CUT,
    GOODBYE,
    UNHEARD,
    UNKNOWN,
    changed,
    go_on_wish,
    take_up,
)
from callpipe.transports.restored import (
    UNKNOWN_OUTCOME,
    AuthorWords,
    BotWords,
    CallerWords,
    Restored,
    ToolRun,
)


@dataclass(frozen=True)
class Named:
    """A tool of which only the name matters."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])


BOOK, PRICE = Named("book"), Named("price")


@pytest.mark.parametrize(
    ("restored", "told"),
    [
        (Restored(), [ANSWER]),
        (Restored((BotWords("Good ev", cut=True),)), [CUT]),
        (Restored((BotWords("Good evening."),)), [ANSWER]),
        (Restored(caller_unheard=True), [UNHEARD]),
        (Restored(ends=True), [GOODBYE]),
        (Restored((ToolRun("t", "book", "{}", None),)), [UNKNOWN]),
        (Restored((ToolRun("t", "price", "{}", None, repeatable=True),)), [ANSWER]),
        (Restored((ToolRun("t", "book", "{}", "{}"),)), [ANSWER]),
        (Restored((BotWords("Good ev", cut=True),), ends=True, caller_unheard=True), [UNHEARD, CUT, GOODBYE]),
    ],
)
def test_the_model_is_told_how_the_conversation_broke_off(restored: Restored, told: list[str]) -> None:
    asked = " ".join([BROKE_OFF, *told])
    assert go_on_wish(restored, "Be brief.").instructions == f"Be brief.\n\n{asked}"


@pytest.mark.parametrize(
    ("names", "tools"),
    [
        (None, None),
        ((), []),
        (("price",), [PRICE]),
        (("price", "book"), [PRICE, BOOK]),
        (("book", "gone"), None),
    ],
)
def test_the_model_keeps_the_tools_it_was_left_if_they_are_all_there(
    names: tuple[str, ...] | None, tools: list[Named] | None
) -> None:
    change = changed(Restored(instructions="Be brief.", tool_names=names), [BOOK, PRICE])
    assert change.tools == tools
    assert change.instructions == "Be brief."


def test_what_was_said_and_done_is_history_and_a_harmless_tool_runs_again() -> None:
    history = History()
    restored = Restored(
        (
            AuthorWords("A guest."),
            CallerWords("How much?"),
            ToolRun("t-1", "price", "{}", None, repeatable=True),
            ToolRun("t-2", "book", "{}", None),
            ToolRun("t-3", "price", "{}", '{"euros": 80}', repeatable=True),
            CallerWords(None),
            BotWords("Eighty euros."),
        )
    )
    again = take_up(restored, history, Dialogue([]))
    assert [call.call_id for call in again] == ["t-1"]
    items = [json.loads(message)["item"] for message in history.replay({})]
    assert [(item.get("role") or item["type"], item.get("call_id")) for item in items] == [
        ("system", None),
        ("user", None),
        ("function_call", "t-2"),
        ("function_call_output", "t-2"),
        ("function_call", "t-3"),
        ("function_call_output", "t-3"),
        ("user", None),
        ("assistant", None),
    ]
    assert items[3]["output"] == UNKNOWN_OUTCOME
    assert items[5]["output"] == '{"euros": 80}'
    assert items[1]["content"][0]["text"] == "How much?"
