"""The wait for an answer, stage by stage."""

import pytest

from callpipe.transports.realtime.answer_times import AnswerTimes


def in_time(audio_ms: float) -> float | None:
    """Three seconds of the caller's audio, which began to come in at 100 s."""
    return 100.0 + audio_ms / 1000 if audio_ms <= 3_000 else None


def talking() -> AnswerTimes:
    return AnswerTimes(in_time, 500.0)


def test_the_stages_are_told_when_the_first_packet_is_on_the_wire() -> None:
    times = talking()
    # The turn's audio ends at 2,000 ms, of which 500 ms are the silence that ended it; the notice took 60 ms.
    times.caller_stopped(2_000.0, 102.06)
    times.answered("item_1", 102.5)
    times.answered("item_1", 102.6)
    assert times.went_out("item_0", 102.51, 102.51) == []

    [told] = times.went_out("item_1", 102.51, 102.57)

    assert told.at == 102.5
    assert told.response_ms == pytest.approx(1_000)
    assert told.notice_ms == pytest.approx(560)
    assert told.wire_ms == pytest.approx(10)
    assert told.heard_ms == pytest.approx(60)
    assert told.measured_from == "audio"
    assert times.went_out("item_1", 102.51, 102.57) == []


@pytest.mark.parametrize("audio_end_ms", [None, 9_999_999.0])
def test_where_the_server_does_not_say_where_or_says_the_impossible_its_notice_counts(
    audio_end_ms: float | None,
) -> None:
    times = talking()
    times.caller_stopped(audio_end_ms, 103.0)
    times.answered("item_1", 103.4)

    [told] = times.went_out("item_1", 103.4, 103.4)

    assert (told.measured_from, told.notice_ms) == ("notice", 0)
    assert told.response_ms == pytest.approx(400)


def test_what_the_transport_does_not_tell_is_none_and_told_at_the_next_turn() -> None:
    times = talking()
    times.caller_stopped(None, 103.0)
    times.answered("item_1", 103.4)

    [told] = times.caller_started()

    assert (told.wire_ms, told.heard_ms) == (None, None)
    assert times.ended() == []


def test_a_caller_who_goes_on_was_not_waiting() -> None:
    times = talking()
    times.caller_stopped(None, 103.0)
    assert times.caller_started() == []
    times.answered("item_1", 103.4)

    assert times.went_out("item_1", 103.4, 103.4) == []


def test_the_bots_own_words_before_any_turn_are_no_answer() -> None:
    times = talking()
    times.answered("item_1", 1.0)
    assert times.went_out("item_1", 1.0, 1.0) == []
