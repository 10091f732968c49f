"""Calls are changed by REST within a deadline, and what can't be done is told apart by whose affair it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from callpipe.transports.bandwidth.emulator.voice_api import (
    TOKEN_PATH,
    VOICE_PATH,
    ControlledCall,
    EmulatedVoiceApi,
)
from callpipe.transports.bandwidth.errors import (
    CallOverError,
    InvalidIdError,
    VoiceApiAnswerError,
    VoiceApiCredentialsError,
    VoiceApiError,
    VoiceApiRefusedError,
    VoiceApiUnavailableError,
)
from callpipe.transports.bandwidth.voice_api import VoiceApi
from callpipe.transports.errors import Fault
from callpipe.transports.virtual_time import run_virtual

HOST = "https://voice.example"
SECRET = "not-to-be-seen"
DOCUMENT = "<Response><SpeakSentence>Grüße &amp; a word</SpeakSentence><Hangup/></Response>"

Trouble = httpx.Response | Exception | float
"""What comes in place of an answer: another one, a failure, or a delay in seconds before the right one."""


class Line(httpx.AsyncBaseTransport):
    """The way to the emulated Voice API, with trouble on it: each request to a call takes the next."""

    def __init__(self, api: EmulatedVoiceApi) -> None:
        self.trouble: list[Trouble] = []
        self.token_takes_s = 0.0
        self.sent: list[tuple[float, httpx.Request]] = []
        self._api = httpx.ASGITransport(api.app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == TOKEN_PATH:
            await asyncio.sleep(self.token_takes_s)
        else:
            self.sent.append((round(asyncio.get_running_loop().time(), 3), request))
            trouble = self.trouble.pop(0) if self.trouble else None
            if isinstance(trouble, httpx.Response):
                return trouble
            if isinstance(trouble, Exception):
                raise trouble
            await asyncio.sleep(trouble or 0.0)
        return await self._api.handle_async_request(request)

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.sent]


class Kit:
    def __init__(self, **changed: str) -> None:
        clock = asyncio.get_running_loop().time
        self.api = EmulatedVoiceApi(account_id="99", client_id="us", client_secret=SECRET, clock=clock)
        self.call = self.api.calls["c-1"] = ControlledCall()
        self.line = Line(self.api)
        self.http = httpx.AsyncClient(transport=self.line)
        given = {
            "account_id": "99",
            "client_id": "us",
            "client_secret": SECRET,
            "voice_url": HOST + VOICE_PATH,
            "token_url": HOST + TOKEN_PATH,
        }
        self.voice = VoiceApi(**(given | changed), http=self.http, clock=clock)


def in_kit(test: Callable[[Kit], Awaitable[None]], **changed: str) -> None:
    async def main() -> None:
        kit = Kit(**changed)
        await test(kit)
        await kit.voice.aclose()
        assert not kit.http.is_closed
        await kit.http.aclose()

    run_virtual(main())


async def refusal(kit: Kit, *trouble: Trouble, deadline_s: float = 5.0) -> VoiceApiError:
    kit.line.trouble += trouble
    with pytest.raises(VoiceApiError) as refused:
        await kit.voice.replace_bxml("c-1", DOCUMENT, deadline_s=deadline_s)
    return refused.value


def test_a_call_is_hung_up_once() -> None:
    async def test(kit: Kit) -> None:
        assert await kit.voice.call_state("c-1") == "answered"
        assert await kit.voice.hang_up("c-1")
        assert kit.call.state == await kit.voice.call_state("c-1") == "disconnected"
        assert not await kit.voice.hang_up("c-1")
        assert not await kit.voice.hang_up("c-2")
        assert kit.api.tokens_given == 1

    in_kit(test)


def test_bxml_is_replaced_as_it_is() -> None:
    async def test(kit: Kit) -> None:
        await kit.voice.replace_bxml("c-1", DOCUMENT)
        assert kit.call.documents == [DOCUMENT]
        assert kit.call.state == "answered"

    in_kit(test)


def test_a_call_is_sent_to_another_url() -> None:
    async def test(kit: Kit) -> None:
        await kit.voice.redirect("c-1", "https://bots.example/next", username="u", password="p")
        await kit.voice.redirect("c-1", "https://bots.example/last")
        assert kit.call.redirects == [
            {"state": "active", "redirectUrl": "https://bots.example/next", "username": "u", "password": "p"},
            {"state": "active", "redirectUrl": "https://bots.example/last"},
        ]

    in_kit(test)


@pytest.mark.parametrize(("call_id", "status"), [("c-unknown", 404), ("c-over", 409)])
def test_a_call_that_is_over_can_not_be_changed(call_id: str, status: int) -> None:
    async def test(kit: Kit) -> None:
        kit.api.calls["c-over"] = ControlledCall("disconnected")
        for change in (
            kit.voice.redirect(call_id, "https://bots.example/"),
            kit.voice.replace_bxml(call_id, ""),
        ):
            with pytest.raises(CallOverError) as over:
                await change
            assert (over.value.call_id, over.value.status) == (call_id, status)

    in_kit(test)


def test_the_state_of_an_unknown_call_can_not_be_told() -> None:
    async def test(kit: Kit) -> None:
        with pytest.raises(CallOverError):
            await kit.voice.call_state("c-2")

    in_kit(test)


def test_a_state_that_is_new_is_told() -> None:
    async def test(kit: Kit) -> None:
        kit.call.state = "parked"
        assert await kit.voice.call_state("c-1") == "parked"

    in_kit(test)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"state": 1}', b"\xff"])
def test_a_state_that_can_not_be_read_is_the_carriers_fault(body: bytes) -> None:
    async def test(kit: Kit) -> None:
        kit.line.trouble = [httpx.Response(200, content=body)]
        with pytest.raises(VoiceApiAnswerError) as unreadable:
            await kit.voice.call_state("c-1")
        assert unreadable.value.fault is Fault.CARRIER

    in_kit(test)


@pytest.mark.parametrize(
    "call_id",
    ["", ".", "..", "../calls", "a/b", "a%2Fb", "a?b", "a#b", "a b", "a\n", "-a", "ä", "a\x00", "a" * 129],
)
def test_what_is_no_id_reaches_no_url(call_id: str) -> None:
    async def test(kit: Kit) -> None:
        with pytest.raises(InvalidIdError) as refused:
            await kit.voice.hang_up(call_id)
        assert refused.value.what == "call id"
        assert not call_id or f"{call_id!r}" not in str(refused.value)
        assert kit.line.sent == []

    in_kit(test)


def test_an_id_is_encoded_in_the_url() -> None:
    async def test(kit: Kit) -> None:
        await kit.voice.hang_up("c:1@x")
        assert kit.line.sent[0][1].url.raw_path == b"/api/v2/accounts/99/calls/c%3A1%40x"

    in_kit(test)


def test_an_account_id_is_checked_at_once() -> None:
    with pytest.raises(InvalidIdError, match="account id"):
        VoiceApi(account_id="../1", client_id="", client_secret="", voice_url=HOST, token_url=HOST)


@pytest.mark.parametrize("trouble", [httpx.Response(500), httpx.Response(503), httpx.ConnectError("no")])
def test_a_request_is_sent_again_while_the_carrier_is_unavailable(trouble: Trouble) -> None:
    async def test(kit: Kit) -> None:
        kit.line.trouble = [trouble] * 3
        await kit.voice.replace_bxml("c-1", DOCUMENT)
        assert kit.line.times == [0.0, 0.1, 0.3, 0.7]
        assert [request.content.decode() for _, request in kit.line.sent] == [DOCUMENT] * 4
        assert kit.call.documents == [DOCUMENT]

    in_kit(test)


def test_nothing_outlives_the_deadline() -> None:
    async def test(kit: Kit) -> None:
        failure = await refusal(kit, httpx.Response(503), *[60.0] * 9, deadline_s=3.0)
        assert isinstance(failure, VoiceApiUnavailableError)
        assert (failure.fault, failure.status, failure.request) == (Fault.CARRIER, None, "replace_bxml")
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)

    in_kit(test)


def test_the_token_takes_its_time_from_the_same_deadline() -> None:
    async def test(kit: Kit) -> None:
        kit.line.token_takes_s = 1.5
        await refusal(kit, httpx.Response(401), *[60.0] * 9, deadline_s=4.0)
        assert kit.line.times == [1.5, 3.0]
        assert asyncio.get_running_loop().time() == pytest.approx(4.0)

    in_kit(test)


def test_a_wish_to_wait_beyond_the_deadline_ends_it_at_once() -> None:
    async def test(kit: Kit) -> None:
        failure = await refusal(kit, httpx.Response(429, headers={"Retry-After": "30"}))
        assert isinstance(failure, VoiceApiUnavailableError)
        assert (failure.status, failure.retry_after_s) == (429, 30.0)
        assert asyncio.get_running_loop().time() == 0.0

    in_kit(test)


def test_a_token_that_is_refused_is_renewed_once() -> None:
    async def test(kit: Kit) -> None:
        await kit.voice.call_state("c-1")
        kit.api.revoke_tokens()
        assert await kit.voice.hang_up("c-1")
        assert kit.api.tokens_given == 2

    in_kit(test)


def test_requests_that_are_refused_together_share_the_new_token() -> None:
    async def test(kit: Kit) -> None:
        await kit.voice.call_state("c-1")
        kit.api.revoke_tokens()
        kit.line.trouble = [0.1, 0.1, 0.1, 0.3]
        await asyncio.gather(*(kit.voice.call_state("c-1") for _ in range(4)))
        assert kit.api.tokens_given == 2

    in_kit(test)


def test_a_new_token_that_is_refused_too_is_the_operators_fault() -> None:
    async def test(kit: Kit) -> None:
        failure = await refusal(kit, httpx.Response(401), httpx.Response(401))
        assert isinstance(failure, VoiceApiCredentialsError)
        assert (failure.fault, failure.status) == (Fault.OPERATOR, 401)
        assert kit.api.tokens_given == len(kit.line.sent) == 2

    in_kit(test)


def test_another_account_is_the_operators_fault() -> None:
    async def test(kit: Kit) -> None:
        failure = await refusal(kit)
        assert isinstance(failure, VoiceApiCredentialsError)
        assert (failure.fault, failure.status) == (Fault.OPERATOR, 403)

    in_kit(test, account_id="98")


@pytest.mark.parametrize("status", [302, 400, 405, 415])
def test_what_the_carrier_does_not_accept_is_not_sent_again(status: int) -> None:
    async def test(kit: Kit) -> None:
        failure = await refusal(kit, httpx.Response(status, headers={"Location": "https://else.example/"}))
        assert isinstance(failure, VoiceApiRefusedError)
        assert (failure.fault, failure.status) == (Fault.CALLPIPE, status)
        assert len(kit.line.sent) == 1

    in_kit(test)


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(status, text=f"{SECRET} {DOCUMENT}")
        for status in (302, 400, 401, 403, 404, 409, 429, 500)
    ],
)
def test_no_failure_shows_a_secret_or_what_was_sent(trouble: httpx.Response, logged: list[str]) -> None:
    async def test(kit: Kit) -> None:
        failure = await refusal(kit, *[trouble] * 99)
        bearer = kit.line.sent[0][1].headers["Authorization"].removeprefix("Bearer ")
        for told in (str(failure), repr(failure), repr(kit.voice), repr(vars(kit.voice)), *logged):
            assert SECRET not in told
            assert bearer not in told
            assert "SpeakSentence" not in told

    in_kit(test)


def test_a_client_of_its_own_is_closed_with_it() -> None:
    voice = VoiceApi(account_id="1", client_id="", client_secret="", voice_url=HOST, token_url=HOST)

    async def use() -> None:
        await voice.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await voice.hang_up("c-1")

    run_virtual(use())


async def placed(kit: Kit) -> str:
    return await kit.voice.create_call(
        from_="+15555550100", to="+15555550199", application_id="app", username="us", password=SECRET,
        answer_url="https://bots.example/answer", disconnect_url="https://bots.example/disconnect",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("trouble", "error", "status"),
    [
        (httpx.Response(401), VoiceApiCredentialsError, 401),
        (httpx.Response(403), VoiceApiCredentialsError, 403),
        (httpx.Response(429), VoiceApiUnavailableError, 429),
        (httpx.Response(503), VoiceApiUnavailableError, 503),
        (httpx.Response(400), VoiceApiRefusedError, 400),
        (httpx.Response(302, headers={"Location": HOST}), VoiceApiRefusedError, 302),
        (httpx.Response(201, json={"callId": 7}), VoiceApiAnswerError, 201),
        (httpx.Response(201, content=b"<html>"), VoiceApiAnswerError, 201),
        (httpx.ConnectError("down"), VoiceApiUnavailableError, None),
        (60.0, VoiceApiUnavailableError, None),
    ],
)
def test_a_call_that_can_not_be_placed_is_not_asked_for_twice(
    trouble: Trouble, error: type[VoiceApiError], status: int | None
) -> None:
    async def test(kit: Kit) -> None:
        kit.line.trouble.append(trouble)
        with pytest.raises(error) as refused:
            await placed(kit)
        assert refused.value.status == status
        assert len(kit.line.sent) == 1, "asked for again, it might be two calls"
        assert "5555550" not in str(refused.value)

    in_kit(test)
