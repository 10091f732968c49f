from __future__ import annotations

import random

from callpipe.transports.speech.demo_words import DEMO_NAMES, DEMO_TIMES, random_booking


def test_equal_chance_draws_equal_bookings() -> None:
    assert random_booking(random.Random(3)) == random_booking(random.Random(3))


def test_a_booking_says_what_it_wants() -> None:
    for seed in range(200):
        booking = random_booking(random.Random(seed))
        assert booking.name in DEMO_NAMES
        assert booking.name in booking.sentence
        assert DEMO_TIMES[booking.time] in booking.sentence
        assert 2 <= booking.party_size <= 10


def test_times_are_every_quarter_of_an_hour_in_the_evening() -> None:
    hours = {18: "six", 19: "seven", 20: "eight", 21: "nine"}
    quarters = {0: "o'clock", 15: "fifteen", 30: "thirty", 45: "forty five"}
    times = {
        f"{hour}:{at:02}": f"{said} {words}" for hour, said in hours.items() for at, words in quarters.items()
    }
    assert times.pop("21:45") == "nine forty five"
    assert times == DEMO_TIMES


def test_there_are_enough_names() -> None:
    assert len(set(DEMO_NAMES)) >= 30
