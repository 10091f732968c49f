"""OAuth 2 access tokens of the client credentials grant (RFC 6749, section 4.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel, Field, ValidationError

from .errors import VoiceApiAnswerError, VoiceApiCredentialsError, VoiceApiUnavailableError
from .retrying_http import RetryingHttp

REQUEST_DEADLINE_S = 10.0
"""How long a token is asked for, whoever still waits for it."""

EARLY_S = 60.0
"""A token is renewed so long before it expires, or after half its life when that is later."""

_NAME = "token"


class _Answer(BaseModel):
    access_token: str = Field(min_length=1)
    expires_in: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    renew_at: float


class Bearer(httpx.Auth):
    """Sends an access token with a request (RFC 6750, section 2.1)."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Add the header, in place of an earlier token's."""
        request.headers["Authorization"] = self._header
        yield request


class AccessTokens:
    """The access token of one client, asked for when it is needed.

    However many callers need one at the same time, one request is under way, and all get its outcome.

    Args:
        client_id: The client's id.
        client_secret: Its secret.
        token_url: The token endpoint.
        http: Sends the requests.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        token_url: str,
        http: RetryingHttp,
        clock: Callable[[], float],
    ) -> None:
        self._credentials = httpx.BasicAuth(client_id, client_secret)
        self._token_url = token_url
        self._http = http
        self._clock = clock
        self._token: _Token | None = None
        self._asking: asyncio.Task[str] | None = None

    async def token(self, *, deadline_s: float) -> str:
        """Return a token that is good for a while.

        Args:
            deadline_s: How long this caller waits.

        Raises:
            VoiceApiCredentialsError: The endpoint refuses the client.
            VoiceApiUnavailableError: It gives no answer in time.
            VoiceApiAnswerError: Its answer can't be read.
        """
        if self._token is not None and self._clock() < self._token.renew_at:
            return self._token.text
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="access token")
            self._asking.add_done_callback(self._asked)
        asking = self._asking
        done, _ = await asyncio.wait({asking}, timeout=deadline_s)
        if not done:
            raise VoiceApiUnavailableError(_NAME)
        return asking.result()

    def refused(self, token: str) -> None:
        """Forget a token that was not accepted, unless a newer one has taken its place."""
        if self._token is not None and self._token.text == token:
            self._token = None

    async def aclose(self) -> None:
        """Give up asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking}, timeout=1.0)

    async def _ask(self) -> str:
        asked_at = self._clock()
        request = httpx.Request("POST", self._token_url, data={"grant_type": "client_credentials"})
        response = await self._http.send(_NAME, request, auth=self._credentials, deadline_s=REQUEST_DEADLINE_S)
        if not response.is_success:
            raise VoiceApiCredentialsError(_NAME, response.status_code)
        try:
            answer = _Answer.model_validate_json(response.content)
        except ValidationError:
            raise VoiceApiAnswerError(_NAME, response.status_code) from None
        lives_s = answer.expires_in
        self._token = _Token(answer.access_token, asked_at + max(lives_s - EARLY_S, lives_s / 2))
        return answer.access_token

    def _asked(self, asking: asyncio.Task[str]) -> None:
        self._asking = None
        if not asking.cancelled():
            asking.exception()  # every caller may have gone by now, and nobody else looks at it
