"""A slow tool's filler: said in silence, once, and never after the tool's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.steering import FillerFrame

if TYPE_CHECKING:
    from .conftest import Serve, Server

WAIT = "One moment, please."


def requests(server: Server) -> list[dict[str, Any]]:
    return [message["response"] for message in server.sent() if message["type"] == "response.create"]


def words(server: Server) -> list[str]:
    return [str(request.get("instructions", "")).rpartition(": ")[2] for request in requests(server)]


def slow_tool(serve: Serve, *, said_ms: float = 0) -> Server:
    """A session whose tool runs, after the bot has said something."""
    server = serve().with_playhead()
    server.begins()
    if said_ms:
        server.spoken("item_1", said_ms)
    server.calls("call_1")
    server.session.steer(FillerFrame("call_1", WAIT, 1200), server.now)
    server.ends()
    return server


def test_a_filler_is_asked_for_when_the_caller_has_heard_nothing_for_so_long(serve: Serve) -> None:
    server = slow_tool(serve)
    due = server.due()
    assert due == pytest.approx(server.now + 1.2)
    server.session.due(due - 0.01)
    assert words(server) == []

    server.now = due
    server.session.due(due)

    [request] = requests(server)
    assert request["tool_choice"] == "none"
    assert request["instructions"].endswith(WAIT)


def test_it_is_said_once_however_long_the_tool_runs(serve: Serve) -> None:
    server = slow_tool(serve)
    server.now = server.due()
    server.session.due(server.now)
    assert words(server) == [WAIT]
    server.begins("resp_2")
    server.spoken("item_2", 1000, "resp_2")
    server.ends("resp_2")
    server.now += 1.1
    server.finishes()

    assert server.session.next_due(server.now) is None


def test_the_tools_answer_makes_it_needless(serve: Serve) -> None:
    server = slow_tool(serve)
    server.answers("call_1")
    assert words(server) == [""]
    server.begins("resp_2")
    server.ends("resp_2")

    assert server.session.next_due(server.now) is None


def test_the_answer_waits_while_the_filler_is_generated_and_is_heard_after_it(serve: Serve) -> None:
    server = slow_tool(serve)
    server.now = server.due()
    server.session.due(server.now)
    server.sent()
    server.begins("resp_2")
    server.answers("call_1")
    assert server.sent_types() == ["conversation.item.create"]

    server.ends("resp_2")

    assert server.sent_types() == ["response.create"]


def test_silence_counts_from_the_end_of_what_the_model_says_beside_the_call(serve: Serve) -> None:
    server = slow_tool(serve, said_ms=3000)
    assert server.session.next_due(server.now) is None  # the transport tells when that was heard
    server.now += 3.1
    server.finishes()

    assert server.due() == pytest.approx(server.playhead.ends_at + 1.2)


def test_nothing_is_said_into_the_callers_turn_nor_before_the_servers_answer_to_it(serve: Serve) -> None:
    server = slow_tool(serve)
    server.caller_speaks()
    assert server.session.next_due(server.now) is None
    server.caller_stops()
    server.now += 2
    server.session.due(server.now)

    assert words(server) == []


def test_one_filler_serves_all_tools_that_run(serve: Serve) -> None:
    server = slow_tool(serve)
    server.begins("resp_2")
    server.calls("call_2", "resp_2")
    server.session.steer(FillerFrame("call_2", "Still looking.", 1500), server.now)
    server.ends("resp_2")
    server.now = server.due()
    server.session.due(server.now)
    assert words(server) == [WAIT]
    server.begins("resp_3")
    server.ends("resp_3")

    assert server.session.next_due(server.now) is None


def test_a_filler_that_is_refused_for_another_response_is_forgotten(serve: Serve) -> None:
    server = slow_tool(serve)
    server.now = server.due()
    server.session.due(server.now)
    [request] = requests(server)
    error = {"code": "conversation_already_has_active_response", "event_id": request["metadata"]["request"]}
    server.says("error", error=error)
    server.begins("resp_2")
    server.ends("resp_2")

    assert words(server) == []


def test_the_filler_of_a_tool_that_has_answered_is_ignored(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.calls("call_1")
    server.answers("call_1")
    server.ends()
    server.sent()
    server.begins("resp_2")
    server.ends("resp_2")
    server.session.steer(FillerFrame("call_1", WAIT, 1200), server.now)

    assert server.session.next_due(server.now) is None


def test_a_filler_is_no_goodbye(serve: Serve) -> None:
    server = slow_tool(serve)
    server.now = server.due()
    server.session.due(server.now)
    server.sent()
    server.begins("resp_2")
    server.spoken("item_2", 1000, "resp_2")
    server.answers("call_1", ends_call=True)
    server.ends("resp_2")
    server.now += 1.1
    server.finishes()

    assert "CallOver" not in [type(one).__name__ for one in server.happened]
    assert [message["type"] for message in server.sent()] == ["conversation.item.create", "response.create"]


def test_no_filler_is_due_while_the_model_prepares_to_speak(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.calls("call_1")
    server.session.steer(FillerFrame("call_1", WAIT, 1200), server.now)
    server.now += 5
    assert server.session.next_due(server.now) is None

    server.spoken("item_1", 400)
    server.ends()
    assert words(server) == []
    server.now += 0.5
    server.finishes()

    assert server.due() == pytest.approx(server.playhead.ends_at + 1.2)


def test_words_that_still_wait_in_the_transport_are_no_silence(serve: Serve) -> None:
    server = serve()
    server.session.adopt_playhead(Playhead())  # the transport has sent nothing yet
    server.begins()
    server.spoken("item_1", 4000)
    server.calls("call_1")
    server.session.steer(FillerFrame("call_1", WAIT, 1200), server.now)
    server.ends()
    server.now += 3
    server.session.due(server.now)

    assert words(server) == []
    assert server.session.next_due(server.now) is None


def test_a_filler_waits_while_a_failed_response_is_to_be_asked_for_again(serve: Serve) -> None:
    server = slow_tool(serve)
    server.begins("resp_2")
    error = {"type": "tokens", "code": "rate_limit_exceeded", "message": "Please try again in 3s."}
    failed = {"id": "resp_2", "status": "failed", "status_details": {"type": "failed", "error": error}}
    server.says("response.done", response={**failed, "output": [], "usage": None})
    server.begins("resp_3")  # by itself
    server.ends("resp_3", "cancelled")
    failed_at = server.now
    server.now = failed_at + 2  # the filler would be due
    server.session.due(server.now)
    server.answers("call_1")
    server.now = failed_at + 3
    server.session.due(server.now)
    [request] = requests(server)
    assert "instructions" not in request
