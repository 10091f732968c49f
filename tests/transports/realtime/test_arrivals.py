"""When the caller's audio came in, by its place on the server's time line."""

import pytest

from callpipe.transports.realtime.arrivals import Arrivals

MAX_REMEMBERED_MS = 30_000.0


def talking(packets: int = 150, first_at: float = 100.0) -> Arrivals:
    """Caller audio in packets of 20 ms, each arriving when it ends."""
    arrivals = Arrivals()
    talk_on(arrivals, packets, first_at)
    return arrivals


def talk_on(arrivals: Arrivals, packets: int, first_at: float) -> None:
    for number in range(packets):
        arrivals.came(20.0, first_at + (number + 1) * 0.02)


@pytest.mark.parametrize("place_ms", [0.0, 1.0, 345.0, 2_999.0, 3_000.0])
def test_a_place_in_audio_that_comes_in_time_is_found_to_the_millisecond(place_ms: float) -> None:
    assert talking().came_at(place_ms) == pytest.approx(100 + place_ms / 1000)


def test_a_place_within_a_burst_came_with_it() -> None:
    arrivals = Arrivals()
    for _ in range(150):
        arrivals.came(20.0, 50.0)  # what was held until the session was ready, sent at once
    arrivals.came(20.0, 50.02)

    assert arrivals.came_at(2_345.0) == pytest.approx(50.0 - 0.655)
    assert arrivals.came_at(3_010.0) == pytest.approx(50.01)


def test_nothing_is_known_of_what_has_not_come() -> None:
    assert Arrivals().came_at(0.0) is None
    assert talking().came_at(3_000.1) is None


def test_a_new_session_counts_from_zero() -> None:
    arrivals = talking(packets=500)
    arrivals.restart()
    assert arrivals.came_at(0.0) is None
    talk_on(arrivals, 100, 200.0)

    assert arrivals.came_at(1_000.0) == pytest.approx(201.0)
    assert arrivals.came_at(5_000.0) is None, "a place on the time line before"


@pytest.mark.parametrize("pause_s", [0.0, 0.006, 0.25, 3.0])
def test_a_place_is_found_on_both_sides_of_a_pause_of_the_line(pause_s: float) -> None:
    arrivals = talking(packets=102)
    talk_on(arrivals, 103, 102.04 + pause_s)

    assert arrivals.came_at(2_030.0) == pytest.approx(102.03)
    assert arrivals.came_at(2_070.0) == pytest.approx(102.07 + pause_s)


@pytest.mark.parametrize("off_s", [-0.006, -0.004, 0.004, 0.006])
def test_audio_that_is_little_off_is_remembered_together(off_s: float) -> None:
    arrivals = talking(packets=151)
    arrivals.came(20.0, 103.04 + off_s)

    together = abs(off_s) < 0.005
    assert arrivals.came_at(3_010.0) == pytest.approx(103.01 + off_s * together)


def test_a_line_in_time_takes_a_tenth_of_the_memory() -> None:
    arrivals = talking(packets=5_000)
    assert len(arrivals._pieces) / 3 <= MAX_REMEMBERED_MS / 200 + 2  # pyright: ignore[reportPrivateUsage]


def test_the_end_of_a_burst_is_remembered_as_long_as_any_other_place() -> None:
    arrivals = Arrivals()
    for _ in range(500):
        arrivals.came(20.0, 50.0)
    talk_on(arrivals, int(MAX_REMEMBERED_MS / 20) - 50, 50.0)

    assert arrivals.came_at(9_500.0) == pytest.approx(49.5)


def test_a_place_older_than_what_is_remembered_is_not_guessed() -> None:
    assert talking(packets=int(MAX_REMEMBERED_MS / 20) + 500).came_at(100.0) is None
