"""The realtime model's wire: events and session state, without I/O."""

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
