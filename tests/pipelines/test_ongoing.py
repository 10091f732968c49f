"""Who gets a media stream, and how a call continues."""

import pytest

from callpipe.pipelines.errors import AdmissionError
from callpipe.pipelines.ongoing import (
    LATE_S,
    MAX_REMEMBERED_S,
    MAX_UNSTARTED_GENERATIONS,
    TOKEN_LIFETIME_S,
    Apologise,
    Generation,
    HangUp,
    OngoingCall,
    OngoingCalls,
)
from callpipe.pipelines.parties import Parties


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def calls(clock: Clock) -> OngoingCalls:
    return OngoingCalls(clock)


@pytest.fixture
def call(calls: OngoingCalls, clock: Clock) -> OngoingCall:
    call = calls.begin("c-1", "receptionist", Parties())
    call.open_generation(clock())
    return call


def refusal(calls: OngoingCalls, bot: str, username: str, password: str) -> str:
    with pytest.raises(AdmissionError) as refused:
        calls.admit(bot, username, password)
    return refused.value.reason


def test_the_right_token_is_let_in_and_used_up_by_its_start(calls: OngoingCalls, call: OngoingCall) -> None:
    admitted, generation = calls.admit("receptionist", "c-1.1", call.current.token)
    calls.start(admitted, generation, "c-1", "generation-1")
    assert generation.started
    assert refusal(calls, "receptionist", "c-1.1", call.current.token) == "used"


def test_two_sockets_with_one_token_get_one_stream(calls: OngoingCalls, call: OngoingCall) -> None:
    first = calls.admit("receptionist", "c-1.1", call.current.token)
    second = calls.admit("receptionist", "c-1.1", call.current.token)
    calls.start(*first, "c-1", "generation-1")
    with pytest.raises(AdmissionError, match="used"):
        calls.start(*second, "c-1", "generation-1")


def test_strangers_are_refused(calls: OngoingCalls, call: OngoingCall, clock: Clock) -> None:
    token = call.current.token
    other = calls.begin("c-2", "receptionist", Parties())
    other.open_generation(clock())
    assert refusal(calls, "receptionist", "", "") == "unknown call"
    assert refusal(calls, "receptionist", "c-9.1", token) == "unknown call"
    assert refusal(calls, "receptionist", "c-1.2", token) == "unknown call"
    assert refusal(calls, "receptionist", "c-1.0", token) == "unknown call"
    assert refusal(calls, "receptionist", "c-1.x", token) == "unknown call"
    assert refusal(calls, "echo", "c-1.1", token) == "unknown call"
    assert refusal(calls, "receptionist", "c-1.1", "wrong") == "wrong token"
    assert refusal(calls, "receptionist", "c-2.1", token) == "wrong token"
    assert refusal(calls, "receptionist", "c-1.1", call.current.webhook_password) == "wrong token"


def test_a_token_is_dead_after_a_minute(calls: OngoingCalls, call: OngoingCall, clock: Clock) -> None:
    clock.now += TOKEN_LIFETIME_S + 0.1
    assert refusal(calls, "receptionist", "c-1.1", call.current.token) == "expired"


def test_a_token_that_dies_between_handshake_and_start_is_refused(
    calls: OngoingCalls, call: OngoingCall, clock: Clock
) -> None:
    admitted = calls.admit("receptionist", "c-1.1", call.current.token)
    clock.now += TOKEN_LIFETIME_S + 0.1
    with pytest.raises(AdmissionError, match="expired"):
        calls.start(*admitted, "c-1", "generation-1")


def test_an_earlier_generations_token_is_dead(calls: OngoingCalls, call: OngoingCall, clock: Clock) -> None:
    token = call.current.token
    call.open_generation(clock())
    assert refusal(calls, "receptionist", "c-1.1", token) == "used"
    assert refusal(calls, "receptionist", "c-1.2", token) == "wrong token"


@pytest.mark.parametrize(("call_id", "name"), [("c-2", "generation-1"), ("c-1", "generation-2"), ("", "")])
def test_a_start_of_another_call_uses_nothing_up(
    call_id: str, name: str, calls: OngoingCalls, call: OngoingCall
) -> None:
    admitted = calls.admit("receptionist", "c-1.1", call.current.token)
    with pytest.raises(AdmissionError, match="another call"):
        calls.start(*admitted, call_id, name)
    assert not call.current.started


def test_a_call_that_ended_lets_nobody_in(calls: OngoingCalls, call: OngoingCall) -> None:
    calls.end("c-1")
    assert refusal(calls, "receptionist", "c-1.1", call.current.token) == "unknown call"


def test_webhooks_are_known_by_their_generations_credentials(calls: OngoingCalls, call: OngoingCall) -> None:
    password = call.current.webhook_password
    assert calls.knows_webhook("c-1", "c-1.1", password) is call.current
    assert calls.knows_webhook("c-2", "c-1.1", password) is None
    assert calls.knows_webhook("c-1", "c-1.1", "wrong") is None
    assert calls.knows_webhook("c-1", "c-1.2", password) is None
    assert calls.knows_webhook("c-1", "c-1.1", call.current.token) is None


def test_late_webhooks_of_a_call_that_is_over_are_known_for_a_while(
    calls: OngoingCalls, call: OngoingCall, clock: Clock
) -> None:
    password = call.current.webhook_password
    calls.end("c-1")
    clock.now += LATE_S
    calls.end("nobody")
    assert calls.knows_webhook("c-1", "c-1.1", password) is call.current
    assert calls.knows_webhook("c-1", "c-2.1", password) is None
    clock.now += 0.1
    calls.end("nobody")
    assert calls.knows_webhook("c-1", "c-1.1", password) is None


def test_the_first_intent_decides_what_comes_next(call: OngoingCall, clock: Clock) -> None:
    call.current.wants(HangUp())
    call.current.wants(Apologise("too late"))
    assert call.next_step(clock()) == HangUp()


def test_a_bot_that_died_without_an_intent_gets_another_generation(call: OngoingCall, clock: Clock) -> None:
    call.current.started = True
    step = call.next_step(clock())
    assert isinstance(step, Generation)
    assert step.number == 2
    assert step.token != call.generations[0].token


def test_generations_that_never_start_end_in_an_apology(call: OngoingCall, clock: Clock) -> None:
    for _ in range(MAX_UNSTARTED_GENERATIONS - 1):
        assert isinstance(call.next_step(clock()), Generation)
    assert isinstance(call.next_step(clock()), Apologise)


def test_a_start_in_between_counts_from_anew(call: OngoingCall, clock: Clock) -> None:
    assert isinstance(call.next_step(clock()), Generation)
    call.current.started = True
    for _ in range(MAX_UNSTARTED_GENERATIONS):
        assert isinstance(call.next_step(clock()), Generation)
    assert isinstance(call.next_step(clock()), Apologise)


def test_secrets_are_not_shown(call: OngoingCall) -> None:
    assert call.current.token not in repr(call)
    assert call.current.webhook_password not in repr(call)


def test_calls_nobody_ended_are_forgotten(calls: OngoingCalls, call: OngoingCall, clock: Clock) -> None:
    clock.now += MAX_REMEMBERED_S + 1
    calls.begin("c-2", "echo", Parties())
    assert call.call_id not in calls
    assert len(calls) == 1
