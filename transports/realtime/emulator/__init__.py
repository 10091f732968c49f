"""A realtime model on this machine, as strict as the real one, and as faulty as a test wants it.

`RealtimeEmulatorServer` is a server for any client; `EmulatedEndpoint` is the same without a port, for virtual
time; `serve_session` serves one socket.
"""

from __future__ import annotations

from .endpoint import EmulatedEndpoint
from .faults import (
    After,
    Disconnect,
    Drop,
    Duplicate,
    Expire,
    FailResponse,
    Fault,
    FaultPlan,
    GoSilent,
    Late,
    LateDelta,
    Nth,
    Omit,
    RefuseHandshake,
    SendError,
    SendInvalidJson,
    SendUnknownEvent,
    SlowDeltas,
    SlowHandshake,
    UnansweredHandshake,
    every_session,
    first_sessions,
    in_turn,
    rate_limited,
)
from .served_session import EmulatorSettings, Run, in_thread, inline, serve_session
from .server import RealtimeEmulatorServer
from .session_log import LoggedEvent, SessionLog

__all__ = [
    "After",
    "Disconnect",
    "Drop",
    "Duplicate",
    "EmulatedEndpoint",
    "EmulatorSettings",
    "Expire",
    "FailResponse",
    "Fault",
    "FaultPlan",
    "GoSilent",
    "Late",
    "LateDelta",
    "LoggedEvent",
    "Nth",
    "Omit",
    "RealtimeEmulatorServer",
    "RefuseHandshake",
    "Run",
    "SendError",
    "SendInvalidJson",
    "SendUnknownEvent",
    "SessionLog",
    "SlowDeltas",
    "SlowHandshake",
    "UnansweredHandshake",
    "every_session",
    "first_sessions",
    "in_thread",
    "in_turn",
    "inline",
    "rate_limited",
    "serve_session",
]
