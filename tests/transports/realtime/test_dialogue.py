"""Responses and tool calls depend on each other: outputs are gone on with once, a goodbye is the last word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from callpipe.transports.realtime.dialogue import Dialogue, Farewell
from callpipe.transports.realtime.events import Item, ItemAdded

FAREWELL_DEADLINE_S = 20.0


class Talk:
    """A dialogue whose requests are answered by hand."""

    def __init__(self) -> None:
        self.outbox: list[bytes] = []
        self.dialogue = Dialogue(self.outbox)

    def sent(self) -> list[dict[str, Any]]:
        events = [json.loads(message) for message in self.outbox]
        self.outbox.clear()
        return events

    def asks(self) -> str | None:
        """Return the id of the request that is made now, None when none is."""
        self.dialogue.proceed(0.0)
        return next((event["event_id"] for event in self.sent() if event["type"] == "response.create"), None)

    def responds(self, response_id: str, request_id: str | None = None, *, spoke: bool = False) -> None:
        self.dialogue.began(response_id, request_id)
        assert self.dialogue.responses.live is not None
        self.dialogue.responses.live.spoke = spoke

    def calls(self, call: str, **given: str) -> list[str]:
        fields = {"type": "function_call", "call_id": call, "name": "book"} | given
        return [made.arguments for made in self.dialogue.tool_call(Item(**fields), "r-1")]

    def answers(self, call_id: str, *, ends_call: bool = False) -> bool:
        return self.dialogue.tool_answered(call_id, "{}", 1.0, ends_call=ends_call)


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_the_model_goes_on_when_all_its_calls_are_answered(talk: Talk) -> None:
    talk.responds("r-1")
    assert talk.calls("t-1", arguments='{"at":7}') == ['{"at":7}']
    assert talk.calls("t-1") == []
    assert talk.calls("t-2") == [""]
    assert talk.dialogue.has_called("r-1")
    assert not talk.dialogue.has_called("r-2")
    assert talk.answers("t-1")
    assert not talk.answers("t-1")
    talk.dialogue.over("r-1")
    assert [event["item"]["call_id"] for event in talk.sent()] == ["t-1"]
    assert talk.asks() is None
    assert talk.answers("t-2")
    assert talk.asks() == "create_1"
    assert talk.asks() is None


def test_the_model_goes_on_after_a_response_whose_calls_were_answered_within_it(talk: Talk) -> None:
    talk.responds("r-1")
    talk.calls("t-1")
    talk.answers("t-1")
    talk.sent()
    assert talk.asks() is None
    talk.dialogue.over("r-1")
    assert talk.asks() == "create_1"


@pytest.mark.parametrize(
    "given", [{"type": "message"}, {"call_id": ""}, {"name": ""}], ids=["message", "no call id", "no name"]
)
def test_what_is_no_tool_call_is_left(talk: Talk, given: dict[str, str]) -> None:
    assert talk.calls("t-1", **given) == []
    assert not talk.dialogue.has_called("r-1")


def test_a_call_that_was_cut_short_is_forgotten_by_the_conversation(talk: Talk) -> None:
    assert talk.calls("t-1", id="i-1", status="incomplete") == []
    assert talk.sent() == [{"type": "conversation.item.delete", "item_id": "i-1"}]
    assert talk.calls("t-2", id="i-2", status="completed") == [""]


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_response_of_the_servers_own_answers_outputs_that_the_conversation_holds(
    talk: Talk, confirmed: bool
) -> None:
    talk.responds("r-1")
    talk.calls("t-1")
    talk.answers("t-1")
    talk.dialogue.over("r-1")
    if confirmed:
        echo = Item(type="function_call_output", call_id="t-1")
        talk.dialogue.item_added(ItemAdded(item=echo), 1.0)
    talk.sent()
    talk.responds("r-2")
    talk.dialogue.over("r-2")
    assert (talk.asks() is None) is confirmed


def test_a_response_ends_the_one_whose_end_was_lost(talk: Talk) -> None:
    talk.responds("r-1")
    assert talk.dialogue.began("r-2", None) == "r-1"
    assert talk.dialogue.responses.is_over("r-1")
    assert talk.dialogue.began("r-1", None) is None
    assert talk.dialogue.responses.is_live("r-2")


def test_a_caller_who_cuts_in_stops_a_response_once(talk: Talk) -> None:
    talk.responds("r-1")
    assert talk.dialogue.caller_started()
    assert not talk.dialogue.caller_started()
    assert talk.sent() == []


def test_a_caller_who_cuts_in_cancels_what_is_only_asked_for(talk: Talk) -> None:
    talk.dialogue.responses.want()
    assert talk.asks() == "create_1"
    assert not talk.dialogue.caller_started()
    assert talk.sent() == [{"type": "response.cancel"}]


def test_after_a_goodbye_beside_the_call_nothing_is_asked_for(talk: Talk) -> None:
    talk.responds("r-1", spoke=True)
    talk.calls("t-1")
    talk.answers("t-1", ends_call=True)
    assert not talk.dialogue.goodbye_given()
    talk.dialogue.over("r-1")
    assert talk.asks() is None
    assert talk.dialogue.goodbye_given()


def test_a_goodbye_is_asked_for_and_once_more_when_it_had_no_word(talk: Talk) -> None:
    talk.responds("r-1")
    talk.calls("t-1")
    talk.answers("t-1", ends_call=True)
    talk.dialogue.over("r-1")
    talk.sent()
    assert talk.asks() == "create_1"
    talk.responds("r-2", "create_1")
    talk.dialogue.over("r-2")
    assert not talk.dialogue.goodbye_given()
    assert talk.asks() == "create_2"
    talk.responds("r-3", "create_2", spoke=True)
    assert not talk.dialogue.goodbye_given()
    talk.dialogue.over("r-3")
    assert talk.asks() is None
    assert talk.dialogue.goodbye_given()


def test_an_end_without_words_waits_for_what_is_being_said(talk: Talk) -> None:
    talk.responds("r-1")
    talk.dialogue.farewell.ask_without_words(1.0)
    assert not talk.dialogue.goodbye_given()
    talk.dialogue.over("r-1")
    assert talk.dialogue.goodbye_given()
    assert talk.asks() is None


def test_the_call_is_over_once_when_the_goodbye_is_heard_or_late() -> None:
    for heard, now in ((True, 1.0), (False, 1.0 + FAREWELL_DEADLINE_S)):
        farewell = Farewell()
        assert farewell.conclude(99.0, heard=True) == []
        farewell.ask(1.0)
        farewell.ask(5.0)
        assert farewell.conclude(0.9 + FAREWELL_DEADLINE_S, heard=False) == []
        (over,) = farewell.conclude(now, heard=heard)
        assert over.reason == ("goodbye heard" if heard else "goodbye not heard")
        assert farewell.conclude(99.0, heard=True) == []


def test_a_filler_is_said_once_while_nobody_has_the_word(talk: Talk) -> None:
    talk.responds("r-1")
    talk.calls("t-1")
    talk.dialogue.tool_runs("t-9", "Nobody's.", after_ms=0.0, now=1.0)
    talk.dialogue.tool_runs("t-1", "One moment.", after_ms=500.0, now=1.0)
    assert talk.dialogue.filler_due(1.0) is None
    talk.dialogue.over("r-1")
    assert talk.dialogue.filler_due(1.0) == 1.5
    talk.dialogue.fill(1.0, 1.4)
    assert talk.asks() is None
    talk.dialogue.fill(1.0, 1.5)
    assert talk.asks() == "create_1"
    talk.responds("r-2", "create_1", spoke=True)
    talk.dialogue.over("r-2")
    assert talk.dialogue.filler_due(2.0) is None


def test_no_filler_is_said_before_the_end(talk: Talk) -> None:
    talk.responds("r-1")
    talk.calls("t-1")
    talk.dialogue.tool_runs("t-1", "One moment.", after_ms=500.0, now=1.0)
    talk.dialogue.over("r-1")
    talk.dialogue.farewell.ask(1.0)
    assert talk.dialogue.filler_due(1.0) is None


def test_calls_that_run_again_are_gone_on_with_when_all_are_answered(talk: Talk) -> None:
    talk.dialogue.call_again(["t-1", "t-2"])
    talk.answers("t-1")
    talk.sent()
    assert talk.asks() is None
    talk.answers("t-2")
    talk.sent()
    assert talk.asks() == "create_1"


def test_a_lost_session_ends_its_response(talk: Talk) -> None:
    talk.responds("r-1", spoke=True)
    talk.calls("t-1")
    talk.answers("t-1")
    talk.sent()
    talk.dialogue.lost(None)
    assert talk.dialogue.responses.is_over("r-1")
    assert talk.asks() == "create_1"
