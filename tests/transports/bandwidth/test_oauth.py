"""One token serves every caller until shortly before it expires."""

from __future__ import annotations

import asyncio
import base64
import gc
from collections.abc import Awaitable, Callable, Sequence

import httpx
import pytest

from callpipe.transports.bandwidth.errors import (
    VoiceApiAnswerError,
    VoiceApiCredentialsError,
    VoiceApiError,
    VoiceApiUnavailableError,
)
from callpipe.transports.bandwidth.oauth import AccessTokens
from callpipe.transports.bandwidth.retrying_http import RetryingHttp
from callpipe.transports.errors import Fault
from callpipe.transports.virtual_time import run_virtual

URL = "https://tokens.example/oauth2/token"


class Endpoint:
    """A token endpoint that takes its time and numbers its tokens."""

    def __init__(self, takes_s: float, lives_s: float) -> None:
        self.asked: list[httpx.Request] = []
        self.answers: list[httpx.Response] = []
        self._takes_s = takes_s
        self._lives_s = lives_s

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        await asyncio.sleep(self._takes_s)
        if self.answers:
            return self.answers.pop(0)
        return httpx.Response(
            200, json={"access_token": f"token {len(self.asked)}", "expires_in": self._lives_s}
        )


def with_tokens(
    test: Callable[[AccessTokens, Endpoint], Awaitable[None]], *, takes_s: float = 0.2, lives_s: float = 3600
) -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        endpoint = Endpoint(takes_s, lives_s)
        async with httpx.AsyncClient(transport=httpx.MockTransport(endpoint)) as http:
            tokens = AccessTokens(
                client_id="us",
                client_secret="sécret:",
                token_url=URL,
                http=RetryingHttp(http, clock),
                clock=clock,
            )
            await test(tokens, endpoint)
            await tokens.aclose()

    run_virtual(main())


async def ask(tokens: AccessTokens, callers: int = 8) -> Sequence[str | BaseException]:
    asking = (tokens.token(deadline_s=5) for _ in range(callers))
    return await asyncio.gather(*asking, return_exceptions=True)


def test_callers_at_the_same_time_share_one_request() -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        assert await ask(tokens) == ["token 1"] * 8
        assert await ask(tokens) == ["token 1"] * 8
        (request,) = endpoint.asked
        assert (request.method, str(request.url)) == ("POST", URL)
        assert request.content == b"grant_type=client_credentials"
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert (
            base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")) == "us:sécret:".encode()
        )

    with_tokens(test)


def test_callers_at_the_same_time_share_one_refusal_and_later_ones_ask_again() -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        endpoint.answers = [httpx.Response(401, json={"error": "invalid_client"})]
        for refused in await ask(tokens):
            assert isinstance(refused, VoiceApiCredentialsError)
            assert (refused.fault, refused.status, refused.request) == (Fault.OPERATOR, 401, "token")
        assert len(endpoint.asked) == 1
        assert await ask(tokens, 1) == ["token 2"]

    with_tokens(test)


@pytest.mark.parametrize(("lives_s", "good_s"), [(3600, 3540), (120, 60), (60, 30)])
def test_a_token_is_renewed_before_it_expires(lives_s: float, good_s: float) -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        await ask(tokens)
        await asyncio.sleep(good_s - 0.3)  # it lives from when it was asked for, 0.2 s before it came
        assert await ask(tokens) == ["token 1"] * 8
        await asyncio.sleep(0.2)
        assert await ask(tokens) == ["token 2"] * 8

    with_tokens(test, lives_s=lives_s)


def test_a_token_without_a_lifetime_is_used_once() -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        endpoint.answers = [httpx.Response(200, json={"access_token": "brief"})]
        assert await ask(tokens) == ["brief"] * 8
        assert await ask(tokens) == ["token 2"] * 8

    with_tokens(test)


def test_a_refused_token_is_forgotten_but_not_its_successor() -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        await ask(tokens)
        tokens.refused("token 1")
        assert await ask(tokens) == ["token 2"] * 8
        tokens.refused("token 1")
        assert await ask(tokens) == ["token 2"] * 8

    with_tokens(test)


def test_a_caller_who_leaves_takes_no_token_from_the_others() -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        leaving = asyncio.create_task(tokens.token(deadline_s=5))
        staying = asyncio.create_task(tokens.token(deadline_s=5))
        await asyncio.sleep(0.1)
        leaving.cancel()
        assert await staying == "token 1"

    with_tokens(test)


def test_a_caller_waits_no_longer_than_it_said() -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        with pytest.raises(VoiceApiUnavailableError) as late:
            await tokens.token(deadline_s=0.5)
        assert late.value.fault is Fault.CARRIER
        assert asyncio.get_running_loop().time() == 0.5
        assert await tokens.token(deadline_s=5) == "token 1"
        assert len(endpoint.asked) == 1

    with_tokens(test, takes_s=1.0)


def test_a_refusal_that_nobody_waits_for_any_more_is_no_trouble() -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        unseen: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        endpoint.answers = [httpx.Response(401)]
        with pytest.raises(VoiceApiUnavailableError):
            await tokens.token(deadline_s=0.5)
        await asyncio.sleep(1.0)
        gc.collect()
        assert unseen == []
        assert await tokens.token(deadline_s=5) == "token 2"

    with_tokens(test, takes_s=1.0)


def test_the_endpoint_is_asked_again_while_it_is_unavailable() -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        endpoint.answers = [httpx.Response(503), httpx.Response(429, headers={"Retry-After": "1"})]
        assert await ask(tokens) == ["token 3"] * 8
        assert asyncio.get_running_loop().time() == pytest.approx(3 * 0.2 + 0.1 + 1.0)

    with_tokens(test)


def test_an_endpoint_that_stays_away_is_given_up() -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        with pytest.raises(VoiceApiUnavailableError):
            await tokens.token(deadline_s=60)
        assert asyncio.get_running_loop().time() <= 10.0

    with_tokens(test, takes_s=9.0)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"token", b"[]", b"{}", b'{"access_token": ""}', b'{"access_token": 1}',
        b'{"access_token": "t", "expires_in": -1}', b'{"access_token": "t", "expires_in": NaN}',
    ],
)  # fmt: skip
def test_an_answer_that_can_not_be_read_is_the_carriers_fault(body: bytes) -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        endpoint.answers = [httpx.Response(200, content=body)]
        (unreadable,) = await ask(tokens, 1)
        assert isinstance(unreadable, VoiceApiAnswerError)
        assert unreadable.fault is Fault.CARRIER

    with_tokens(test)


def test_no_error_and_no_repr_shows_the_secret() -> None:
    async def test(tokens: AccessTokens, endpoint: Endpoint) -> None:
        endpoint.answers = [httpx.Response(400, text="sécret:")]
        (refused,) = await ask(tokens, 1)
        assert isinstance(refused, VoiceApiError)
        (token,) = await ask(tokens, 1)
        shown = repr(tokens) + repr(vars(tokens)) + str(refused) + repr(refused)
        assert "sécret" not in shown
        assert str(token) not in shown

    with_tokens(test)
