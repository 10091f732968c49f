"""What an interruption does to the conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from callpipe.transports.call_events import BargeInFrame, BotTurnFrame
from callpipe.transports.realtime.happenings import (
    CallerStarted,
    Happening,
)
from callpipe.transports.realtime.settings import RealtimeSettings, ServerVad
from callpipe.transports.steering import SayFrame

if TYPE_CHECKING:
    from .conftest import Serve


def kinds(happened: Sequence[Happening]) -> list[str]:
    return [type(one).__name__ for one in happened]


def test_an_item_being_heard_is_truncated_to_what_was_heard(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    for _ in range(10):
        server.audio()
    server.now += 0.75

    happened = server.caller_speaks()
    assert kinds(happened) == ["CallerStarted", "CallerCutIn", "BotStopped"]
    assert server.sent() == []  # the server cancels its response by itself

    cleared = server.clears()
    assert server.sent() == [
        {
            "type": "conversation.item.truncate",
            "item_id": "item_bot_1",
            "content_index": 0,
            "audio_end_ms": 750,
        }
    ]
    barge_in = cleared[0]
    assert isinstance(barge_in, BargeInFrame)
    assert (barge_in.item_id, barge_in.believed_ms, barge_in.generated_ms) == ("item_bot_1", 750, 2000)


def test_items_never_heard_are_deleted_and_those_heard_whole_are_left(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.spoken("item_1", 400)
    server.spoken("item_2", 1000)
    server.spoken("item_3", 600)
    server.now += 0.875

    server.caller_speaks()
    server.clears()

    assert [
        (message["type"], message["item_id"], message.get("audio_end_ms")) for message in server.sent()
    ] == [
        ("conversation.item.truncate", "item_2", 475),
        ("conversation.item.delete", "item_3", None),
    ]


def test_an_item_without_audio_is_left_alone_until_late_audio_shows_that_it_has_some(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.says("response.output_audio_transcript.delta")

    assert "CallerCutIn" in kinds(server.caller_speaks())
    assert server.sent() == []

    assert server.audio() == []
    assert server.audio() == []
    assert [message["type"] for message in server.sent()] == ["conversation.item.delete"]


def test_nothing_more_of_an_interrupted_response_is_passed_on(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.audio("item_1")
    server.caller_speaks()
    server.clears()

    late = [*server.audio("item_1"), *server.audio("item_2")]
    server.ends(status="cancelled")

    assert late == []
    assert [*server.audio("item_1"), *server.audio("item_3")] == []


def test_an_item_heard_as_far_as_it_came_is_truncated_there(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.audio(ms=400)
    server.now += 0.4

    server.caller_speaks()
    server.session.playout_cleared({"item_bot_1": 412.0}, server.now)

    assert [message["audio_end_ms"] for message in server.sent()] == [400]


def test_speech_while_the_bot_is_silent_interrupts_nothing(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.spoken("item_1", 400)
    server.ends()
    server.now += 0.5

    assert [type(one) for one in server.caller_speaks() if not isinstance(one, BotTurnFrame)] == [CallerStarted]
    assert server.sent() == []


def test_callers_that_may_not_interrupt_do_not(serve: Serve) -> None:
    server = serve(RealtimeSettings(turn_detection=ServerVad(interrupt_response=False)))
    server.begins()
    server.audio()

    assert server.caller_speaks() == [CallerStarted()]
    assert kinds(server.audio()) == ["BotAudio"]


def test_without_a_transport_that_tells_the_time_since_the_first_audio_counts(serve: Serve) -> None:
    server = serve()
    server.begins()
    for _ in range(10):
        server.audio()
    server.now += 0.75
    server.caller_speaks()

    due = server.due()
    assert due == pytest.approx(server.now + 0.25)
    server.now = due
    happened = server.session.due(due)

    assert [message["audio_end_ms"] for message in server.sent()] == [750]
    assert kinds(happened) == ["BargeInFrame"]
    assert server.session.next_due(due) is None


def test_an_interruption_from_elsewhere_cancels_the_response(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    for _ in range(10):
        server.audio()
    server.now += 0.5

    assert kinds(server.session.interrupted(server.now)) == ["BotStopped"]
    assert server.sent() == [{"type": "response.cancel", "response_id": "resp_1"}]
    assert server.audio() == []
    assert kinds(server.clears()) == []  # no barge-in: the caller did not cut in
    assert [message["audio_end_ms"] for message in server.sent()] == [500]


def test_a_clear_that_comes_before_its_interruption_cancels_first(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    for _ in range(10):
        server.audio()
    server.now += 0.5

    server.clears()
    server.session.interrupted(server.now)

    assert server.sent_types() == ["response.cancel", "conversation.item.truncate"]


def test_a_response_asked_for_is_cancelled_when_it_comes_too_late(serve: Serve) -> None:
    server = serve(greeting="Good morning.")
    server.sent()

    server.session.interrupted(server.now)
    server.begins()

    assert server.sent() == [{"type": "response.cancel"}]
    assert server.audio() == []


def test_items_are_told_apart_whichever_is_being_heard(serve: Serve) -> None:
    """Three answers wait one behind the other; the cut falls at the borders between them, and in them."""
    for heard_ms, expected in (
        (0, [("delete", "item_1", None), ("delete", "item_2", None), ("delete", "item_3", None)]),
        (1, [("truncate", "item_1", 1), ("delete", "item_2", None), ("delete", "item_3", None)]),
        (400, [("delete", "item_2", None), ("delete", "item_3", None)]),
        (1000, [("truncate", "item_2", 600), ("delete", "item_3", None)]),
        (1400, [("delete", "item_3", None)]),
        (1999, [("truncate", "item_3", 599)]),
    ):
        server = serve().with_playhead()
        server.begins()
        server.spoken("item_1", 400)
        server.ends()
        server.begins("resp_2")
        server.spoken("item_2", 1000, "resp_2")
        server.audio("item_3", 600, "resp_2")
        server.now += heard_ms / 1000 + 1e-6

        server.caller_speaks()
        server.clears()

        assert [
            (message["type"].rpartition(".")[2], message["item_id"], message.get("audio_end_ms"))
            for message in server.sent()
        ] == expected, heard_ms


def test_words_cut_off_before_their_first_sound_are_forgotten(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.says("response.output_audio_transcript.delta", item_id="item_1", response_id="resp_1")
    server.caller_speaks()
    assert server.sent() == []  # what it comes to is not known before the response is over

    server.ends(status="cancelled")

    assert [(message["type"], message["item_id"]) for message in server.sent()] == [
        ("conversation.item.delete", "item_1")
    ]


def test_words_whose_sound_was_never_generated_are_kept_where_nobody_cut_in(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.says("response.output_audio_transcript.delta", item_id="item_1", response_id="resp_1")
    server.ends()

    assert server.sent() == []


@pytest.mark.parametrize("off_ms", [-25.0, -15.0, 0.0, 15.0])
def test_an_interruption_just_when_an_item_ends_cuts_only_what_is_worth_it(serve: Serve, off_ms: float) -> None:
    server = serve().with_playhead()
    server.begins()
    server.spoken("item_1", 1000)
    server.ends()
    server.now += 1.0 + off_ms / 1000

    server.caller_speaks()
    server.clears()
    server.finishes()

    cuts = [message["audio_end_ms"] for message in server.sent()]
    [turn] = [one for one in server.happened if isinstance(one, BotTurnFrame)]
    assert cuts == ([975] if off_ms == -25.0 else [])
    assert (turn.heard_ms, turn.interrupted) == ((975, True) if cuts else (1000, False))


def test_two_interruptions_in_a_row_are_one(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.audio(ms=1000)
    server.now += 0.3
    first = server.caller_speaks()
    server.session.interrupted(server.now)
    second = server.caller_speaks()
    server.clears()
    server.session.interrupted(server.now)
    server.session.playout_cleared({}, server.now)

    assert kinds(first) == ["CallerStarted", "CallerCutIn", "BotStopped"]
    assert kinds(second) == ["CallerStarted"]
    assert [(message["type"], message.get("audio_end_ms")) for message in server.sent()] == [
        ("conversation.item.truncate", 300)
    ]


def test_two_interruptions_of_the_authors_own_cancel_once(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.audio(ms=1000)
    server.now += 0.3
    for _ in range(2):
        server.session.interrupted(server.now)
    server.clears()

    assert server.sent_types() == ["response.cancel", "conversation.item.truncate"]


def test_an_interruption_between_two_answers_cuts_the_second_before_its_first_sound(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.spoken("item_1", 400)
    server.ends()
    server.now += 0.39
    server.begins("resp_2")

    server.session.interrupted(server.now)
    server.clears()

    assert server.sent() == [{"type": "response.cancel", "response_id": "resp_2"}]
    assert server.audio("item_2", 200, "resp_2") == []
    assert [message["type"] for message in server.sent()] == ["conversation.item.delete"]


def test_the_model_is_never_told_of_more_than_it_generated(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.audio(ms=333)
    server.now += 10

    server.session.interrupted(server.now)
    server.session.playout_cleared({"item_bot_1": 10_000.0}, server.now)

    assert [message.get("audio_end_ms") for message in server.sent()] == [None, 333]


def test_a_sentence_cut_off_twice_before_its_first_word_is_said_once(serve: Serve) -> None:
    server = serve()
    server.session.steer(SayFrame("This call is recorded."), server.now)
    server.sent()
    server.begins()
    for _ in range(2):
        server.caller_speaks()
    server.ends(status="cancelled")
    server.caller_stops()
    asked: list[str] = []
    for response_id in ("resp_2", "resp_3", "resp_4"):
        server.begins(response_id)
        server.ends(response_id)
        asked += server.sent_types()

    assert asked == ["response.create"]


def test_a_sentence_cut_off_twice_while_it_is_asked_for_is_said_once(serve: Serve) -> None:
    server = serve(RealtimeSettings(turn_detection=ServerVad(create_response=False)))
    server.session.steer(SayFrame("This call is recorded."), server.now)
    server.sent()
    for _ in range(2):
        server.caller_speaks()
    server.begins()
    server.ends(status="cancelled")
    server.caller_stops()
    asked = server.sent_types()
    for response_id in ("resp_2", "resp_3"):
        server.begins(response_id)
        server.ends(response_id)
        asked += server.sent_types()

    assert asked == ["response.cancel", "response.create"]


def test_a_greeting_the_caller_speaks_into_before_its_first_word_is_not_repeated(serve: Serve) -> None:
    server = serve(greeting="Good morning.")
    server.sent()
    server.begins()
    server.caller_speaks()
    server.ends(status="cancelled")
    server.caller_stops()
    server.begins("resp_2")
    server.ends("resp_2")

    assert server.sent() == []
