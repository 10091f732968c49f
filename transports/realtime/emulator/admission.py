"""Whom the emulated model lets in, and what a handshake's faults make of that."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from .faults import Disconnect, Fault, RefuseHandshake, SlowHandshake, UnansweredHandshake

_BETA_HEADER = "openai-beta"
_BETA_IS_GONE = Disconnect(at=1, code=4000, reason="invalid_request_error.beta_api_shape_disabled")


@dataclass(frozen=True, slots=True)
class Handshake:
    """How one handshake goes.

    Attributes:
        delay_s: How late it is answered.
        answered: Whether it is answered at all.
        refusal: What refuses it, whoever asks; None when nothing does.
    """

    delay_s: float
    answered: bool
    refusal: RefuseHandshake | None

    @classmethod
    def under(cls, faults: Sequence[Fault]) -> Handshake:
        """Return the handshake that the faults of a session make."""
        return cls(
            delay_s=sum(fault.delay_s for fault in faults if isinstance(fault, SlowHandshake)),
            answered=UnansweredHandshake() not in faults,
            refusal=next((fault for fault in faults if isinstance(fault, RefuseHandshake)), None),
        )


@dataclass(frozen=True, slots=True)
class Admitted:
    """A client that may open a session.

    Attributes:
        model: The model it asks for.
        faults: What its session's faults are made longer by.
    """

    model: str
    faults: Sequence[Fault] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules by which clients are let in.

    Attributes:
        api_key: What clients have to bring as a bearer token; None takes everybody.
        max_sessions: Live sessions beyond which a client is refused with status 429.
    """

    api_key: str | None = None
    max_sessions: int = 64

    def judge(self, target: str, headers: Mapping[str, str], live_sessions: int) -> Admitted | HTTPStatus:
        """Let a client in, or return the status that refuses it.

        A client of the API's beta is let in, and its socket closed at once with 4000, as the API does.

        Args:
            target: The URL it asks for, or that URL's path and query.
            headers: Its headers, by names in lower case.
            live_sessions: Sessions that are being served.
        """
        url = urlsplit(target)
        if not url.path.endswith("/realtime"):
            return HTTPStatus.NOT_FOUND
        if self.api_key is not None and not _is_bearer(headers.get("authorization", ""), self.api_key):
            return HTTPStatus.UNAUTHORIZED
        model = parse_qs(url.query).get("model", [""])[0]
        if not model:
            return HTTPStatus.BAD_REQUEST
        if live_sessions >= self.max_sessions:
            return HTTPStatus.TOO_MANY_REQUESTS
        return Admitted(model, (_BETA_IS_GONE,) if _BETA_HEADER in headers else ())


def _is_bearer(authorization: str, api_key: str) -> bool:
    scheme, _, token = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), api_key.encode())
