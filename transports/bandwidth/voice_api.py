"""Bandwidth's Voice API: changes calls over REST, whatever BXML they are in.

Source of paths, bodies and statuses: the official SDK's specification of ``/accounts/{account}/calls/{call}``.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

import httpx
from pydantic import BaseModel, Field, ValidationError

from .errors import (
    CallOverError,
    InvalidIdError,
    VoiceApiAnswerError,
    VoiceApiCredentialsError,
    VoiceApiRefusedError,
    VoiceApiUnavailableError,
)
from .oauth import AccessTokens, Bearer
from .retrying_http import RetryingHttp

DEADLINE_S = 5.0
"""How long a request may take, its token and its repetitions included, unless told otherwise."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@-]{0,127}")


class _CallState(BaseModel):
    state: str


class _CreatedCall(BaseModel):
    call_id: str = Field(alias="callId")


class VoiceApi:
    """Changes an account's calls.

    Every request may be sent again while the carrier is unavailable (no answer, 429, 5xx), within its deadline;
    each of them, done twice, leaves the call as once. A 401 is followed by one more attempt with a new token.
    Every method raises:

    - `InvalidIdError`: The call id can't be one.
    - `VoiceApiCredentialsError`: The carrier refuses the client's credentials or the account.
    - `VoiceApiUnavailableError`: The deadline came first.
    - `VoiceApiRefusedError`: The carrier does not accept what was sent.
    - `VoiceApiAnswerError`: Its answer can't be read.

    Args:
        account_id: The account's number.
        client_id: The OAuth client's id.
        client_secret: Its secret.
        voice_url: The Voice API, without a slash at the end.
        token_url: Where access tokens come from.
        http: Sends the requests and stays the caller's; None makes one, which reads the system's certificates
            and blocks while it does.
        clock: Monotonic seconds.

    Raises:
        InvalidIdError: The account id can't be one.
    """

    def __init__(
        self,
        *,
        account_id: str,
        client_id: str,
        client_secret: str,
        voice_url: str,
        token_url: str,
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls_url = f"{voice_url}/accounts/{_in_url(account_id, 'account id')}/calls"
        self._client = http or httpx.AsyncClient()
        self._closes_client = http is None
        self._http = RetryingHttp(self._client, clock)
        self._tokens = AccessTokens(
            client_id=client_id, client_secret=client_secret, token_url=token_url, http=self._http, clock=clock
        )
        self._clock = clock

    def __repr__(self) -> str:
        return f"VoiceApi({self._calls_url!r})"

    async def create_call(
        self,
        *,
        from_: str,
        to: str,
        application_id: str,
        answer_url: str,
        disconnect_url: str,
        username: str,
        password: str,
        deadline_s: float = DEADLINE_S,
    ) -> str:
        """Place a call and return its id. It is asked for once: done twice, it would be two calls.

        Args:
            from_: A number of the account, E.164.
            to: Who is called, E.164.
            application_id: The voice application.
            answer_url: Where the carrier comes for BXML when the call is answered.
            disconnect_url: Where it tells of the call's end.
            username: HTTP Basic user for both.
            password: Its password.
            deadline_s: How long the request may take.
        """
        wish = {
            "from": from_,
            "to": to,
            "applicationId": application_id,
            "answerUrl": answer_url,
            "disconnectUrl": disconnect_url,
            "username": username,
            "password": password,
        }
        token = await self._tokens.token(deadline_s=deadline_s)
        try:
            async with asyncio.timeout(deadline_s):
                answer = await self._client.post(
                    self._calls_url, json=wish, auth=Bearer(token), follow_redirects=False
                )
        except (TimeoutError, httpx.RequestError):
            raise VoiceApiUnavailableError("create_call") from None
        status = answer.status_code
        if status in (401, 403):
            raise VoiceApiCredentialsError("create_call", status)
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
            raise VoiceApiUnavailableError("create_call", status)
        if not answer.is_success:
            raise VoiceApiRefusedError("create_call", status)
        try:
            return _CreatedCall.model_validate_json(answer.content).call_id
        except ValidationError:
            raise VoiceApiAnswerError("create_call", status) from None

    async def hang_up(self, call_id: str, *, deadline_s: float = DEADLINE_S) -> bool:
        """End a call; return False when it was over already."""
        try:
            await self._change("hang_up", call_id, {"state": "completed"}, deadline_s)
        except CallOverError:
            return False
        return True

    async def redirect(
        self,
        call_id: str,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """Have the carrier ask another URL for the call's BXML, in place of what it runs now.

        Args:
            call_id: The call.
            url: A URL of ours.
            username: HTTP Basic user for it.
            password: Its password.
            deadline_s: How long this may take.

        Raises:
            CallOverError: The call is over.
        """
        told = {"state": "active", "redirectUrl": url, "username": username, "password": password}
        await self._change(
            "redirect", call_id, {name: value for name, value in told.items() if value is not None}, deadline_s
        )

    async def replace_bxml(self, call_id: str, document: str, *, deadline_s: float = DEADLINE_S) -> None:
        """Give a call another BXML document, in place of what it runs now.

        Raises:
            CallOverError: The call is over.
        """
        request = httpx.Request(
            "PUT",
            f"{self._url(call_id)}/bxml",
            content=document.encode(),
            headers={"Content-Type": "application/xml"},
        )
        await self._ask("replace_bxml", call_id, request, deadline_s)

    async def call_state(self, call_id: str, *, deadline_s: float = DEADLINE_S) -> str:
        """Return a call's state: ``queued``, ``initiated``, ``answered``, ``disconnected``, or a newer word.

        Raises:
            CallOverError: The carrier does not know the call, or not any more.
        """
        answer = await self._ask("call_state", call_id, httpx.Request("GET", self._url(call_id)), deadline_s)
        try:
            return _CallState.model_validate_json(answer.content).state
        except ValidationError:
            raise VoiceApiAnswerError("call_state", answer.status_code) from None

    async def aclose(self) -> None:
        """Give up what is under way and close the connections, when they are our own."""
        await self._tokens.aclose()
        if self._closes_client:
            await self._client.aclose()

    def _url(self, call_id: str) -> str:
        return f"{self._calls_url}/{_in_url(call_id, 'call id')}"

    async def _change(self, name: str, call_id: str, update: dict[str, str], deadline_s: float) -> None:
        await self._ask(name, call_id, httpx.Request("POST", self._url(call_id), json=update), deadline_s)

    async def _ask(self, name: str, call_id: str, request: httpx.Request, deadline_s: float) -> httpx.Response:
        """Return a successful answer."""
        ends_at = self._clock() + deadline_s
        answer = await self._with_token(name, request, ends_at)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            answer = await self._with_token(name, request, ends_at)
        match answer.status_code:
            case 401 | 403 as status:
                raise VoiceApiCredentialsError(name, status)
            case 404 | 409 as status:
                raise CallOverError(name, status, call_id)
            case status if not answer.is_success:
                raise VoiceApiRefusedError(name, status)
            case _:
                return answer

    async def _with_token(self, name: str, request: httpx.Request, ends_at: float) -> httpx.Response:
        token = await self._tokens.token(deadline_s=ends_at - self._clock())
        answer = await self._http.send(name, request, auth=Bearer(token), deadline_s=ends_at - self._clock())
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            self._tokens.refused(token)
        return answer


def _in_url(identity: str, what: str) -> str:
    """Return an id as a segment of a URL's path."""
    if _ID.fullmatch(identity) is None:
        raise InvalidIdError(what)
    return quote(identity, safe="")
