"""Server events as JSON objects, and the ids of a session."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeAlias

from .errors import RequestError

ServerEvent: TypeAlias = dict[str, object]
"""One server event, ready to be written as JSON."""


class ServerEvents:
    """Makes a session's events and ids; every id is unique beyond the session.

    Args:
        token: What this session's ids have in common.
    """

    def __init__(self, token: Callable[[], str] = lambda: secrets.token_hex(6)) -> None:
        self._token = token()
        self._count = 0

    def new_id(self, kind: str) -> str:
        """Return an unused id such as ``item_3f9c52d01ab40007``."""
        self._count += 1
        return f"{kind}_{self._token}{self._count:04d}"

    def event(self, event_type: str, **fields: object) -> ServerEvent:
        """Return an event with an id of its own."""
        return {"type": event_type, "event_id": self.new_id("event"), **fields}

    def error(self, refused: RequestError, client_event_id: str | None = None) -> ServerEvent:
        """Return the `error` event for a client event that can't be served."""
        return self.event(
            "error",
            error={
                "type": "invalid_request_error",
                "code": refused.code,
                "message": refused.message,
                "param": refused.param,
                "event_id": client_event_id,
            },
        )
