"""When a server is asked whether it is still there, and when it is suspected not to be."""

from __future__ import annotations

import json

import pytest

from callpipe.transports.realtime.liveness import PROBE, Liveness

IMPATIENT_S = 0.5
PATIENT_S = 3.0
REPLY_S = 0.5
LOOK_AGAIN_S = 0.2


def opened(at: float = 100.0) -> Liveness:
    life = Liveness()
    life.opened(at)
    return life


def test_the_question_changes_nothing() -> None:
    assert json.loads(PROBE) == {"type": "session.update", "session": {"type": "realtime"}}


@pytest.mark.parametrize(("owing", "after_s"), [(True, IMPATIENT_S), (False, PATIENT_S)])
def test_a_silent_server_is_asked_once(owing: bool, after_s: float) -> None:
    life = opened()

    assert life.ask(100.0 + after_s - 0.01, owing=owing) is None
    assert life.ask(100.0 + after_s, owing=owing) == PROBE
    assert life.ask(100.0 + after_s, owing=owing) is None


def test_a_server_that_is_known_to_owe_nothing_is_looked_at_again_and_again() -> None:
    life = opened()
    assert life.due(owing=True) == life.due(owing=False) == 100.0 + IMPATIENT_S

    assert life.ask(100.5, owing=False) is None
    assert life.due(owing=False) == 100.5 + LOOK_AGAIN_S
    assert life.due(owing=True) == 100.0 + IMPATIENT_S

    life.ask(102.9, owing=False)
    assert life.due(owing=False) == 100.0 + PATIENT_S

    assert life.ask(102.95, owing=True) == PROBE
    assert life.due(owing=False) == 102.95 + REPLY_S


def test_a_server_that_speaks_is_not_asked() -> None:
    life = opened()
    life.heard(100.4)

    assert life.ask(100.6, owing=True) is None


def test_a_server_that_leaves_the_question_open_is_suspected_once() -> None:
    life = opened()
    life.ask(100.5, owing=True)

    assert not life.suspects(100.5 + REPLY_S - 0.01)
    assert [life.suspects(100.5 + REPLY_S) for _ in range(2)] == [True, False]
    assert life.still_silent
    assert life.due(owing=True) is None

    life.heard(101.5)
    assert not life.still_silent
    assert life.due(owing=False) == 101.5 + 2 * IMPATIENT_S


def test_a_suspicion_makes_more_patient() -> None:
    life = opened()
    life.ask(100.5, owing=True)
    life.suspects(200.0)
    life.opened(200.0)
    life.ask(201.0, owing=True)

    assert not life.suspects(201.0 + REPLY_S)
    assert life.suspects(201.0 + 2 * REPLY_S)


def test_a_server_that_answers_and_thinks_is_asked_ever_more_seldom() -> None:
    life = opened()
    now = 100.0
    waits: list[float] = []
    for _ in range(5):
        due = life.due(owing=True)
        assert due is not None
        waits.append(due - now)
        assert life.ask(due, owing=True) == PROBE
        now = due
        life.heard(now)

    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0]
    life.heard(now)
    assert life.due(owing=True) == now + IMPATIENT_S
