"""What was said, and what was heard of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from callpipe.transports.call_events import BotTurnFrame, CallerTurnFrame, ModelFaultFrame
from callpipe.transports.realtime.happenings import (
    CallerStopped,
    Happening,
)
from callpipe.transports.realtime.settings import RealtimeSettings

if TYPE_CHECKING:
    from .conftest import Serve


def kinds(happened: Sequence[Happening]) -> list[str]:
    return [type(one).__name__ for one in happened]


def test_a_turn_of_the_bots_is_told_when_it_was_heard(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.spoken("item_1", 400, text="A table for two.")
    assert kinds(server.ends()) == []

    server.now += 0.5
    turn = server.finishes()[0]

    assert isinstance(turn, BotTurnFrame)
    assert (turn.item_id, turn.text, turn.heard_text) == ("item_1", "A table for two.", "A table for two.")
    assert (turn.generated_ms, turn.heard_ms, turn.interrupted) == (400, 400, False)


def test_a_turn_cut_in_half_tells_the_words_that_were_heard(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.spoken("item_1", 1000, text="one two three four five")
    server.now += 0.5
    server.caller_speaks()
    happened = [*server.clears(), *server.ends(status="cancelled")]

    turn = next(one for one in happened if isinstance(one, BotTurnFrame))
    assert (turn.heard_text, turn.interrupted, round(turn.heard_ms)) == ("one two", True, 500)


def test_a_hang_up_tells_what_was_heard_until_then(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.spoken("item_1", 1000, text="one two three four five")
    server.says("input_audio_buffer.committed", item_id="item_caller")
    server.now += 0.5

    happened = server.session.line_ended(server.now)

    assert [
        (type(one).__name__, getattr(one, "heard_text", None), getattr(one, "interrupted", None))
        for one in happened
    ] == [("CallerTurnFrame", None, None), ("BotTurnFrame", "one two", False)]
    assert server.session.line_ended(server.now) == []


def test_callers_turns_come_in_the_order_they_were_spoken(serve: Serve) -> None:
    server = serve()
    for item_id in ("a", "b", "c"):
        server.says("input_audio_buffer.committed", item_id=item_id)

    def transcribed(item_id: str) -> list[str]:
        happened = server.says(
            "conversation.item.input_audio_transcription.completed",
            item_id=item_id,
            transcript=f"said {item_id}",
        )
        return [one.text for one in happened if isinstance(one, CallerTurnFrame)]

    assert transcribed("b") == []
    assert transcribed("a") == ["said a", "said b"]
    assert transcribed("c") == ["said c"]


def test_a_turn_that_is_never_transcribed_holds_up_four_others_at_most(serve: Serve) -> None:
    server = serve()
    turns: list[str] = []
    for item_id in ("a", "b", "c", "d", "e"):
        happened = [*server.says("input_audio_buffer.committed", item_id=item_id)]
        if item_id != "a":
            happened += server.says(
                "conversation.item.input_audio_transcription.completed", item_id=item_id, transcript=item_id
            )
        turns += [one.text for one in happened if isinstance(one, CallerTurnFrame)]

    assert turns == ["", "b", "c", "d", "e"]


def test_a_failed_transcription_is_a_fault_and_a_turn_without_text(serve: Serve) -> None:
    server = serve()
    server.says("input_audio_buffer.committed")

    happened = server.says("conversation.item.input_audio_transcription.failed")

    assert kinds(happened) == ["ModelFaultFrame", "CallerTurnFrame"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"type": "audio_error", "code": "audio_unintelligible"}, "audio_unintelligible"),
        ({"type": "audio_error", "code": None}, "audio_error"),
        ({"type": None, "code": None}, "transcription_failed"),
    ],
)
def test_a_failed_transcription_is_told_by_what_the_server_calls_it(
    serve: Serve, given: dict[str, str | None], code: str
) -> None:
    server = serve()
    server.says("input_audio_buffer.committed")

    fault, _ = server.says("conversation.item.input_audio_transcription.failed", error=given)

    assert isinstance(fault, ModelFaultFrame)
    assert fault.code == code


def test_without_transcription_turns_have_no_text(serve: Serve) -> None:
    server = serve(RealtimeSettings(transcription=None))

    assert kinds(server.says("input_audio_buffer.committed")) == ["CallerSpokeFrame", "CallerTurnFrame"]


def test_the_caller_stops_only_once(serve: Serve) -> None:
    server = serve()

    assert not server.caller_stops()
    server.caller_speaks()
    assert server.caller_stops() == [CallerStopped()]


def test_content_stays_out_of_what_happenings_show(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.spoken("item_1", 400, text="my secret")
    happened = [
        *server.calls("call_1"),
        *server.session.line_ended(server.now),
        *server.says("conversation.item.input_audio_transcription.completed", transcript="my secret"),
    ]

    assert "ToolCallFrame" in kinds(happened)
    assert "my secret" not in repr(happened)
    assert "2026-12-01" not in repr(happened)
