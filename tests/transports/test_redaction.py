"""What is said in a redaction is kept neither as times nor as samples, and what is said around it is."""

import pytest

from callpipe.transports.audio.g711 import MULAW_SILENCE
from callpipe.transports.audio.line_tracks import LineAudio
from callpipe.transports.audio.playhead import CarrierClock
from callpipe.transports.redaction import RedactedLine, RedactedTimes, RedactionFrame

EDGE_S = 1.0
LEAD_S = 0.1

RATE_HZ = 8000
A_SAMPLE_S = 1.01 / RATE_HZ
STARTS_AT = 1_000.0
"""When the line's sample 0 is spoken, in s."""

CALLER, BOT = b"\x11", b"\x22"


def redaction(on: bool, at: float) -> RedactionFrame:
    return RedactionFrame(on=on, at=STARTS_AT + at)


@pytest.fixture
def clock() -> CarrierClock:
    clock = CarrierClock()
    clock.received(0, STARTS_AT)
    return clock


@pytest.fixture
def line(clock: CarrierClock) -> RedactedLine:
    return RedactedLine(clock)


def silent_in(
    line: RedactedLine, from_s: float, to_s: float, now: float | None = None
) -> tuple[float, float] | None:
    """Return from when to when a piece of the line is silent, in s, None when it is as it was."""
    first, samples = round(from_s * RATE_HZ), round((to_s - from_s) * RATE_HZ)
    given = LineAudio(first, CALLER * samples, BOT * samples)
    silenced = line.silenced(given, STARTS_AT + (to_s if now is None else now))
    assert silenced.position == first
    assert len(silenced.caller) == len(silenced.bot) == samples
    for track, sample in ((silenced.caller, CALLER), (silenced.bot, BOT)):
        assert set(track) <= {*sample, *MULAW_SILENCE}
    assert [a == MULAW_SILENCE[0] for a in silenced.caller] == [b == MULAW_SILENCE[0] for b in silenced.bot]
    silent = silenced.caller.count(MULAW_SILENCE)
    if not silent:
        return None
    begin = silenced.caller.index(MULAW_SILENCE)
    assert silenced.caller[begin : begin + silent] == MULAW_SILENCE * silent
    return (first + begin) / RATE_HZ, (first + begin + silent) / RATE_HZ


def test_nothing_is_silent_without_a_redaction(line: RedactedLine) -> None:
    assert silent_in(line, 0.0, 1.0) is None


def test_both_tracks_are_silent_from_before_the_redaction_until_after_it(
    line: RedactedLine,
) -> None:
    line.take(redaction(True, 2.0))
    assert silent_in(line, 1.0, 3.0) == pytest.approx((2.0 - LEAD_S, 3.0), abs=A_SAMPLE_S)
    assert silent_in(line, 3.0, 5.0) == (3.0, 5.0)
    line.take(redaction(False, 5.0))
    assert silent_in(line, 5.0, 5.5) == (5.0, 5.5)
    assert silent_in(line, 5.5, 7.0, now=5.0 + EDGE_S) == (5.5, 6.0)
    assert silent_in(line, 7.0, 8.0) is None


@pytest.mark.parametrize("speaker", ["caller_speaks", "bot_speaks"])
def test_who_speaks_as_it_ends_is_silent_until_they_are_done(line: RedactedLine, speaker: str) -> None:
    line.take(redaction(True, 2.0))
    setattr(line, speaker, True)
    line.take(redaction(False, 3.0))
    assert silent_in(line, 3.0, 6.0) == (3.0, 6.0)
    setattr(line, speaker, False)
    assert silent_in(line, 6.0, 8.0, now=7.0) == (6.0, 7.0)


def test_a_redaction_that_begins_before_the_last_has_ended_goes_on_with_it(line: RedactedLine) -> None:
    line.take(redaction(True, 2.0))
    line.take(redaction(False, 3.0))
    line.take(redaction(True, 3.5))
    assert silent_in(line, 1.0, 6.0) == pytest.approx((2.0 - LEAD_S, 6.0), abs=A_SAMPLE_S)
    line.take(redaction(False, 6.0))
    assert silent_in(line, 6.0, 8.0, now=7.0) == (6.0, 7.0)


def test_two_redactions_leave_what_is_between_them(line: RedactedLine) -> None:
    line.take(redaction(True, 2.0))
    line.take(redaction(False, 3.0))
    assert silent_in(line, 2.5, 3.0, now=4.0) == (2.5, 3.0)
    line.take(redaction(True, 5.0))
    assert silent_in(line, 3.0, 4.5) == (3.0, 4.0)
    assert silent_in(line, 4.5, 6.0) == pytest.approx((5.0 - LEAD_S, 6.0), abs=A_SAMPLE_S)


def test_the_end_of_a_redaction_that_has_not_begun_changes_nothing(line: RedactedLine) -> None:
    line.take(redaction(False, 1.0))
    line.take(redaction(True, 2.0))
    assert silent_in(line, 2.0, 4.0) == (2.0, 4.0)


@pytest.mark.parametrize(
    ("began", "ended", "touched"),
    [
        (0.0, 1.9, False),
        (0.0, 2.0, True),
        (2.5, 2.6, True),
        (3.0 + EDGE_S, 9.0, True),
        (3.1 + EDGE_S, 9.0, False),
    ],
)
def test_words_are_withheld_when_any_was_said_in_a_redaction(began: float, ended: float, touched: bool) -> None:
    times = RedactedTimes()
    assert not times.open
    times.take(redaction(True, 2.0))
    times.take(redaction(True, 2.5))
    assert times.open
    assert times.touch(STARTS_AT + 100.0, STARTS_AT + 101.0)
    times.take(redaction(False, 3.0))
    times.take(redaction(False, 50.0))
    assert not times.open
    assert times.touch(STARTS_AT + began, STARTS_AT + ended) is touched
