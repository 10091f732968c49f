"""A realtime model on this machine, as strict as the real one.

`RealtimeEmulatorServer` is a server for any client; `serve_session` serves one socket, in virtual time as well.
"""

from __future__ import annotations

from .faults import (
    Disconnect,
    DuplicateDelta,
    Fault,
    LateDelta,
    Omit,
    SendError,
    SendInvalidJson,
    SendUnknownEvent,
    SlowDeltas,
)
from .served_session import EmulatorSettings, Run, in_thread, inline, serve_session
from .server import RealtimeEmulatorServer
from .session_log import LoggedEvent, SessionLog

__all__ = [
    "Disconnect",
    "DuplicateDelta",
    "EmulatorSettings",
    "Fault",
    "LateDelta",
    "LoggedEvent",
    "Omit",
    "RealtimeEmulatorServer",
    "Run",
    "SendError",
    "SendInvalidJson",
    "SendUnknownEvent",
    "SessionLog",
    "SlowDeltas",
    "in_thread",
    "inline",
    "serve_session",
]
