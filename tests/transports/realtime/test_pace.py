"""How fast a voice speaks, and what of a text was heard by then."""

from __future__ import annotations

import pytest

from callpipe.transports.realtime.pace import Pace, Paces, words_heard
from callpipe.transports.realtime.settings import RealtimeSettings

HEARD_TOLERANCE_MS = 20.0
REMEMBERED_CHARACTERS = 4_000.0
TYPICAL_CHARACTER_MS = 65.0


@pytest.mark.parametrize(
    ("heard_ms", "words"),
    [
        (0, ""),
        (100, ""),
        (179, ""),
        (180, "three"),
        (200, "three"),
        (379, "three"),
        (380, "three word"),
        (500, "three word utterance"),
        (10_000, "three word utterance"),
    ],
)
def test_a_word_is_heard_when_a_packet_of_it_is_missing_at_the_most(heard_ms: float, words: str) -> None:
    assert words_heard("three word utterance", heard_ms, 40 if heard_ms < 400 else 24) == words


def test_nothing_is_heard_of_no_audio_however_fast_the_voice() -> None:
    assert words_heard("a b", 0, 5) == ""
    assert words_heard("", 100, 5) == ""


def test_a_voice_that_was_never_heard_speaks_as_people_do() -> None:
    said = "x" * 9 + " " + "y" * 9
    assert Pace().words_in(said, 10 * TYPICAL_CHARACTER_MS) == "x" * 9
    assert Pace().words_in(said, 18 * TYPICAL_CHARACTER_MS) == "x" * 9
    assert Pace().words_in(said, 19 * TYPICAL_CHARACTER_MS - HEARD_TOLERANCE_MS + 1) == said


def test_the_first_text_tells_more_than_the_guess() -> None:
    pace = Pace()
    pace.learn("x" * 100, 4_000)
    assert pace.character_ms == pytest.approx(40)
    pace.learn("x" * 300, 24_000)
    assert pace.character_ms == pytest.approx(70)
    pace.learn("", 1_000)
    pace.learn("x", 0)
    assert pace.character_ms == pytest.approx(70)


def test_what_was_said_long_ago_counts_less() -> None:
    pace = Pace()
    pace.learn("x" * 1_000_000, 40_000_000)
    for _ in range(30):
        pace.learn("x" * 1_000, 80_000)
    assert REMEMBERED_CHARACTERS < 10_000
    assert pace.character_ms == pytest.approx(80, abs=1)


def test_a_process_knows_each_voice_at_each_speed() -> None:
    paces = Paces()
    marin = paces.of(RealtimeSettings())
    marin.learn("x", 50)
    assert paces.of(RealtimeSettings(instructions="Another call.")) is marin
    fast = paces.of(RealtimeSettings(speed=1.25))
    assert fast.character_ms == TYPICAL_CHARACTER_MS / 1.25
    assert paces.of(RealtimeSettings(voice="cedar")) not in (marin, fast)
