"""Calls that a server asks the emulated Voice API for: somebody picks up, and does as a script says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from .caller import Caller
from .carrier import Carrier
from .report import CallReport
from .voice_api import VOICE_PATH, EmulatedVoiceApi

MakeCarrier = Callable[[dict[str, str]], Carrier]
"""Makes the carrier of a call from what was asked for: ``answerUrl``, ``username``, ``password`` and so on."""


class OutboundCalls:
    """Lets an emulated Voice API place calls: POST to an account's calls.

    Args:
        voice_api: The Voice API.
        make_carrier: Makes the carrier that places a call.
        callee: Who picks up.

    Attributes:
        calls: The calls that were asked for, each done when it is over.
        asked: What was asked for.
    """

    def __init__(self, voice_api: EmulatedVoiceApi, make_carrier: MakeCarrier, callee: Caller) -> None:
        self.calls: list[asyncio.Task[CallReport]] = []
        self.asked: list[dict[str, str]] = []
        self._voice_api = voice_api
        self._make_carrier = make_carrier
        self._callee = callee
        path = f"{VOICE_PATH}/accounts/{{account_id}}/calls"
        voice_api.app.add_api_route(path, self._place, methods=["POST"])

    async def _place(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self._voice_api.accepts(token):
            return JSONResponse({"type": "authentication-error", "description": "no token"}, 401)
        wish: dict[str, str] = await request.json()
        self.asked.append(wish)
        carrier = self._make_carrier(wish)
        call = carrier.place_call(self._callee, from_=wish["from"], to=wish["to"])
        self.calls.append(asyncio.create_task(call))
        known = set(self._voice_api.calls)
        while not (found := set(self._voice_api.calls) - known):
            if self.calls[-1].done():
                return JSONResponse({"type": "validation", "description": "nobody answered"}, 400)
            await asyncio.sleep(0.001)
        return JSONResponse({"callId": found.pop()}, 201)
