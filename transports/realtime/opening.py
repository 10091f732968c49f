"""How a server's session is set up: our settings are told, and the server confirms or refuses them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .events import ErrorEvent, ServerEvent, SessionUpdated

READY_DEADLINE_S = 5.0
"""How long the server may take to confirm the settings."""

PASSING_ERRORS = frozenset({"server_error", "rate_limit_exceeded", "session_expired", "timeout"})
"""Error codes, and types, that another attempt may be spared."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A server's session that is set up.

    Attributes:
        model: The model that answers in it, by its own name.
        asked_for: The model that was asked for.
        expires_at: When it ends, seconds of Unix time; None when the server did not say.
        set_up: The client event that set it up.
        connect_ms: From the first attempt to connect until the settings were confirmed.
        socket_ms: How much of that the socket took.
    """

    model: str
    asked_for: str
    expires_at: float | None = None
    set_up: bytes = field(default=b"", repr=False)
    connect_ms: float = 0.0
    socket_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """A server's session that does not come about.

    Attributes:
        code: The server's error code.
        explanation: The server's words.
        lasting: Another attempt would be refused as well.
    """

    code: str
    explanation: str
    lasting: bool


def answer(event: ServerEvent) -> SessionUpdated | Refused | None:
    """Return what an event means for a session that is being set up; None when it does not matter."""
    match event:
        case SessionUpdated():
            return event
        case ErrorEvent(error=error):
            code = error.code or error.type or "error"
            lasting = not {code, error.type} & PASSING_ERRORS
            return Refused(code, error.message or "", lasting)
        case _:
            return None
