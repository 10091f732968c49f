"""Which endpoint is tried, when it rests, and how long a call keeps trying."""

from __future__ import annotations

import pytest

from callpipe.transports.realtime.endpoints import Attempts, Breaker, Breakers, Choice, RealtimeEndpoint

FAILURE_WINDOW_S = 30.0
MAX_ATTEMPTS = 5
MAX_SEARCH_S = 12.0
PROBE_DEADLINE_S = 15.0
REFILL_S = 30.0
REST_S = 15.0
TRIPPING_FAILURES = 5

OPENAI = RealtimeEndpoint("https://api.openai.com/v1", "sk-secret")
AZURE = RealtimeEndpoint(
    "https://mine.openai.azure.com/openai/v1", "azure-secret", model="my deployment", key_header="api-key"
)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?model=m"),
        ("http://127.0.0.1:8080/v1/", "ws://127.0.0.1:8080/v1/realtime?model=m"),
        ("ws://127.0.0.1:8080/v1", "ws://127.0.0.1:8080/v1/realtime?model=m"),
        ("wss://x.openai.azure.com/openai/v1", "wss://x.openai.azure.com/openai/v1/realtime?model=m"),
    ],
)
def test_the_address_may_be_written_for_http_or_websockets(base_url: str, url: str) -> None:
    assert RealtimeEndpoint(base_url, "key").url("m") == url


def test_a_models_name_does_not_leave_its_place() -> None:
    assert RealtimeEndpoint("https://a/v1", "key").url("m&x=1#y").endswith("?model=m%26x%3D1%23y")


def test_each_kind_of_endpoint_gets_its_key_as_it_wants_it_and_shows_it_nowhere() -> None:
    assert OPENAI.headers == {"Authorization": "Bearer sk-secret"}
    assert AZURE.headers == {"api-key": "azure-secret"}
    assert "secret" not in repr([OPENAI, AZURE])
    assert AZURE.host == "mine.openai.azure.com"


def tripped(at: float = 100.0) -> Breaker:
    breaker = Breaker()
    for _ in range(TRIPPING_FAILURES):
        breaker.failed(at)
    return breaker


def test_a_few_failures_rest_nobody() -> None:
    breaker = Breaker()
    for number in range(TRIPPING_FAILURES * 3):
        breaker.failed(100.0 + number * FAILURE_WINDOW_S)

    assert breaker.allows(100.0 + TRIPPING_FAILURES * 3 * FAILURE_WINDOW_S)


@pytest.mark.parametrize(("first_at", "rests"), [(100.0, True), (99.9, False)])
def test_the_last_five_failures_count_when_they_came_within_half_a_minute(first_at: float, rests: bool) -> None:
    breaker = Breaker()
    for at in (first_at, 101.0, 102.0, 103.0):
        breaker.failed(at)
    assert breaker.allows(103.0)
    breaker.failed(130.0)

    assert breaker.allows(130.0) is not rests


def test_failures_in_a_row_rest_an_endpoint_and_then_one_call_tries_it() -> None:
    breaker = tripped()

    assert not breaker.allows(100.0)
    assert not breaker.allows(100.0 + REST_S - 0.01)
    assert [breaker.allows(100.0 + REST_S) for _ in range(3)] == [True, False, False]


def test_a_try_that_fails_rests_it_again_and_one_that_succeeds_lets_everybody_in() -> None:
    breaker = tripped()
    assert breaker.allows(100.0 + REST_S)
    breaker.failed(101.0 + REST_S)
    assert not breaker.allows(100.0 + 2 * REST_S)

    assert breaker.allows(101.0 + 2 * REST_S)
    breaker.succeeded()

    assert [breaker.allows(102.0 + 2 * REST_S) for _ in range(3)] == [True, True, True]


def test_a_try_nobody_heard_of_again_keeps_the_others_away_for_a_while_only() -> None:
    breaker = tripped()
    assert breaker.allows(100.0 + REST_S)

    assert not breaker.allows(100.0 + REST_S + PROBE_DEADLINE_S - 0.01)
    assert breaker.allows(100.0 + REST_S + PROBE_DEADLINE_S)


