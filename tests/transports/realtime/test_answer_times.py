"""The wait for an answer, stage by stage."""

import pytest

from callpipe.transports.realtime.answer_times import AnswerTimes

MAX_REMEMBERED_MS = 30_000.0


def talking(silence_ms: float = 500.0, packets: int = 150, first_at: float = 100.0) -> AnswerTimes:
    """Caller audio in packets of 20 ms, each arriving when it ends."""
    times = AnswerTimes(silence_ms)
    for number in range(packets):
        times.appended(20.0, first_at + (number + 1) * 0.02)
    return times


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


def test_a_place_within_a_packet_or_a_burst_is_found_to_the_millisecond() -> None:
    times = AnswerTimes(0.0)
    for _ in range(150):
        times.appended(20.0, 50.0)  # what was held until the session was ready, sent at once
    times.appended(20.0, 50.02)
    times.caller_stopped(2_345.0, 50.5)
    times.answered("item_1", 51.0)

    [told] = times.went_out("item_1", 51.0, 51.0)

    assert told.response_ms == pytest.approx(1_000 + 655)


def test_a_place_within_the_newest_packet_is_found_to_the_millisecond() -> None:
    times = AnswerTimes(0.0)
    for number in range(3):
        times.appended(20.0, 50.0 + number / 50)
    times.caller_stopped(55.0, 50.1)
    times.answered("item_1", 51.0)

    [told] = times.went_out("item_1", 51.0, 51.0)

    assert told.response_ms == pytest.approx(1_000 - 40 + 5)


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


def test_a_new_session_counts_from_zero() -> None:
    times = talking(packets=500)
    times.opened()
    for number in range(100):
        times.appended(20.0, 200.0 + (number + 1) * 0.02)
    times.caller_stopped(1_500.0, 201.6)
    times.answered("item_1", 202.0)

    [told] = times.went_out("item_1", 202.0, 202.0)

    assert told.response_ms == pytest.approx(1_000)


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
    times = AnswerTimes(500.0)
    times.answered("item_1", 1.0)
    assert times.went_out("item_1", 1.0, 1.0) == []


@pytest.mark.parametrize("pause_s", [0.0, 0.25, 3.0])
def test_a_place_is_found_on_both_sides_of_a_pause_of_the_line(pause_s: float) -> None:
    times = talking(silence_ms=0.0, packets=102)
    for number in range(103):
        times.appended(20.0, 102.04 + pause_s + (number + 1) * 0.02)
    for place_ms, spoken_at in ((2_030.0, 102.03), (2_070.0, 102.07 + pause_s)):
        times.caller_stopped(place_ms, 106.0)
        times.answered("item_1", spoken_at + 1.0)
        [told] = times.went_out("item_1", 107.0, 107.0)
        assert told.response_ms == pytest.approx(1_000)


def test_a_line_in_time_takes_a_fifth_of_the_memory() -> None:
    times = talking(packets=5_000)
    assert len(times._pieces) / 3 <= MAX_REMEMBERED_MS / 100 + 2  # pyright: ignore[reportPrivateUsage]


def test_a_place_older_than_what_is_remembered_is_not_guessed_far_off() -> None:
    times = talking(silence_ms=0.0, packets=int(MAX_REMEMBERED_MS / 20) + 500)
    times.caller_stopped(100.0, 140.5)
    times.answered("item_1", 141.0)

    [told] = times.went_out("item_1", 141.0, 141.0)

    assert told.measured_from == "notice"


def test_a_place_on_an_old_sessions_time_line_is_nowhere() -> None:
    times = talking(silence_ms=0.0, packets=500)
    times.opened()
    times.appended(20.0, 200.02)
    times.caller_stopped(5_000.0, 201.0)
    times.answered("item_1", 201.5)

    [told] = times.went_out("item_1", 201.5, 201.5)

    assert told.measured_from == "notice"
