"""Faults are counted apart as long as there are few kinds, and reported ever more seldom."""

from __future__ import annotations

import pytest

from callpipe.transports.realtime.events import UnknownEvent
from callpipe.transports.realtime.faults import Faults


def test_the_first_second_fourth_and_eighth_of_a_kind_are_reported() -> None:
    faults = Faults()
    reported = [number for number in range(1, 17) if faults.report("late", "too late", float(number))]

    assert reported == [1, 2, 4, 8, 16]
    assert faults.report("other kind", "", 17.0)
    assert faults.counts == {"late": 16, "other kind": 1}


def test_a_report_tells_when_and_at_most_300_characters_why() -> None:
    (report,) = Faults().report("late", "x" * 301, 7.0)

    assert (report.at, report.code, report.explanation) == (7.0, "late", "x" * 300)


def test_errors_of_two_sides_that_act_at_once_are_counted_only() -> None:
    faults = Faults()

    assert faults.report("response_cancel_not_active", "", 1.0) == []
    assert faults.counts["response_cancel_not_active"] == 1


def test_after_256_kinds_all_others_are_one() -> None:
    faults = Faults()
    for number in range(256):
        assert faults.count(f"kind {number}") == 1

    assert [faults.count("one more"), faults.count("and one")] == [1, 2]
    assert faults.count("kind 255") == 2
    assert len(faults.counts) == 257


@pytest.mark.parametrize(("length", "told"), [(64, 64), (65, 64)])
def test_an_unknown_event_is_reported_once_by_its_name(length: int, told: int) -> None:
    faults, event = Faults(), UnknownEvent(type="n" * length)

    (report,) = faults.unknown_event(event, 1.0)
    assert (report.code, report.explanation) == ("unknown_event", "n" * told)
    assert faults.unknown_event(event, 2.0) == []
