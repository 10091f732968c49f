"""What falls due in a session, and when."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from callpipe.transports.conversation_events import BotSpeakingFrame
from callpipe.transports.realtime.happenings import CallOver, SessionGone
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.steering import EndWhenHeardFrame, MuteCallerFrame, UnmuteCallerFrame

from .session_parts import LOUD, QUIET, hears, kinds

if TYPE_CHECKING:
    from .conftest import Serve


def test_a_turn_that_is_not_answered_for_3_s_is_answered_by_request(serve: Serve) -> None:
    server = serve()
    server.caller_speaks()
    assert server.session.next_due(server.now) is None
    server.caller_stops()

    assert server.due() == 131.0
    server.session.due(130.9)
    assert server.sent() == []
    server.session.due(131.0)
    assert server.sent_types() == ["response.create"]


def test_an_answer_that_stops_in_its_middle_for_800_ms_is_given_up_once(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.audio(ms=200)

    assert server.due() == 129.0
    assert server.session.due(128.9) == []
    (gone,) = server.session.due(129.0)
    assert isinstance(gone, SessionGone)
    assert (gone.code, gone.lasting) == ("stalled", False)
    assert server.session.due(129.1) == []
    assert server.session.next_due(129.1) is None

    server.loses()
    server.opens()
    server.begins("resp_2")
    server.audio("item_2", 200, "resp_2")
    assert kinds(server.session.due(140.0)) == ["SessionGone"]


def test_an_answer_that_came_whole_does_not_stall(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.spoken("item_bot_1", 200)

    assert server.session.due(140.0) == []


def test_what_is_being_said_is_told_once_a_second(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.spoken("item_bot_1", 2_000, text="one two three four")

    assert server.session.progress_due == 129.0
    assert server.session.progress(128.9) == []
    (told,) = server.session.progress(129.0)
    assert isinstance(told, BotSpeakingFrame)
    assert told.heard_ms == pytest.approx(1_000)


def test_a_call_that_is_to_end_ends_when_the_bot_was_heard(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.spoken("item_bot_1", 400)
    server.ends()
    assert server.session.next_due(server.now) is None

    server.session.steer(EndWhenHeardFrame(), server.now)
    assert server.due() == pytest.approx(128.4)
    assert server.session.due(128.3) == []
    over = server.session.due(128.5)
    assert over == [CallOver("goodbye heard")]
    assert server.session.next_due(128.5) is None


def test_a_caller_who_is_to_be_heard_again_is_when_the_bot_was_heard(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.spoken("item_bot_1", 400)
    server.ends()
    server.session.steer(MuteCallerFrame(), server.now)
    assert server.session.next_due(server.now) is None
    server.session.steer(UnmuteCallerFrame(when_heard=True), server.now)

    due = server.due()
    assert due == pytest.approx(128.4)
    server.session.due(due)
    server.session.caller_audio(LOUD, due)
    assert server.sent()[-1]["audio"] == b64encode(LOUD.audio).decode()


def test_the_server_has_to_speak_while_it_owes_something(serve: Serve) -> None:
    server = serve(greeting="Good morning.")
    assert server.session.is_owed, "asked for the greeting"
    server.sent()
    server.begins()
    assert server.session.is_owed, "to go on with it"
    server.ends()
    assert not server.session.is_owed

    server.caller_speaks()
    assert not server.session.is_owed
    server.caller_stops()
    assert server.session.is_owed, "to answer a turn"


def test_the_server_has_to_notice_what_the_caller_does(serve: Serve) -> None:
    server = serve()
    hears(server, LOUD, 280)
    assert not server.session.expects_word
    hears(server, LOUD, 20)
    assert server.session.expects_word

    server.caller_speaks()
    assert not server.session.expects_word
    hears(server, QUIET, 480)
    assert not server.session.expects_word
    hears(server, QUIET, 20)
    assert server.session.expects_word


def test_a_server_that_finds_no_turns_has_nothing_to_notice(serve: Serve) -> None:
    server = serve(RealtimeSettings(turn_detection=None))
    hears(server, LOUD, 600)

    assert not server.session.expects_word
