"""What each fault makes of a session's events, without a socket."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from callpipe.transports.realtime.emulator import (
    After,
    Disconnect,
    Drop,
    Duplicate,
    Expire,
    FailResponse,
    Fault,
    GoSilent,
    Late,
    Nth,
    Omit,
    SendError,
    SendInvalidJson,
    SendUnknownEvent,
    SlowDeltas,
    every_session,
    first_sessions,
    in_turn,
    rate_limited,
)
from callpipe.transports.realtime.emulator.faulty_line import FaultyLine, Later, Outcome, Raw
from callpipe.transports.realtime.emulator.server_events import ServerEvents

SESSION = ("a", "b", "a", "c", "a")


class Line:
    """A line with faults, and words for what comes out of it."""

    def __init__(self, *faults: Fault) -> None:
        self._events = ServerEvents()
        self.line = FaultyLine(faults, self._events)

    def run(self, types: Sequence[str] = SESSION) -> list[str]:
        return [self.word(o) for kind in types for o in self.line.outcomes(self._events.event(kind))]

    def strike(self, fault: Drop | Disconnect | Expire | GoSilent | SendError) -> list[str]:
        return [self.word(outcome) for outcome in self.line.strike(fault)]

    def word(self, outcome: Outcome) -> str:
        match outcome:
            case Later(seconds=seconds, what=what):
                late = what["type"] if isinstance(what, dict) else type(what).__name__
                return f"{late} in {seconds:g} s"
            case Raw(text):
                return text
            case Drop():
                return "dropped"
            case Disconnect(code=code):
                return f"closed {code}"
            case _:
                return str(outcome["type"])


def test_a_healthy_line_changes_nothing() -> None:
    assert Line().run() == list(SESSION)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Drop(1), ["dropped", "b", "a", "c", "a"]),
        (Drop(Nth("a", 2)), ["a", "b", "dropped", "c", "a"]),
        (Disconnect(2, 1012), ["a", "closed 1012", "a", "c", "a"]),
        (GoSilent(Nth("b")), ["a"]),
        (Expire(Nth("c")), ["a", "b", "a", "error", "closed 1001", "a"]),
        (Omit(Nth("a", 3)), ["a", "b", "a", "c"]),
        (Duplicate(2), ["a", "b", "b", "a", "c", "a"]),
        (Late(Nth("c"), 0.5), ["a", "b", "a", "c in 0.5 s", "a"]),
        (SendError(2), ["a", "error", "b", "a", "c", "a"]),
        (SendUnknownEvent(Nth("a", 2), "new"), ["a", "b", "new", "a", "c", "a"]),
        (SendInvalidJson(5, "{"), ["a", "b", "a", "c", "{", "a"]),
        (Drop(After(2, Nth("b"))), ["a", "Drop in 2 s", "b", "a", "c", "a"]),
        (SendError(After(0, 1)), ["SendError in 0 s", "a", "b", "a", "c", "a"]),
        (Drop(Nth("d")), list(SESSION)),
    ],
)
def test_where_a_fault_strikes(fault: Fault, outcome: list[str]) -> None:
    assert Line(fault).run() == outcome


def test_what_strikes_some_time_after_the_session_has_opened() -> None:
    line = Line(GoSilent(After(3)), Drop(After(4)), Drop(After(1, 1)))
    assert [line.word(later) for later in line.line.opened()] == ["GoSilent in 3 s", "Drop in 4 s"]
    assert line.strike(Expire(After(3))) == ["error", "closed 1001"]
    assert line.strike(GoSilent(After(3))) == []
    assert line.run() == ["Drop in 1 s"]
    assert line.strike(Drop(After(4))) == []
    assert line.strike(SendError(After(4))) == []


def test_an_expiry_says_so_before_it_closes() -> None:
    [error, closed] = FaultyLine((), ServerEvents()).strike(Expire(1, minutes=60))
    assert isinstance(error, dict)
    assert error["error"] == {
        "type": "invalid_request_error",
        "code": "session_expired",
        "message": "Your session hit the maximum duration of 60 minutes.",
        "param": None,
        "event_id": None,
    }
    assert isinstance(closed, Disconnect)
    assert (closed.code, closed.reason) == (1001, "Your session hit the maximum duration of 60 minutes.")


def test_which_responses_fail() -> None:
    line = Line(rate_limited(2), FailResponse(3)).line
    assert line.failure(1) is None
    limited = line.failure(2)
    assert limited is not None
    assert (limited.code, limited.type) == ("rate_limit_exceeded", "tokens")
    assert "Please try again in 1.5s." in limited.message
    assert line.failure(3) == FailResponse(3, "server_error")


def test_slow_deltas_add_up() -> None:
    delta = "response.output_audio.delta"
    line = Line(SlowDeltas(100), SlowDeltas(50, from_delta=2))
    assert line.line.delay_ms == 100
    line.run([delta])
    assert line.line.delay_ms == 150


def test_which_sessions_the_faults_strike() -> None:
    always = every_session(Drop(1))
    assert [always(), always()] == [(Drop(1),), (Drop(1),)]
    first = first_sessions(2, Drop(1))
    assert [first() for _ in range(4)] == [(Drop(1),), (Drop(1),), (), ()]
    turns = in_turn([Drop(1)], [], [Omit(2)])
    assert [list(turns()) for _ in range(4)] == [[Drop(1)], [], [Omit(2)], []]
    lasting = in_turn([Omit(1)], then=[Drop(1)])
    assert [list(lasting()) for _ in range(3)] == [[Omit(1)], [Drop(1)], [Drop(1)]]
