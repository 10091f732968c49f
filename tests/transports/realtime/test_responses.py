"""One response is asked for at a time, and what is wanted meanwhile is neither lost nor asked for twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from callpipe.transports.realtime.responses import GO_ON, Responses, Wish

MAX_OVER = 64
REQUEST_DEADLINE_S = 5.0

GREET = Wish("Greet.", lasting=True)
FILL = Wish("One moment.", alone=True, filler=True)


def asked(responses: Responses, now: float = 0.0) -> dict[str, Any] | None:
    request = responses.ask(now)
    return None if request is None else json.loads(request)


def wished(responses: Responses) -> list[str | None]:
    """Return the instructions of everything that is still wanted, by asking for it."""
    told: list[str | None] = []
    while (request := asked(responses)) is not None:
        told.append(request["response"].get("instructions"))
        response_id = f"of {request['event_id']}"
        responses.created(response_id, request["event_id"])
        responses.done(response_id)
    return told


@pytest.fixture
def responses() -> Responses:
    return Responses()


def test_one_is_asked_for_when_the_one_before_is_over(responses: Responses) -> None:
    assert responses.idle
    responses.want(GREET)
    responses.want()
    assert responses.wanted
    assert not responses.idle
    first = asked(responses)
    assert first is not None
    assert first["event_id"] == "create_1"
    assert first["response"] == {"metadata": {"request": "create_1"}, "instructions": "Greet."}
    assert asked(responses) is None
    assert responses.created("r-1", "create_1")
    assert responses.is_live("r-1")
    assert not responses.is_live("r-2")
    assert asked(responses) is None
    assert responses.done("r-1") is not None
    assert responses.is_over("r-1")
    second = asked(responses)
    assert second is not None
    assert second["event_id"] == "create_2"
    assert "instructions" not in second["response"]
    assert not responses.wanted
    assert not responses.idle


def test_one_that_stands_alone_sees_nothing_and_calls_nothing(responses: Responses) -> None:
    responses.want(FILL)
    request = asked(responses)
    assert request is not None
    assert (request["response"]["input"], request["response"]["tool_choice"]) == ([], "none")


def test_going_on_is_wanted_once_and_all_else_as_often_as_it_is_asked(responses: Responses) -> None:
    for wish in (GO_ON, GREET, GO_ON, GREET):
        responses.want(wish)
    assert wished(responses) == [None, "Greet.", "Greet."]


def test_what_the_server_began_by_itself_goes_on(responses: Responses) -> None:
    responses.want(GREET)
    responses.want()
    responses.satisfied()
    responses.satisfied()
    assert wished(responses) == ["Greet."]


def test_a_request_that_is_not_answered_is_given_up_in_time(responses: Responses) -> None:
    assert responses.due is None
    responses.want()
    asked(responses, now=1.0)
    assert responses.due == 1.0 + REQUEST_DEADLINE_S
    responses.give_up(0.9 + REQUEST_DEADLINE_S)
    assert responses.due is not None
    responses.give_up(1.0 + REQUEST_DEADLINE_S)
    assert responses.due is None
    assert responses.idle


@pytest.mark.parametrize(("request_id", "ours"), [(None, False), ("create_9", True)])
def test_a_response_that_is_not_the_one_asked_for_leaves_the_request(
    responses: Responses, request_id: str | None, ours: bool
) -> None:
    responses.want()
    asked(responses)
    assert responses.created("r-1", request_id) is ours
    assert responses.due is not None
    assert responses.live is not None
    assert responses.live.wish is None


@pytest.mark.parametrize(
    ("wish", "another_is_live", "again"),
    [(GREET, True, ["Greet."]), (GREET, False, []), (FILL, True, []), (GO_ON, True, [None])],
)
def test_a_refused_request_is_made_again_after_the_live_one(
    responses: Responses, wish: Wish, another_is_live: bool, again: list[str | None]
) -> None:
    responses.want(wish)
    asked(responses)
    assert not responses.refused("create_9", another_is_live=True)
    assert responses.refused("create_1", another_is_live=another_is_live)
    assert not responses.refused("create_1", another_is_live=another_is_live)
    assert (responses.live is not None) is another_is_live
    responses.done("whatever is live")
    assert wished(responses) == again


def test_a_refused_request_that_was_cancelled_or_is_wanted_is_not_made_twice(
    responses: Responses,
) -> None:
    responses.want()
    asked(responses)
    responses.want()
    responses.refused("create_1", another_is_live=True)
    responses.done("whatever is live")
    assert wished(responses) == [None]
    responses.want(GREET)
    request = asked(responses)
    assert request is not None
    responses.cancel()
    responses.refused(request["event_id"], another_is_live=True)
    responses.done("whatever is live")
    assert wished(responses) == []


@pytest.mark.parametrize(
    ("wish", "spoke", "cut", "again"),
    [
        (GREET, False, False, ["Greet."]),
        (GREET, True, False, []),
        (GREET, False, True, []),
        (GO_ON, False, False, []),
    ],
)
def test_what_is_to_outlast_a_cut_is_wanted_again(
    responses: Responses, wish: Wish, spoke: bool, cut: bool, again: list[str]
) -> None:
    responses.want(wish)
    asked(responses)
    responses.created("r-1", "create_1")
    assert responses.live is not None
    responses.live.spoke, responses.live.cut = spoke, cut
    responses.want_again()
    responses.done("r-1")
    assert wished(responses) == again


@pytest.mark.parametrize(("cancelled", "again"), [(False, ["Greet."]), (True, [])])
def test_what_was_only_asked_for_is_wanted_again_too(
    responses: Responses, cancelled: bool, again: list[str]
) -> None:
    responses.want(GREET)
    asked(responses)
    if cancelled:
        responses.cancel()
    responses.want_again()
    responses.give_up(REQUEST_DEADLINE_S)
    assert wished(responses) == again


def test_a_response_is_cancelled_once_by_its_id_or_while_it_is_asked_for(responses: Responses) -> None:
    assert responses.cancel() is None
    responses.want()
    asked(responses)
    assert json.loads(responses.cancel() or b"") == {"type": "response.cancel"}
    assert responses.cancel() is None
    responses.created("r-1", "create_1")
    assert responses.live is not None
    assert responses.live.cut
    assert responses.cancel() is None
    responses.done("r-1")
    responses.created("r-2", None)
    assert json.loads(responses.cancel() or b"") == {"type": "response.cancel", "response_id": "r-2"}


def test_a_lost_session_leaves_what_is_owed_before_what_was_asked_for(responses: Responses) -> None:
    responses.want(GREET)
    asked(responses)
    responses.want()
    responses.lost(Wish("Go on."))
    assert responses.live is None
    assert wished(responses) == ["Go on.", "Greet.", None]


def test_a_lost_session_leaves_neither_fillers_nor_what_was_cancelled(responses: Responses) -> None:
    responses.want(FILL)
    asked(responses)
    responses.lost(None)
    assert responses.idle
    responses.want(GREET)
    asked(responses)
    responses.cancel()
    responses.lost(None)
    assert responses.idle


def test_what_was_wanted_can_be_forgotten(responses: Responses) -> None:
    responses.want(GREET)
    responses.forget()
    assert responses.idle


def test_a_response_is_over_once_and_it_is_known_whether_it_spoke(responses: Responses) -> None:
    responses.created("r-1", None)
    assert responses.live is not None
    responses.live.spoke = True
    assert responses.done("r-2") is not None
    assert responses.is_live("r-1")
    done = responses.done("r-1")
    assert done is not None
    assert done.spoke
    assert not done.calling
    assert responses.done("r-1") is None
    assert responses.spoke("r-1")
    assert not responses.spoke("r-2")
    assert not responses.spoke("r-3")


def test_the_latest_that_are_over_are_remembered(responses: Responses) -> None:
    for number in range(MAX_OVER + 1):
        responses.done(str(number))
    assert not responses.is_over("0")
    assert responses.is_over("1")
