"""An emulated Voice API with its token endpoint, as an ASGI application."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qs
from uuid import uuid4

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBasic, HTTPBasicCredentials, HTTPBearer

VOICE_PATH = "/api/v2"
TOKEN_PATH = "/api/v1/oauth2/token"  # noqa: S105  a path

_client = HTTPBasic(auto_error=False)
_bearer = HTTPBearer(auto_error=False)
ClientCredentials = Annotated[HTTPBasicCredentials | None, Depends(_client)]
BearerToken = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


@dataclass
class ControlledCall:
    """A call as the Voice API sees it. It notes what it is told; a carrier's own may do it, too.

    Attributes:
        state: ``queued``, ``initiated``, ``answered`` or ``disconnected``.
        documents: The BXML documents it was given.
        redirects: The bodies of updates that sent it to another URL.
    """

    state: str = "answered"
    documents: list[str] = field(default_factory=list[str], repr=False)
    redirects: list[dict[str, str]] = field(default_factory=list[dict[str, str]], repr=False)

    def complete(self) -> None:
        """End the call."""
        self.state = "disconnected"

    def redirect(self, update: dict[str, str]) -> None:
        """Go on with the document of another URL."""
        self.redirects.append(update)

    def replace_bxml(self, document: str) -> None:
        """Go on with another document."""
        self.documents.append(document)


class EmulatedVoiceApi:
    """The Voice API of one account.

    Args:
        account_id: The account's number.
        client_id: The id of the client that may use it.
        client_secret: Its secret.
        token_lifetime_s: How long an access token is good.
        clock: Monotonic seconds.

    Attributes:
        app: Serves the calls below `VOICE_PATH` and tokens at `TOKEN_PATH`.
        calls: The account's calls by id; add those that are to be known.
        tokens_given: How many tokens were asked for with success.
    """

    def __init__(
        self,
        *,
        account_id: str,
        client_id: str,
        client_secret: str,
        token_lifetime_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.calls: dict[str, ControlledCall] = {}
        self.tokens_given = 0
        self._account_id = account_id
        self._client = HTTPBasicCredentials(username=client_id, password=client_secret)
        self._token_lifetime_s = token_lifetime_s
        self._clock = clock
        self._expiries: dict[str, float] = {}
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        call_path = f"{VOICE_PATH}/accounts/{{account_id}}/calls/{{call_id}}"
        self.app.add_api_route(TOKEN_PATH, self._give_token, methods=["POST"])
        self.app.add_api_route(call_path, self._tell_state, methods=["GET"])
        self.app.add_api_route(call_path, self._update, methods=["POST"])
        self.app.add_api_route(f"{call_path}/bxml", self._replace_bxml, methods=["PUT"])

    def accepts(self, token: str) -> bool:
        """Whether an access token is good."""
        return self._clock() < self._expiries.get(token, 0.0)

    def revoke_tokens(self) -> None:
        """Accept no token that was given so far."""
        self._expiries.clear()

    async def _give_token(self, request: Request, credentials: ClientCredentials) -> Response:
        if credentials != self._client:
            return JSONResponse({"error": "invalid_client"}, 401)
        if parse_qs((await request.body()).decode()) != {"grant_type": ["client_credentials"]}:
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        token = secrets.token_urlsafe()
        self._expiries[token] = self._clock() + self._token_lifetime_s
        self.tokens_given += 1
        return JSONResponse(
            {"access_token": token, "token_type": "Bearer", "expires_in": self._token_lifetime_s}
        )

    async def _tell_state(self, account_id: str, call_id: str, bearer: BearerToken) -> Response:
        call = self._call(account_id, call_id, bearer)
        if isinstance(call, Response):
            return call
        return JSONResponse({"accountId": account_id, "callId": call_id, "state": call.state})

    async def _update(self, account_id: str, call_id: str, request: Request, bearer: BearerToken) -> Response:
        call = self._modifiable(account_id, call_id, bearer)
        if isinstance(call, Response):
            return call
        update: dict[str, str] = await request.json()
        match update:
            case {"state": "completed"}:
                call.complete()
            case {"state": "active", "redirectUrl": str()}:
                call.redirect(update)
            case _:
                return _error(400, "validation")
        return Response(status_code=200)

    async def _replace_bxml(
        self, account_id: str, call_id: str, request: Request, bearer: BearerToken
    ) -> Response:
        call = self._modifiable(account_id, call_id, bearer)
        if isinstance(call, Response):
            return call
        if request.headers.get("Content-Type") != "application/xml":
            return _error(415, "unsupported-media-type")
        call.replace_bxml((await request.body()).decode())
        return Response(status_code=204)

    def _call(
        self, account_id: str, call_id: str, bearer: HTTPAuthorizationCredentials | None
    ) -> ControlledCall | Response:
        """Return the call a request is about, or how the request is refused."""
        if bearer is None or not self.accepts(bearer.credentials):
            return _error(401, "authentication-error")
        if account_id != self._account_id:
            return _error(403, "authorization-error")
        return self.calls.get(call_id) or _error(404, "not-found")

    def _modifiable(
        self, account_id: str, call_id: str, bearer: HTTPAuthorizationCredentials | None
    ) -> ControlledCall | Response:
        call = self._call(account_id, call_id, bearer)
        if isinstance(call, ControlledCall) and call.state == "disconnected":
            return _error(409, "call-not-modifiable")
        return call


def _error(status: int, kind: str) -> Response:
    return JSONResponse({"type": kind, "description": kind, "id": str(uuid4())}, status)
