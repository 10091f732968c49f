"""The faults that are rehearsed: what goes wrong, at which moment of the call, and what may become of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from callpipe.transports.realtime.emulator import (
    After,
    Disconnect,
    Drop,
    Duplicate,
    Expire,
    FailResponse,
    Fault,
    FaultPlan,
    GoSilent,
    Late,
    LateDelta,
    Nth,
    Omit,
    RefuseHandshake,
    SendError,
    SendInvalidJson,
    SendUnknownEvent,
    SlowDeltas,
    SlowHandshake,
    UnansweredHandshake,
    every_session,
    in_turn,
    rate_limited,
)
from callpipe.transports.realtime.emulator.faults import AUDIO_DELTA

_STARTED = "input_audio_buffer.speech_started"
_SPEAKS = "response.output_item.added"
_DONE = "response.done"

MOMENTS: Mapping[str, After] = {
    "in the greeting": After(0.3, Nth(_SPEAKS, 1)),
    "while idle": After(2.2, Nth(_DONE, 1)),
    "while the caller speaks": After(0.5, Nth(_STARTED, 1)),
    "before the answer": After(0.1, Nth("response.created", 2)),
    "in the answer": After(0.4, Nth(_SPEAKS, 2)),
    "while the answer plays out": After(0.4, Nth(_DONE, 2)),
    "while a tool runs": After(0.3, Nth("response.function_call_arguments.done", 1)),
    "while the caller cuts in": After(0.5, Nth(_STARTED, 4)),
}
"""Moments of the rehearsed conversation, by the events of its first session."""

ANSWER = MOMENTS["in the answer"]


@dataclass(frozen=True)
class Rehearsal:
    """A call on which something goes wrong.

    Attributes:
        fault: What.
        moment: When.
        sessions: The faults of each session that is tried, in order.
        afterwards: The faults of every session after those.
        second_place: The faults of every session at a second place; None when the model has only one.
        first_rests: Other calls have found the first place failing: its circuit is open.
        rollover_after_s: When a session's successor is opened; None for the usual 55 minutes.
        recoverable: Whether the call has to go on; a call that can't has to end with the apology.
    """

    fault: str
    moment: str
    sessions: Sequence[Sequence[Fault]] = ()
    afterwards: Sequence[Fault] = ()
    second_place: Sequence[Fault] | None = None
    first_rests: bool = False
    rollover_after_s: float | None = None
    recoverable: bool = True

    def plans(self) -> list[FaultPlan]:
        """Return the faults for a new call, place by place."""
        first = in_turn(*self.sessions, then=self.afterwards)
        return [first] if self.second_place is None else [first, every_session(*self.second_place)]


def matrix() -> list[Rehearsal]:
    """Return every rehearsal; the first is of a call on which nothing goes wrong."""
    faults = (_connection, _events, _answers, _handshakes, _rollovers, _places, _permanent)
    return [Rehearsal("none", ""), *(rehearsal for kind in faults for rehearsal in kind())]


def _connection() -> Iterator[Rehearsal]:
    for moment, at in MOMENTS.items():
        yield Rehearsal("connection breaks", moment, [[Drop(at)]])
    for moment, at in MOMENTS.items():
        yield Rehearsal("server stops answering", moment, [[GoSilent(at)]])
    for code in (1000, 1001, 1002, 1008, 1011, 1012, 1013, 3000, 4000):
        yield Rehearsal(f"closed with {code}", "in the answer", [[Disconnect(ANSWER, code)]])
    for moment in ("while idle", "while the caller speaks", "in the answer"):
        yield Rehearsal("session expires", moment, [[Expire(MOMENTS[moment])]])
    again = Drop(After(0.2, Nth(_SPEAKS, 1)))
    yield Rehearsal("connection breaks twice", "in the answer", [[Drop(ANSWER)], [again]])


def _events() -> Iterator[Rehearsal]:
    for moment in ("in the answer", "while idle"):
        yield Rehearsal("error event", moment, [[SendError(MOMENTS[moment])]])
        yield Rehearsal("unknown event", moment, [[SendUnknownEvent(MOMENTS[moment])]])
        yield Rehearsal("invalid JSON", moment, [[SendInvalidJson(MOMENTS[moment])]])
    yield Rehearsal("audio delta twice", "in the answer", [[Duplicate(Nth(AUDIO_DELTA, 20))]])
    yield Rehearsal("response.done twice", "in the answer", [[Duplicate(Nth(_DONE, 2))]])
    call = "response.function_call_arguments.done"
    yield Rehearsal("tool call told twice", "before a tool runs", [[Duplicate(Nth(call))]])
    yield Rehearsal("response.done late", "in the answer", [[Late(Nth(_DONE, 2), 0.5)]])
    yield Rehearsal("response.done missing", "in the answer", [[Omit(Nth(_DONE, 2))]])
    yield Rehearsal("audio after the cancellation", "while the caller cuts in", [[LateDelta()]])


def _answers() -> Iterator[Rehearsal]:
    slow, stalled = SlowDeltas(150), SlowDeltas(60_000, from_delta=20)
    yield Rehearsal("slow deltas", "in every answer", [[slow]])
    yield Rehearsal("deltas stall", "in the answer", [[stalled]])
    for number, moment in ((1, "at the greeting"), (2, "at the answer")):
        yield Rehearsal("rate limit", moment, [[rate_limited(number)]])
        yield Rehearsal("server error", moment, [[FailResponse(number)]])


def _handshakes() -> Iterator[Rehearsal]:
    first: Mapping[str, Fault] = {
        "429, retry after 1 s": RefuseHandshake(429, 1),
        "429, retry after 3 s": RefuseHandshake(429, 3),
        "500": RefuseHandshake(500),
        "503": RefuseHandshake(503),
        "slow handshake": SlowHandshake(3),
        "unanswered handshake": UnansweredHandshake(),
    }
    for fault, what in first.items():
        yield Rehearsal(fault, "at the start", [[what]])
    for fault, what in first.items():
        yield Rehearsal(fault, "after a break in the answer", [[Drop(ANSWER)], [what]])


def _rollovers() -> Iterator[Rehearsal]:
    for after_s in (1.0, 4.5, 7.5, 12.0, 19.0):
        expires = Expire(After(after_s + 12))
        yield Rehearsal(
            "sessions are followed in time", f"every {after_s:g} s", [], [expires], rollover_after_s=after_s
        )


def _places() -> Iterator[Rehearsal]:
    start, broken = "at the start", "after a break in the answer"
    away: Mapping[str, Fault] = {
        "refuses with 401": RefuseHandshake(401),
        "refuses with 503": RefuseHandshake(503),
        "never answers": UnansweredHandshake(),
    }
    for fault, what in away.items():
        yield Rehearsal(f"the first of two places {fault}", start, [], [what], second_place=[])
        yield Rehearsal(f"the first of two places {fault}", broken, [[Drop(ANSWER)]], [what], second_place=[])
    never = UnansweredHandshake()
    yield Rehearsal(
        "the first of two places rests, its circuit open",
        start,
        [],
        [never],
        second_place=[],
        first_rests=True,
    )
    refused = RefuseHandshake(401)
    yield Rehearsal(
        "both of two places refuse with 401", "always", [], [refused], second_place=[refused], recoverable=False
    )


def _permanent() -> Iterator[Rehearsal]:
    quota = FailResponse(1, "insufficient_quota", "You exceeded your current quota.", "insufficient_quota")
    always: Mapping[str, Fault] = {
        "401": RefuseHandshake(401),
        "403": RefuseHandshake(403),
        "429": RefuseHandshake(429),
        "500": RefuseHandshake(500),
        "unanswered handshake": UnansweredHandshake(),
        "closed with 4000": Disconnect(1, 4000, "invalid_request_error.model_not_found"),
        "no quota": quota,
    }
    for fault, what in always.items():
        yield Rehearsal(fault, "always", afterwards=[what], recoverable=False)
    for status in (401, 503):
        yield Rehearsal(
            f"{status} for good",
            "after a break in the answer",
            [[Drop(ANSWER)]],
            [RefuseHandshake(status)],
            recoverable=False,
        )
