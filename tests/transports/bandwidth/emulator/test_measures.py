"""How long a caller heard nothing, from what was played to them."""

from __future__ import annotations

import array

import pytest

from callpipe.transports.bandwidth.emulator.measures import Resumption, longest_silence_ms, resumptions
from callpipe.transports.bandwidth.emulator.playout import Burst
from callpipe.transports.bandwidth.emulator.report import CallReport


def track(*pieces: tuple[int, int]) -> bytes:
    """Pieces of so many milliseconds and such an amplitude."""
    return b"".join(array.array("h", [amplitude] * (8 * ms)).tobytes() for ms, amplitude in pieces)


def test_silence_after_a_lost_stream_begins_when_its_audio_was_heard() -> None:
    bursts = [Burst(1.0, 500.0), Burst(2.0, 3_000.0), Burst(9.0, 100.0)]

    (again,) = resumptions([4.0], [0.5, 8.0], bursts)

    assert again == Resumption(lost_at=4.0, silent_from=5.0, heard_at=9.0)
    assert again.silence_ms == 4_000


@pytest.mark.parametrize(
    ("lost_at", "bursts", "silent_from", "heard_at"),
    [
        (4.0, [Burst(8.0, 100.0)], 4.0, 8.0),
        (4.0, [Burst(1.0, 100.0), Burst(6.0, 100.0)], 4.0, None),
        (4.0, [Burst(4.0, 100.0)], 4.1, None),
        (8.0, [Burst(9.0, 100.0)], 8.0, None),
    ],
)
def test_only_another_stream_ends_the_silence(
    lost_at: float, bursts: list[Burst], silent_from: float, heard_at: float | None
) -> None:
    (again,) = resumptions([lost_at], [0.5, 8.0], bursts)

    assert (again.silent_from, again.heard_at) == (pytest.approx(silent_from), heard_at)


def test_each_loss_is_told_by_itself() -> None:
    told = resumptions([2.0, 4.0], [0.0, 3.0, 5.0], [Burst(3.0, 500.0), Burst(6.0, 100.0)])

    assert [again.silence_ms for again in told] == [1_000, 2_000]


@pytest.mark.parametrize(
    ("begin_s", "end_s", "silent_ms"),
    [(0.0, 1.0, 300), (0.0, 0.5, 200), (0.9, 1.0, 100), (0.4, 2.0, 1_300), (-1.0, 1.0, 300), (2.0, 1.0, 0)],
)
def test_silence_is_where_no_track_has_a_sound(begin_s: float, end_s: float, silent_ms: float) -> None:
    said = track((100, 900), (400, 0), (200, 900))
    heard = track((300, 0), (20, 100), (580, 0), (0, 0))
    assert longest_silence_ms([said, heard], begin_s, end_s) == silent_ms


def test_a_call_that_was_not_answered_has_no_silence() -> None:
    said = track((100, 900), (300, 0))
    report = CallReport("c", 1.0, said=said, ended_at=2.4)
    assert report.longest_silence_ms() == 0

    report.answered_at = 2.0
    assert report.longest_silence_ms() == 300
    assert report.longest_silence_ms(since=2.2) == 200
    assert report.longest_silence_ms(until=2.2) == 100


def test_a_report_tells_what_the_caller_did_not_get() -> None:
    report = CallReport("c", 0.0)
    assert (report.shortcomings, report.cause, report.resumptions) == ([], "unknown", [])

    report.gave_up = "step 2, wait_for_bot"
    assert report.shortcomings == ["the caller lost patience at step 2, wait_for_bot"]
