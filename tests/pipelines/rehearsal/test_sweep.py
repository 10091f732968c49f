"""Faults at any moment of the rehearsed call, not only at those that have a name."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from callpipe.pipelines.rehearsal.faults import Rehearsal
from callpipe.pipelines.rehearsal.rehearse import rehearse
from callpipe.processors.disk import shared_writer
from callpipe.transports.realtime.emulator import (
    After,
    Drop,
    Duplicate,
    Expire,
    Fault,
    GoSilent,
    RefuseHandshake,
    SendError,
    SlowHandshake,
)

MOMENTS = int(os.environ.get("SWEPT_MOMENTS", "2"))
"""At how many moments each fault strikes; ``make endurance`` tries more."""

CALL_S = 33.0
"""How long the first session lasts when nothing goes wrong."""

EVENTS = 400
"""How many events its server sends."""

Struck = Callable[[random.Random], Sequence[Sequence[Fault]]]


def moment(chance: random.Random) -> After:
    return After(round(chance.uniform(0.1, CALL_S), 3))


FAULTS: dict[str, Struck] = {
    "connection breaks": lambda chance: [[Drop(moment(chance))]],
    "connection breaks before an event": lambda chance: [[Drop(chance.randrange(2, EVENTS))]],
    "server stops answering": lambda chance: [[GoSilent(moment(chance))]],
    "session expires": lambda chance: [[Expire(moment(chance))]],
    "error event": lambda chance: [[SendError(moment(chance))]],
    "event told twice": lambda chance: [[Duplicate(chance.randrange(2, EVENTS))]],
    "connection breaks twice": lambda chance: [
        [Drop(moment(chance))],
        [Drop(After(chance.uniform(0.05, 2)))],
    ],
    "break, then 429": lambda chance: [[Drop(moment(chance))], [RefuseHandshake(429, 3)]],
    "break, then a slow handshake": lambda chance: [[Drop(moment(chance))], [SlowHandshake(3)]],
}


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_moment_costs_no_more_than_it_may(fault: str, tmp_path: Path) -> None:
    shared_writer()
    chance = random.Random(fault)
    broken: dict[str, list[str]] = {}
    for number in range(MOMENTS):
        sessions = FAULTS[fault](chance)
        breaches = rehearse(Rehearsal(fault, "", sessions), tmp_path / str(number)).breaches
        if breaches:
            broken[repr(sessions)] = breaches
    assert broken == {}
