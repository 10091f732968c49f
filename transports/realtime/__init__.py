"""The realtime model's wire: events and session state, without I/O."""

from .events import MalformedEventError, ToolSchema
from .session import RealtimeSession
from .settings import RealtimeSettings, SemanticVad, ServerVad, Transcription

__all__ = [
    "MalformedEventError",
    "RealtimeSession",
    "RealtimeSettings",
    "SemanticVad",
    "ServerVad",
    "ToolSchema",
    "Transcription",
]
