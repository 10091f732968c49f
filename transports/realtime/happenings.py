"""What a realtime session tells its driver: events of the call as frames, and the small things below."""

from __future__ import annotations

from dataclasses import dataclass

from ..frames import CallEventFrame, EncodedAudio, ToolCallFrame


@dataclass(frozen=True, slots=True)
class BotStarted:
    """The first audio of an item follows."""

    item_id: str


@dataclass(frozen=True, slots=True)
class BotAudio:
    """Audio of an item, in the session's format. Valid base64, whole samples."""

    item_id: str
    encoded: EncodedAudio


@dataclass(frozen=True, slots=True)
class BotStopped:
    """No more audio of this item will come; what came may still be unheard."""

    item_id: str


@dataclass(frozen=True, slots=True)
class CallerStarted:
    """The caller begins to speak."""


@dataclass(frozen=True, slots=True)
class CallerStopped:
    """The caller has stopped speaking."""


@dataclass(frozen=True, slots=True)
class CallerCutIn:
    """The caller speaks while the bot does: what is unheard is to be dropped from the playout."""


@dataclass(frozen=True, slots=True)
class SessionRefused:
    """The session cannot be used: its settings were refused, or never confirmed.

    Attributes:
        code: The server's error code, or ``timeout``.
        explanation: The server's words.
    """

    code: str
    explanation: str


@dataclass(frozen=True, slots=True)
class CallOver:
    """A tool asked for the call to end, and the caller has heard the goodbye.

    Attributes:
        reason: Why now: ``goodbye heard``, or ``goodbye not heard`` when it took too long.
    """

    reason: str


Happening = (
    CallEventFrame | ToolCallFrame | BotStarted | BotAudio | BotStopped | CallerStarted | CallerStopped
    | CallerCutIn | SessionRefused | CallOver
)  # fmt: skip
"""What a session's methods return, in the order it happened."""
