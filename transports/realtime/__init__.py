"""The realtime model's wire: events and session state, without I/O."""

from .endpoints import RealtimeEndpoint
from .events import MalformedEventError, ToolSchema
from .models import shutdown_notice, warn_of_shutdown
from .session import RealtimeSession
from .settings import (
    CustomVoice,
    RealtimeSettings,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    Tracing,
    Transcription,
)

__all__ = [
    "CustomVoice",
    "MalformedEventError",
    "RealtimeEndpoint",
    "RealtimeSession",
    "RealtimeSettings",
    "RetentionRatio",
    "SemanticVad",
    "ServerVad",
    "ToolSchema",
    "Tracing",
    "Transcription",
    "shutdown_notice",
    "warn_of_shutdown",
]
