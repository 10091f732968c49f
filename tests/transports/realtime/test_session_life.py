"""A session over its life: how it moves, what another process left to it, and how it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from callpipe.transports.call_events import BargeInFrame, BotTurnFrame, CallerTurnFrame, ModelFaultFrame
from callpipe.transports.conversation_events import EndAskedFrame
from callpipe.transports.frames import ToolCallFrame
from callpipe.transports.realtime.happenings import CallOver, SessionGone, SilenceToCover
from callpipe.transports.realtime.session import RealtimeSession
from callpipe.transports.realtime.settings import RealtimeSettings, ServerVad
from callpipe.transports.restored import BotWords, CallerWords, Restored, ToolRun
from callpipe.transports.steering import HoldFrame

from .session_parts import LOUD, PHRASE, QUIET, hears, kinds, opened

if TYPE_CHECKING:
    from .conftest import Serve, Server


# From one session to the next.


def test_a_greeting_that_does_not_come_is_covered(serve: Serve) -> None:
    session = RealtimeSession(RealtimeSettings(), greeting="Good morning.", holding_phrase=PHRASE)
    session.line_began(1.0)

    assert session.next_due(1.0) == 1.8
    assert session.due(1.7) == []
    assert session.due(1.8) == [SilenceToCover(PHRASE)]

    server = serve()
    server.session.line_began(server.now)
    assert server.session.next_due(server.now) is None


def test_what_the_caller_says_between_sessions_is_told_the_next(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.loses()
    assert server.loses() == []
    hears(server, QUIET, 40)
    assert server.sent() == []

    server.opens()
    assert server.sent_types() == ["response.create", "input_audio_buffer.append"]


def test_caller_audio_that_found_no_room_is_told_once(serve: Serve) -> None:
    server = serve(ready=False)
    hears(server, QUIET, 30_020)
    server.opens()
    server.loses()

    assert not any(isinstance(one, ModelFaultFrame) for one in server.opens())


BUSY: list[tuple[Callable[[Server], object], bool]] = [
    (lambda server: None, True),
    (lambda server: server.caller_speaks(), False),
    (lambda server: (server.caller_speaks(), server.caller_stops()), False),
    (lambda server: server.begins(), False),
    (lambda server: (server.begins(), server.spoken("a", 200), server.ends()), False),
    (lambda server: server.says("input_audio_buffer.committed"), False),
    (lambda server: hears(server, LOUD, 20), False),
    (lambda server: server.loses(), False),
]


@pytest.mark.parametrize(("busy", "between"), BUSY)
def test_a_session_can_be_left_between_turns(
    serve: Serve, busy: Callable[[Server], object], between: bool
) -> None:
    server = serve()
    hears(server, QUIET, 500)
    busy(server)

    assert server.session.between_turns(server.now) is between


@pytest.mark.parametrize(("vad", "kept_ms"), [(ServerVad(), 0), (None, 600)])
def test_a_session_that_was_left_between_turns_has_heard_all(
    serve: Serve, vad: ServerVad | None, kept_ms: int
) -> None:
    server = serve(RealtimeSettings(turn_detection=vad))
    hears(server, QUIET, 600)
    server.sent()
    server.session.moved(opened(), server.now)

    assert server.sent_audio_ms() == kept_ms


def test_a_session_that_is_left_in_a_turn_gives_it_to_the_next(serve: Serve) -> None:
    server = serve()
    server.caller_speaks()
    hears(server, LOUD, 600)
    server.sent()
    server.session.moved(opened(), server.now)

    assert server.sent_audio_ms() == 600


def test_of_a_held_caller_nothing_is_told_the_next_session(serve: Serve) -> None:
    server = serve()
    hears(server, LOUD, 600)
    server.session.steer(HoldFrame(), server.now)
    server.loses()
    server.opens()

    assert "input_audio_buffer.append" not in server.sent_types()


def test_a_greeting_of_ours_is_told_every_session(serve: Serve) -> None:
    server = serve(ready=False)
    happened = server.session.greeted("Good morning.", PHRASE, server.now)
    server.opens()

    assert kinds(happened) == ["BotStarted", "BotAudio", "BotStopped"]
    (told,) = server.sent()
    assert told["item"]["role"] == "assistant"
    assert told["item"]["content"][0]["text"] == "Good morning."


# What another process left.


def test_a_conversation_is_gone_on_with_after_a_phrase(serve: Serve) -> None:
    server = serve(greeting="Good morning.", ready=False)
    restored = Restored((BotWords("Good mor", cut=True), CallerWords("Hello?")), instructions="Be kind.")
    happened = server.session.resumed(restored, PHRASE, server.now)
    server.opens()

    assert happened == [SilenceToCover(PHRASE)]
    sent = server.sent()
    assert [message["type"] for message in sent[-3:]] == [*["conversation.item.create"] * 2, "response.create"]
    asked = sent[-1]["response"]["instructions"]
    assert asked.startswith("Be kind.")
    assert "Good morning." not in asked


def test_tools_that_can_do_no_harm_are_run_again_before_anything_is_said(serve: Serve) -> None:
    server = serve(ready=False)
    restored = Restored((ToolRun("t", "price", "{}", None, repeatable=True),))
    happened = server.session.resumed(restored, None, server.now)
    server.opens()
    assert [one.call_id for one in happened if isinstance(one, ToolCallFrame)] == ["t"]
    assert "response.create" not in server.sent_types()

    server.answers("t")
    assert server.sent_types() == ["conversation.item.create", "response.create"]


def test_a_call_that_was_to_end_ends(serve: Serve) -> None:
    server = serve(ready=False)
    server.session.resumed(Restored(ends=True), None, server.now)

    assert server.due() == server.now + 20
    assert server.session.due(server.now + 20) == [CallOver("goodbye not heard")]


# Turns and interruptions by hand.


def test_the_end_of_a_turn_found_by_the_pipeline_is_told_the_server(serve: Serve) -> None:
    server = serve(RealtimeSettings(turn_detection=None))
    hears(server, LOUD, 100)
    server.sent()
    assert server.session.caller_finished(server.now) == []

    assert server.sent_types() == ["input_audio_buffer.commit", "response.create"]


def test_a_turn_that_ended_without_a_session_is_told_the_next_as_it_sounded(serve: Serve) -> None:
    server = serve(RealtimeSettings(turn_detection=None), ready=False)
    hears(server, LOUD, 100)
    (turn,) = server.session.caller_finished(server.now)
    server.opens()

    assert isinstance(turn, CallerTurnFrame)
    told, asked = server.sent()
    assert told["item"]["content"][0]["type"] == "input_audio"
    assert asked["type"] == "response.create"


def test_a_turn_too_short_to_be_one_belongs_to_the_next(serve: Serve) -> None:
    server = serve(RealtimeSettings(turn_detection=None))
    hears(server, LOUD, 40)
    server.session.caller_finished(server.now)
    server.says("error", error={"code": "input_audio_buffer_commit_empty"})
    server.sent()
    server.loses()
    server.opens()

    assert server.sent_audio_ms() == 40


def test_a_server_that_finds_turns_is_told_of_none(serve: Serve) -> None:
    server = serve()
    hears(server, LOUD, 100)
    server.sent()
    server.session.caller_finished(server.now)

    assert server.sent() == []


def test_somebody_else_may_interrupt_the_bot(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.audio()
    server.now += 0.125
    assert kinds(server.session.interrupted(server.now)) == ["BotStopped"]
    assert server.sent_types() == ["response.cancel"]

    cleared = server.clears()
    assert not any(isinstance(one, BargeInFrame) for one in cleared)
    assert server.sent()[0]["audio_end_ms"] == 125


def test_a_playout_that_was_cleared_interrupts_the_bot(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.audio()
    server.now += 0.1

    assert kinds(server.clears()) == ["BotStopped"]
    assert server.sent_types() == ["response.cancel", "conversation.item.truncate"]


@pytest.mark.parametrize("speaks", [True, False])
@pytest.mark.parametrize("interrupts", [True, False])
def test_a_caller_cuts_in_when_the_bot_speaks_and_they_may(
    serve: Serve, speaks: bool, interrupts: bool
) -> None:
    server = serve(RealtimeSettings(turn_detection=ServerVad(interrupt_response=interrupts)))
    if speaks:
        server.begins()
        server.spoken("item_bot_1", 400)
        server.ends()

    assert ("CallerCutIn" in kinds(server.caller_speaks())) is (speaks and interrupts)


def test_a_goodbye_is_not_cut_off(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.calls("call_1")
    assert kinds(server.answers("call_1", ends_call=True)) == [EndAskedFrame.__name__]
    assert server.answers("call_1", ends_call=True) == []
    server.audio()

    assert kinds(server.caller_speaks()) == ["CallerStarted"]


@pytest.mark.parametrize(
    ("error", "gone"),
    [
        ({"code": "insufficient_quota"}, [("insufficient_quota", True)]),
        ({"code": "session_expired"}, [("session_expired", False)]),
        ({"code": None, "type": "model_not_found"}, [("model_not_found", True)]),
        ({"code": "invalid_value"}, []),
    ],
)
def test_errors_that_end_a_session(
    serve: Serve, error: dict[str, str | None], gone: list[tuple[str, bool]]
) -> None:
    happened = serve().says("error", error=error)

    assert [(one.code, one.lasting) for one in happened if isinstance(one, SessionGone)] == gone


def test_a_call_that_is_over_keeps_nothing(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.spoken("item_bot_1", 400, text="one two")
    server.session.end()
    assert not server.session.ready
    hears(server, LOUD, 20)
    server.opens()

    assert "input_audio_buffer.append" not in server.sent_types()
    server.now += 1
    assert any(isinstance(one, BotTurnFrame) for one in server.session.line_ended(server.now))
