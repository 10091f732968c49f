"""The emulated Voice API is as strict as Bandwidth's about who asks, for which call, and how."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import httpx
import pytest

from callpipe.transports.bandwidth.emulator import Caller, CallerScript, Carrier
from callpipe.transports.bandwidth.emulator.outbound import OutboundCalls
from callpipe.transports.bandwidth.emulator.script import HangUp
from callpipe.transports.bandwidth.emulator.voice_api import (
    TOKEN_PATH,
    VOICE_PATH,
    ControlledCall,
    EmulatedVoiceApi,
)
from callpipe.transports.speech.tones import ToneVoice

CALL = f"{VOICE_PATH}/accounts/99/calls/c-1"
GRANT = {"grant_type": "client_credentials"}


@dataclass
class Asked:
    api: EmulatedVoiceApi
    http: httpx.AsyncClient
    clock: list[float] = field(default_factory=lambda: [0.0])

    async def allow(self) -> None:
        """Send a token with what follows."""
        answer = await self.http.post(TOKEN_PATH, data=GRANT, auth=("us", "secret"))
        assert answer.json()["expires_in"] == 100
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    async def status(self, method: str, path: str, **body: object) -> int:
        return (await self.http.request(method, path, json=body or None)).status_code


@pytest.fixture
async def asked() -> AsyncGenerator[Asked]:
    clock = [0.0]
    api = EmulatedVoiceApi(
        account_id="99", client_id="us", client_secret="secret", token_lifetime_s=100, clock=lambda: clock[0]
    )
    api.calls["c-1"] = ControlledCall()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="http://voice") as http:
        yield Asked(api, http, clock)


@pytest.mark.parametrize(
    "auth",
    [httpx.Auth(), *(httpx.BasicAuth(*pair) for pair in (("us", "wrong"), ("them", "secret"), ("", "")))],
)
async def test_strangers_get_no_token(auth: httpx.Auth, asked: Asked) -> None:
    answer = await asked.http.post(TOKEN_PATH, data=GRANT, auth=auth)
    assert answer.status_code == 401
    assert answer.json() == {"error": "invalid_client"}
    assert asked.api.tokens_given == 0


async def test_a_call_is_placed_with_a_token_and_is_none_when_nobody_answers(asked: Asked) -> None:
    wishes: list[dict[str, str]] = []

    def carrier(wish: dict[str, str]) -> Carrier:
        wishes.append(wish)
        nobody = "http://127.0.0.1:9/nobody"
        return Carrier(initiate_url=nobody, username="carrier", password="secret", voice_api=asked.api)

    callee = Caller(CallerScript(steps=(HangUp(),)), ToneVoice())
    outbound = OutboundCalls(asked.api, carrier, callee)
    wish = {"from": "+15555550100", "to": "+15555550199"}
    path = f"{VOICE_PATH}/accounts/99/calls"
    assert await asked.status("POST", path, **wish) == 401
    assert wishes == []
    await asked.allow()
    assert await asked.status("POST", path, **wish) == 400
    assert wishes == outbound.asked == [wish]


async def test_there_is_one_grant(asked: Asked) -> None:
    answer = await asked.http.post(TOKEN_PATH, data={"grant_type": "password"}, auth=("us", "secret"))
    assert answer.status_code == 400


@pytest.mark.parametrize(("method", "path"), [("GET", CALL), ("POST", CALL), ("PUT", f"{CALL}/bxml")])
async def test_every_request_needs_a_token_that_is_good(method: str, path: str, asked: Asked) -> None:
    assert await asked.status(method, path) == 401
    asked.http.headers["Authorization"] = "Bearer guess"
    assert await asked.status(method, path) == 401
    await asked.allow()
    asked.clock[0] = 100.0
    assert await asked.status(method, path) == 401
    await asked.allow()
    asked.api.revoke_tokens()
    assert await asked.status(method, path) == 401
    assert asked.api.calls["c-1"] == ControlledCall()


async def test_a_call_goes_from_answered_to_disconnected(asked: Asked) -> None:
    await asked.allow()
    assert (await asked.http.get(CALL)).json() == {"accountId": "99", "callId": "c-1", "state": "answered"}
    assert await asked.status("POST", CALL, state="completed") == 200
    assert (await asked.http.get(CALL)).json()["state"] == "disconnected"
    assert await asked.status("POST", CALL, state="completed") == 409
    assert await asked.status("PUT", f"{CALL}/bxml") == 409


async def test_a_call_notes_what_it_is_told(asked: Asked) -> None:
    await asked.allow()
    update = {"state": "active", "redirectUrl": "https://bots.example/"}
    assert await asked.status("POST", CALL, **update) == 200
    answer = await asked.http.put(
        f"{CALL}/bxml", content="<Response/>", headers={"Content-Type": "application/xml"}
    )
    assert answer.status_code == 204
    assert asked.api.calls["c-1"] == ControlledCall("answered", ["<Response/>"], [update])


@pytest.mark.parametrize("update", [{"state": "active"}, {"state": "paused"}, {"redirectUrl": "https://x"}])
async def test_an_update_that_says_nothing_is_refused(update: dict[str, str], asked: Asked) -> None:
    await asked.allow()
    assert await asked.status("POST", CALL, **update) == 400


async def test_a_document_is_xml(asked: Asked) -> None:
    await asked.allow()
    assert await asked.status("PUT", f"{CALL}/bxml", document="<Response/>") == 415


async def test_other_accounts_and_unknown_calls_are_told_apart(asked: Asked) -> None:
    await asked.allow()
    assert await asked.status("GET", CALL.replace("99", "98")) == 403
    answer = await asked.http.get(CALL.replace("c-1", "c-2"))
    assert answer.status_code == 404
    assert set(answer.json()) == {"type", "description", "id"}
