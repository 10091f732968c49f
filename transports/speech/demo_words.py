"""What a rehearsed caller of a restaurant says: random bookings, a question, goodbye."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = [
    "DEMO_BOOKING_SENTENCES",
    "DEMO_GOODBYES",
    "DEMO_NAMES",
    "DEMO_PARTY_SIZES",
    "DEMO_QUESTIONS",
    "DEMO_TIMES",
    "DemoBooking",
    "random_booking",
]

DEMO_NAMES = (
    "Alice", "Anna", "Anthony", "Barbara", "Benjamin", "Brian", "Charles", "Daniel", "David", "Edward", "Emily",
    "Emma", "George", "Hannah", "Helen", "Jennifer", "Jessica", "Julia", "Kevin", "Laura", "Linda", "Lisa",
    "Mark", "Martin", "Michael", "Nancy", "Oliver", "Patrick", "Peter", "Rachel", "Richard", "Robert",
    "Samuel", "Sandra", "Sarah", "Sophia", "Susan", "Thomas", "Victoria", "William",
)  # fmt: skip
"""First names that the offline voice says and the offline ear writes in the same way."""

DEMO_PARTY_SIZES = {
    2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten",
}  # fmt: skip
"""Numbers of people, and how they are said."""

_HOURS = {18: "six", 19: "seven", 20: "eight", 21: "nine"}
_MINUTES = {0: "o'clock", 15: "fifteen", 30: "thirty", 45: "forty five"}
DEMO_TIMES = {
    f"{hour}:{minute:02}": f"{said} {minutes}"
    for hour, said in _HOURS.items()
    for minute, minutes in _MINUTES.items()
    if (hour, minute) <= (21, 30)
}
"""Times of day as HH:MM in 24 hours, and how they are said in the evening."""

DEMO_BOOKING_SENTENCES = (
    "I would like to book a table for {people} people at {time}. My name is {name}.",
    "Hello, can I book a table for {people} people at {time}? The name is {name}.",
    "Hi, my name is {name}. I would like a table for {people} people at {time}, please.",
    "Can you reserve a table for {people} people at {time}, under the name {name}?",
)
DEMO_QUESTIONS = (
    "What time do you open on Saturday?",
    "When are you open on Monday?",
    "What are your opening hours on Sunday?",
)
DEMO_GOODBYES = ("Thank you, goodbye.", "That is all, thank you. Goodbye.", "Goodbye.")


@dataclass(frozen=True)
class DemoBooking:
    """What a caller wants, and the sentence that says so."""

    name: str
    party_size: int
    time: str
    """HH:MM in 24 hours."""
    sentence: str


def random_booking(chance: random.Random) -> DemoBooking:
    """Draw a booking; equal states of `chance` draw equal bookings."""
    name = chance.choice(DEMO_NAMES)
    party_size = chance.choice(list(DEMO_PARTY_SIZES))
    time = chance.choice(list(DEMO_TIMES))
    sentence = chance.choice(DEMO_BOOKING_SENTENCES)
    said = sentence.format(people=DEMO_PARTY_SIZES[party_size], time=DEMO_TIMES[time], name=name)
    return DemoBooking(name, party_size, time, said)
