"""Faults as they are written on a command line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.transports.realtime.emulator import (
    After,
    Disconnect,
    Drop,
    FailResponse,
    Fault,
    GoSilent,
    LateDelta,
    Nth,
    RefuseHandshake,
    SlowDeltas,
)
from callpipe.transports.realtime.emulator.fault_text import FAULTS, FaultTextError, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop@response.output_audio.delta#3", Drop(Nth("response.output_audio.delta", 3))),
        ("drop@response.created+0.4", Drop(After(0.4, Nth("response.created", 1)))),
        ("drop@7+1", Drop(After(1, 7))),
        ("go-silent@+5", GoSilent(After(5))),
        ("disconnect:code=1001,reason=bye@12", Disconnect(12, 1001, "bye")),
        ("refuse-handshake:status=503,retry_after_s=2", RefuseHandshake(503, 2)),
        ("slow-deltas:extra_ms=800", SlowDeltas(800)),
        ("fail-response:number=2,code=rate_limit_exceeded", FailResponse(2, "rate_limit_exceeded")),
        ("late-delta", LateDelta()),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dorp@3", "'dorp@3' is no fault; there are disconnect, drop, duplicate, "),
        ("drop", "'drop': drop needs at; write it as drop@MOMENT"),
        ("drop:hard=1@3", "'drop:hard=1@3': drop has no hard; write it as drop@MOMENT"),
        ("drop@soon!", "'drop@soon!': 'soon!' is no moment; write an event such as response.created#2"),
        ("refuse-handshake:status=no", "status is wrong: input should be a valid integer, unable to parse"),
        ("late:delay_s=1@+3", "late:delay_s=1@+3': at is wrong"),
    ],
)
def test_what_is_no_fault_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(FaultTextError) as refused:
        parse_fault(text)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_fault_has_a_name() -> None:
    assert len(FAULTS) == 16
    assert {"unanswered-handshake", "send-invalid-json"} <= FAULTS.keys()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30) | st.tuples(st.sampled_from(sorted(FAULTS)), st.text(max_size=20)).map("".join))
def test_whatever_is_written_only_the_documented_error_escapes(text: str) -> None:
    try:
        parse_fault(text)
    except FaultTextError:
        return
