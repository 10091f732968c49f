"""A client is let in, or refused with the status that says why."""

from http import HTTPStatus

import pytest

from callpipe.transports.realtime.emulator.admission import Admission, Admitted, Handshake
from callpipe.transports.realtime.emulator.faults import (
    Disconnect,
    RefuseHandshake,
    SlowHandshake,
    UnansweredHandshake,
)

TARGET = "/v1/realtime?model=m"
KEY = {"authorization": "Bearer secret"}


@pytest.mark.parametrize(
    ("target", "headers", "live_sessions", "judged"),
    [
        (TARGET, KEY, 0, Admitted("m")),
        (TARGET, {"authorization": "bearer secret"}, 1, Admitted("m")),
        ("wss://a.example/v1/realtime?intent=x&model=m", KEY, 0, Admitted("m")),
        (TARGET, KEY, 2, HTTPStatus.TOO_MANY_REQUESTS),
        (TARGET, KEY, 3, HTTPStatus.TOO_MANY_REQUESTS),
        ("/v1/realtime", KEY, 0, HTTPStatus.BAD_REQUEST),
        ("/v1/chat?model=m", KEY, 0, HTTPStatus.NOT_FOUND),
        (TARGET, {}, 0, HTTPStatus.UNAUTHORIZED),
        (TARGET, {"authorization": "Bearer wrong"}, 0, HTTPStatus.UNAUTHORIZED),
        (TARGET, {"authorization": "Basic secret"}, 0, HTTPStatus.UNAUTHORIZED),
        (TARGET, {"authorization": "secret"}, 0, HTTPStatus.UNAUTHORIZED),
    ],
)
def test_a_client_is_judged_by_what_it_asks_for(
    target: str, headers: dict[str, str], live_sessions: int, judged: Admitted | HTTPStatus
) -> None:
    assert Admission(api_key="secret", max_sessions=2).judge(target, headers, live_sessions) == judged


def test_without_a_key_everybody_is_let_in() -> None:
    assert Admission().judge(TARGET, {}, 63) == Admitted("m")
    assert Admission().judge(TARGET, {}, 64) == HTTPStatus.TOO_MANY_REQUESTS


def test_a_client_of_the_beta_is_let_in_to_be_closed() -> None:
    admitted = Admission().judge(TARGET, {"openai-beta": "realtime=v1"}, 0)
    assert isinstance(admitted, Admitted)
    (fault,) = admitted.faults
    assert isinstance(fault, Disconnect)
    assert (fault.at, fault.code) == (1, 4000)


def test_a_handshake_is_as_its_faults_make_it() -> None:
    refusal = RefuseHandshake(status=503)
    assert Handshake.under([]) == Handshake(delay_s=0.0, answered=True, refusal=None)
    assert Handshake.under([SlowHandshake(0.5), refusal, SlowHandshake(1.0)]) == Handshake(1.5, True, refusal)
    assert not Handshake.under([UnansweredHandshake()]).answered
