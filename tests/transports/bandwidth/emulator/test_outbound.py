"""Calls that a server places by the emulated Voice API."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httpx
import pytest

from callpipe.transports.bandwidth.emulator.caller import Caller
from callpipe.transports.bandwidth.emulator.carrier import Carrier
from callpipe.transports.bandwidth.emulator.outbound import OutboundCalls
from callpipe.transports.bandwidth.emulator.script import parse_script
from callpipe.transports.bandwidth.emulator.voice_api import (
    TOKEN_PATH,
    VOICE_PATH,
    ControlledCall,
    EmulatedVoiceApi,
)

CALLS = f"{VOICE_PATH}/accounts/99/calls"
WISH = {"from": "+15550100", "to": "+15550101", "answerUrl": "https://bot.example/initiate"}


class Line:
    """A carrier whose callee picks up after a moment, or never."""

    def __init__(self, api: EmulatedVoiceApi, *, answered: bool) -> None:
        self._api = api
        self._answered = answered
        self.placed: list[tuple[str, str]] = []

    async def place_call(self, _callee: Caller, *, from_: str, to: str) -> None:
        self.placed.append((from_, to))
        await asyncio.sleep(0.01)
        if self._answered:
            self._api.calls["c-2"] = ControlledCall()


@pytest.mark.parametrize(
    ("token", "answered", "status", "told"),
    [
        ("Bearer {}", True, 201, {"callId": "c-2"}),
        ("Bearer {}", False, 400, {"type": "validation", "description": "nobody answered"}),
        ("Bearer guess", True, 401, {"type": "authentication-error", "description": "no token"}),
        ("Basic {}", True, 401, {"type": "authentication-error", "description": "no token"}),
        ("", True, 401, {"type": "authentication-error", "description": "no token"}),
    ],
)
async def test_a_call_is_placed_for_who_has_a_token(
    token: str, answered: bool, status: int, told: dict[str, Any]
) -> None:
    api = EmulatedVoiceApi(account_id="99", client_id="us", client_secret="secret")
    api.calls["c-1"] = ControlledCall()
    line = Line(api, answered=answered)
    outbound = OutboundCalls(api, lambda _wish: cast("Carrier", line), Caller(parse_script("steps: [hang_up]")))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="http://voice") as http:
        given = await http.post(TOKEN_PATH, data={"grant_type": "client_credentials"}, auth=("us", "secret"))
        headers = {"Authorization": token.format(given.json()["access_token"])}
        answer = await http.post(CALLS, json=WISH, headers=headers)

    assert (answer.status_code, answer.json()) == (status, told)
    assert outbound.asked == ([] if status == 401 else [WISH])
    assert line.placed == ([] if status == 401 else [("+15550100", "+15550101")])
