from __future__ import annotations

import random

import pytest

from callpipe.transports.realtime.emulator.brains import OfflineBrain
from callpipe.transports.speech.demo_words import DEMO_GOODBYES, DEMO_QUESTIONS, random_booking
from callpipe.transports.speech.interfaces import Brain, CallTool, Say

from ....speech.telephone import over_the_line
from .restaurant import Conversation

pytestmark = pytest.mark.offline


@pytest.fixture(scope="module")
def brain() -> OfflineBrain:
    brain = OfflineBrain()
    brain.warm_up()
    return brain


def heard(brain: OfflineBrain, text: str) -> str:
    """Return what the brain hears of a text on the telephone, from the first to the last edge of speech."""
    line = over_the_line(brain.voice, text, before_ms=400, after_ms=900)
    first, *_, last = brain.detector().detect(line)
    assert (first.started, last.started) == (True, False)
    return brain.ear.hear(line[16 * int(first.at_ms - 300) : 16 * int(last.at_ms + 500)], 8_000)


@pytest.mark.parametrize("seed", range(12))
def test_a_spoken_booking_is_made(brain: OfflineBrain, seed: int) -> None:
    booking = random_booking(random.Random(seed))
    arguments: dict[str, object] = {
        "name": booking.name,
        "party_size": booking.party_size,
        "time": booking.time,
    }
    conversation = Conversation(brain.answer)
    assert conversation.calls(heard(brain, booking.sentence)) == [CallTool("book_table", arguments)]


@pytest.mark.parametrize("text", DEMO_QUESTIONS)
def test_a_spoken_question_is_answered(brain: OfflineBrain, text: str) -> None:
    day = text.rsplit(maxsplit=1)[-1].strip("?").lower()
    assert Conversation(brain.answer).calls(heard(brain, text)) == [CallTool("opening_hours", {"day": day})]


@pytest.mark.parametrize("text", DEMO_GOODBYES)
def test_a_spoken_goodbye_ends_the_call(brain: OfflineBrain, text: str) -> None:
    said, called = Conversation(brain.answer).say(heard(brain, text))
    assert isinstance(said, Say)
    assert called == CallTool("end_call", {})


def test_it_greets_as_it_is_told(brain: OfflineBrain) -> None:
    contract: Brain = brain
    assert contract.greet('Say "Good evening!"') == [Say("Good evening!")]


def test_it_says_what_it_is(brain: OfflineBrain) -> None:
    assert "not a language model" in brain.banner
