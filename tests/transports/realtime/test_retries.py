"""Answers that failed, asked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from callpipe.transports.realtime.happenings import SessionGone
from callpipe.transports.realtime.retries import Retries, wait_s

if TYPE_CHECKING:
    from .conftest import Serve, Server

LONGEST_DELAY_S = 5.0
MAX_FAILURES = 3


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Rate limit reached on tokens per min (TPM). Please try again in 1.5s.", 1.5),
        ("Rate limit reached. Please try again in 20ms. Visit ...", 0.02),
        ("The server had an error while processing your request.", 0.0),
        ("Try again in a while", 0.0),
    ],
)
def test_the_servers_words_tell_how_long_to_wait(words: str, seconds: float) -> None:
    assert wait_s(words) == seconds


def test_failures_in_a_row_end() -> None:
    retries = Retries()

    assert [retries.failed("", 100.0) for _ in range(MAX_FAILURES)] == [True] * (MAX_FAILURES - 1) + [False]


def test_nothing_is_waited_for_longer_than_a_bound() -> None:
    retries = Retries()
    retries.failed("try again in 3600s", 100.0)

    assert retries.due == 100.0 + LONGEST_DELAY_S


def fails(server: Server, response_id: str, code: str = "server_error", message: str = "") -> list[SessionGone]:
    error = {"type": "server_error", "code": code, "message": message}
    details: dict[str, Any] = {"type": "failed", "error": error}
    response: dict[str, Any] = {
        "id": response_id,
        "status": "failed",
        "output": [],
        "usage": None,
        "status_details": details,
    }
    happened = server.says("response.done", response=response)
    return [one for one in happened if isinstance(one, SessionGone)]


def test_an_answer_that_failed_is_asked_for_when_the_server_takes_it(serve: Serve) -> None:
    server = serve()
    server.begins()

    assert fails(server, "resp_1", "rate_limit_exceeded", "Please try again in 1.5s.") == []
    assert server.sent() == []
    server.now += 1.4
    server.session.due(server.now)
    assert server.sent() == []
    server.now += 0.1
    server.session.due(server.now)

    (request,) = server.sent()
    assert request["type"] == "response.create"
    assert "instructions" not in request["response"]


def test_a_greeting_that_failed_is_asked_for_in_its_words(serve: Serve) -> None:
    server = serve(greeting="Good morning.")
    server.sent()
    server.begins()
    fails(server, "resp_1")
    server.now += 1
    server.session.due(server.now)

    (request,) = server.sent()
    assert "Good morning." in request["response"]["instructions"]


def test_an_answer_that_failed_in_its_middle_is_gone_on_with(serve: Serve) -> None:
    server = serve()
    server.begins()
    about = {"response_id": "resp_1", "item_id": "item_1"}
    server.says("response.output_audio_transcript.delta", delta="One two three", **about)
    server.audio("item_1")
    fails(server, "resp_1")
    server.now += 1
    server.session.due(server.now)

    (request,) = server.sent()
    assert "Go on exactly where your last words end" in request["response"]["instructions"]


def test_an_answer_the_caller_cut_off_is_not_asked_for(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.caller_speaks()
    fails(server, "resp_1")
    server.caller_stops()
    server.now += 2
    server.session.due(server.now)

    assert "response.create" not in server.sent_types()


def test_a_turn_that_the_server_leaves_unanswered_is_answered_once(serve: Serve) -> None:
    server = serve()
    server.caller_speaks()
    server.caller_stops()
    server.now += 2.9
    server.session.due(server.now)
    assert "response.create" not in server.sent_types()
    for _ in range(3):
        server.now += 0.2
        server.session.due(server.now)

    assert server.sent_types().count("response.create") == 1


def test_a_turn_is_answered_although_a_cancelled_response_was_in_the_servers_way(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.calls("call_1")
    server.ends()
    server.answers("call_1")
    (asked,) = [event for event in server.sent() if event["type"] == "response.create"]
    server.caller_speaks()
    server.says("response.created", response={"id": "resp_2", "metadata": asked["response"].get("metadata")})
    server.caller_stops()
    server.ends("resp_2", "cancelled")
    server.sent()
    assert server.due() == server.now + 0.5
    server.now += 0.6
    server.session.due(server.now)

    assert server.sent_types().count("response.create") == 1


def test_answers_that_keep_failing_need_another_session(serve: Serve) -> None:
    server = serve()
    gone: list[SessionGone] = []
    for number in range(MAX_FAILURES):
        server.begins(f"resp_{number}")
        gone += fails(server, f"resp_{number}")
        server.now += 1
        server.session.due(server.now)
        server.sent()

    assert [(one.code, one.lasting) for one in gone] == [("server_error", False)]


def test_an_account_without_quota_needs_another_place(serve: Serve) -> None:
    server = serve()
    server.begins()

    assert [one.lasting for one in fails(server, "resp_1", "insufficient_quota")] == [True]
