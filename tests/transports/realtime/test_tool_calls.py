"""The model's tool calls, and the end of the call that one of them may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from callpipe.transports.conversation_events import EndAskedFrame
from callpipe.transports.frames import (
    ToolCallFrame,
)
from callpipe.transports.realtime.happenings import (
    CallerStarted,
    CallOver,
    Happening,
)
from callpipe.transports.realtime.settings import RealtimeSettings, ServerVad

if TYPE_CHECKING:
    from .conftest import Serve, Server


def kinds(happened: Sequence[Happening]) -> list[str]:
    return [type(one).__name__ for one in happened]


# Tools.


def test_a_call_is_given_out_once_however_often_it_is_told(serve: Serve) -> None:
    server = serve()
    server.begins()
    item = {"id": "i", "type": "function_call", "call_id": "call_1", "name": "book_table", "arguments": "{}"}

    happened = [
        *server.calls("call_1"),
        *server.says("response.output_item.done", item=item),
        *server.says("response.done", response={"output": [item]}),
    ]

    calls = [one for one in happened if isinstance(one, ToolCallFrame)]
    assert [(call.call_id, call.tool_name, call.arguments) for call in calls] == [
        ("call_1", "book_table", '{"date":"2026-12-01"}')
    ]


def test_a_call_told_only_at_the_end_of_its_response_is_given_out(serve: Serve) -> None:
    server = serve()
    server.begins()
    item = {"id": "i", "type": "function_call", "call_id": "call_1", "name": "book_table", "arguments": "{}"}

    assert "ToolCallFrame" in kinds(server.says("response.done", response={"output": [item]}))


def test_the_model_goes_on_when_all_calls_are_answered_and_the_response_is_over(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.calls("call_1")
    server.calls("call_2")
    server.answers("call_1")
    assert server.sent_types() == ["conversation.item.create"]
    server.ends()
    assert server.sent_types() == []

    server.answers("call_2")

    assert server.sent_types() == ["conversation.item.create", "response.create"]


def test_answers_that_come_before_the_end_of_the_response_wait_for_it(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.calls("call_1")
    server.answers("call_1")
    assert server.sent_types() == ["conversation.item.create"]

    server.ends()

    assert server.sent_types() == ["response.create"]


def test_second_answers_and_answers_nobody_asked_for_are_dropped(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.calls("call_1")
    server.answers("call_1")
    server.sent()

    server.answers("call_1")
    server.answers("call_9")

    assert server.sent() == []


def called_while_the_caller_speaks(serve: Serve) -> Server:
    server = serve()
    server.begins()
    server.calls("call_1")
    server.ends()
    server.caller_speaks()
    server.answers("call_1")
    return server


def test_no_response_is_asked_for_while_the_caller_speaks(serve: Serve) -> None:
    server = called_while_the_caller_speaks(serve)
    assert server.sent_types() == ["conversation.item.create"]

    server.caller_stops()

    assert server.sent_types() == []  # the server begins its own response to this turn


def test_the_servers_own_response_answers_the_outputs_it_holds(serve: Serve) -> None:
    server = called_while_the_caller_speaks(serve)
    server.says("conversation.item.added", item={"type": "function_call_output", "call_id": "call_1"})
    server.caller_stops()
    server.sent()

    server.begins("resp_2")
    server.ends("resp_2")

    assert server.sent_types() == []


def test_an_output_the_servers_own_response_did_not_hold_is_followed_up(serve: Serve) -> None:
    server = called_while_the_caller_speaks(serve)
    server.caller_stops()
    server.sent()

    server.begins("resp_2")
    server.ends("resp_2")

    assert server.sent_types() == ["response.create"]


def test_a_server_that_does_not_answer_a_turn_is_asked_after_three_seconds(serve: Serve) -> None:
    server = called_while_the_caller_speaks(serve)
    server.caller_stops()
    server.sent()
    due = server.due()

    assert due == server.now + 3
    server.session.due(due)

    assert server.sent_types() == ["response.create"]


def test_late_audio_of_an_interrupted_response_is_not_taken_for_the_servers_answer(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.calls("call_1")
    server.audio()
    server.caller_speaks()
    server.answers("call_1")
    server.caller_stops()
    server.sent()

    server.audio()
    server.ends(status="cancelled")

    assert server.sent_types() == []


def test_where_the_server_answers_no_turns_the_output_is_followed_up_at_once(serve: Serve) -> None:
    server = serve(RealtimeSettings(turn_detection=ServerVad(create_response=False)))
    server.begins()
    server.calls("call_1")
    server.ends()
    server.caller_speaks()
    server.answers("call_1")
    server.sent()

    server.caller_stops()

    assert server.sent_types() == ["response.create"]


# The end of the call.


def test_a_goodbye_said_beside_the_tool_call_is_heard_and_then_the_call_is_over(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.spoken("item_1", 1000)
    server.calls("call_1")
    server.ends()

    assert [type(one) for one in server.answers("call_1", ends_call=True)] == [EndAskedFrame]
    assert server.sent_types() == ["conversation.item.create"]
    server.now += 1.1

    assert server.finishes()[-1] == CallOver("goodbye heard")


def test_without_a_goodbye_one_more_response_is_asked_for_and_heard(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.calls("call_1")
    server.ends()

    server.answers("call_1", ends_call=True)
    assert server.sent_types() == ["conversation.item.create", "response.create"]
    server.begins("resp_2")
    server.spoken("item_2", 600, "resp_2")
    assert CallOver("goodbye heard") not in server.ends("resp_2")
    server.now += 0.7

    assert server.finishes()[-1] == CallOver("goodbye heard")
    assert server.finishes() == []


def test_a_caller_who_talks_into_the_goodbye_does_not_keep_the_call_open(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.spoken("item_1", 1000)
    server.calls("call_1")
    server.ends()
    server.answers("call_1", ends_call=True)
    server.now += 0.3

    assert server.caller_speaks() == [CallerStarted()]
    server.now += 0.8

    assert server.finishes()[-1] == CallOver("goodbye heard")


def test_a_goodbye_that_never_comes_is_waited_for_twenty_seconds(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.calls("call_1")
    server.ends()
    server.answers("call_1", ends_call=True)
    server.sent()
    server.begins("resp_2")
    due = server.due()

    assert due == server.now + 20
    assert server.session.due(due) == [CallOver("goodbye not heard")]
    assert server.session.next_due(due) is None


def test_a_goodbye_without_a_word_is_asked_for_once_more(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.calls("call_1")
    server.ends()
    server.answers("call_1", ends_call=True)
    server.sent()

    for response_id in ("resp_2", "resp_3", "resp_4"):
        server.begins(response_id)
        server.ends(response_id)

    assert server.sent_types() == ["response.create"]


def test_the_goodbye_is_over_when_its_audio_is_where_no_transport_tells(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.spoken("item_1", 1000)
    server.calls("call_1")
    server.ends()
    server.answers("call_1", ends_call=True)
    due = server.due()

    assert due == pytest.approx(server.now + 1)
    assert server.session.due(due)[-1] == CallOver("goodbye heard")


def test_an_answer_that_comes_while_another_response_is_live_is_followed_up_after_it(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.calls("call_1")
    server.ends()
    server.begins("resp_2")

    server.answers("call_1")
    assert server.sent_types() == ["conversation.item.create"]

    server.ends("resp_2")
    assert server.sent_types() == ["response.create"]


# Tools under load.


def test_parallel_calls_are_all_answered_and_then_followed_up_once(serve: Serve) -> None:
    server = serve()
    server.begins()
    for number in range(5):
        server.calls(f"call_{number}")
    server.answers("call_3")
    server.ends()
    for number in (1, 4, 0, 2):
        server.answers(f"call_{number}")

    sent = server.sent()
    outputs = [message["item"]["call_id"] for message in sent if "item" in message]
    assert outputs == ["call_3", "call_1", "call_4", "call_0", "call_2"]
    assert [message["type"] for message in sent[5:]] == ["response.create"]


def test_a_tool_of_a_cancelled_response_is_answered_and_the_callers_turn_follows_it_up(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.calls("call_1")
    server.caller_speaks()
    server.ends(status="cancelled")
    server.answers("call_1")
    server.says("conversation.item.added", item={"type": "function_call_output", "call_id": "call_1"})
    server.caller_stops()
    server.begins("resp_2")
    server.ends("resp_2")

    assert server.sent_types() == ["conversation.item.create"]


def cut_call(call_id: str = "call_1") -> dict[str, str]:
    """A tool call whose response ended in the middle of its arguments."""
    return {
        "id": "item_1",
        "type": "function_call",
        "status": "incomplete",
        "call_id": call_id,
        "name": "book_table",
        "arguments": '{"date":"20',
    }


def test_a_call_cut_short_is_not_run_and_the_conversation_forgets_it(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.says("response.output_item.done", item=cut_call())
    happened = server.says("response.done", response={"status": "cancelled", "output": [cut_call()]})

    assert "ToolCallFrame" not in kinds([*server.happened, *happened])
    assert server.sent() == [{"type": "conversation.item.delete", "item_id": "item_1"}]
    server.answers("call_1")
    assert server.sent() == []


def test_a_call_that_was_complete_is_run_whatever_its_response_came_to(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.calls("call_1")
    server.says("response.done", response={"status": "cancelled", "output": [cut_call()]})
    server.answers("call_1")

    assert kinds(server.happened).count("ToolCallFrame") == 1
    assert server.sent_types() == ["conversation.item.create", "response.create"]


def test_results_of_two_responses_that_come_close_together_are_followed_up_once(serve: Serve) -> None:
    server = serve()
    for number in (1, 2):
        server.begins(f"resp_{number}")
        server.calls(f"call_{number}", f"resp_{number}")
        server.ends(f"resp_{number}")
    server.begins("resp_3")
    server.answers("call_1")
    server.answers("call_2")
    server.ends("resp_3")
    server.begins("resp_4")
    server.ends("resp_4")

    assert server.sent_types() == [*["conversation.item.create"] * 2, "response.create"]