def test_calls_share_what_they_learn_of_an_endpoint() -> None:
    breakers = Breakers()
    one, other = Choice([OPENAI, AZURE], breakers), Choice([OPENAI, AZURE], breakers)
    for _ in range(TRIPPING_FAILURES):
        one.failed(OPENAI, 100.0)

    assert list(other.round(100.0)) == [AZURE]
    assert list(other.round(100.0 + REST_S)) == [OPENAI, AZURE]
    one.succeeded(OPENAI)
    assert list(other.round(100.0)) == [OPENAI, AZURE]


def test_an_endpoint_that_is_not_reached_in_a_round_is_not_claimed() -> None:
    breakers = Breakers()
    choice = Choice([OPENAI, AZURE], breakers)
    for _ in range(TRIPPING_FAILURES):
        choice.failed(AZURE, 100.0)

    assert next(choice.round(100.0 + REST_S)) is OPENAI

    assert breakers.of(AZURE).allows(100.0 + REST_S)


def test_when_all_endpoints_rest_the_preferred_one_is_tried_all_the_same() -> None:
    choice = Choice([OPENAI, AZURE], Breakers())
    for endpoint in (OPENAI, AZURE):
        for _ in range(TRIPPING_FAILURES):
            choice.failed(endpoint, 100.0)

    assert list(choice.round(100.0)) == [OPENAI]


def test_an_endpoint_that_refuses_a_call_for_good_is_not_asked_again_by_it() -> None:
    choice = Choice([OPENAI, AZURE], Breakers())
    choice.refused(OPENAI)

    assert list(choice.round(0.0)) == [AZURE]
    assert not choice.exhausted
    choice.refused(AZURE)
    assert choice.exhausted
    assert list(choice.round(0.0)) == []


def test_a_call_without_an_endpoint_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="needs an endpoint"):
        Choice([], Breakers())


def test_delays_grow_with_jitter_and_end() -> None:
    attempts = Attempts(chance=lambda: 1.0)
    assert attempts.begin(100.0)

    delays = [attempts.again_in(100.0) for _ in range(MAX_ATTEMPTS)]

    assert delays == [0.25, 0.5, 1.0, 2.0, None]


def test_jitter_takes_up_to_half_of_a_delay() -> None:
    attempts = Attempts(chance=lambda: 0.0)
    attempts.begin(100.0)

    assert attempts.again_in(100.0) == 0.125


def test_an_endpoint_that_asks_for_time_gets_it_unless_it_is_too_long() -> None:
    attempts = Attempts()
    attempts.begin(100.0)

    assert attempts.again_in(100.0, retry_after_s=3.0) == 3.0
    assert attempts.again_in(103.0, retry_after_s=MAX_SEARCH_S) is None


@pytest.mark.parametrize(("now", "retry_in_s"), [(109.0, 3.0), (109.1, None)])
def test_a_search_ends_12_s_after_it_began(now: float, retry_in_s: float | None) -> None:
    attempts = Attempts()
    attempts.begin(50.0)
    attempts.begin(100.0)

    assert attempts.again_in(now, retry_after_s=3.0) == retry_in_s


def test_each_search_begins_with_the_shortest_delay() -> None:
    attempts = Attempts(chance=lambda: 1.0)
    attempts.begin(100.0)
    attempts.again_in(100.0)
    attempts.found(101.0)
    attempts.begin(200.0)

    assert attempts.again_in(200.0) == 0.25


@pytest.mark.parametrize(("lasted_s", "again"), [(29.9, False), (30.0, True)])
def test_a_session_that_lasted_half_a_minute_gives_one_attempt_back(lasted_s: float, again: bool) -> None:
    attempts = Attempts()
    for _ in range(MAX_ATTEMPTS):
        attempts.begin(100.0)
    attempts.found(100.0)

    assert attempts.begin(100.0 + lasted_s) is again


def test_sessions_that_do_not_last_use_the_attempts_up() -> None:
    attempts = Attempts()
    now = 100.0
    begun = 0
    while attempts.begin(now):
        attempts.found(now)
        now += 1
        begun += 1

    assert begun == MAX_ATTEMPTS


def test_a_session_that_lasts_gives_attempts_back_up_to_the_bound() -> None:
    attempts = Attempts()
    now = 100.0
    for _ in range(100):
        assert attempts.begin(now)
        attempts.found(now)
        now += REFILL_S
    attempts.begin(now)
    attempts.found(now)
    now += 100 * REFILL_S

    begun = 0
    while attempts.begin(now):
        attempts.found(now)
        begun += 1
    assert begun == MAX_ATTEMPTS
