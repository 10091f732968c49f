"""What a realtime session tells its driver: events of the call as frames, and the small things below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..call_events import CallEventFrame
from ..frames import EncodedAudio, ToolCallFrame


@dataclass(frozen=True, slots=True)
class BotStarted:
    """The first audio of an item follows."""

    item_id: str


@dataclass(frozen=True, slots=True)
class BotAudio:
    """Audio of an item, in the session's format. Whole samples."""

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
class SessionGone:
    """The server's session is of no use any more, although its socket is open.

    Attributes:
        code: The server's error code.
        explanation: What happened, without any of the conversation's content.
        lasting: This place would refuse another session as well.
    """

    code: str
    explanation: str
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class SilenceToCover:
    """The caller is owed an answer, and hears nothing because of a failure: this is said meanwhile."""

    phrase: EncodedAudio


@dataclass(frozen=True, slots=True)
class CallOver:
    """A tool asked for the call to end, and the caller has heard the goodbye.

    Attributes:
        reason: Why now: ``goodbye heard``, or ``goodbye not heard`` when it took too long.
    """

    reason: str


Happening = (
    CallEventFrame | ToolCallFrame | BotStarted | BotAudio | BotStopped | CallerStarted | CallerStopped
    | CallerCutIn | SessionGone | SilenceToCover | CallOver
)  # fmt: skip
"""What a session's methods return, in the order it happened."""

Reactions = Mapping[type, Callable[[Any, float], Sequence[Happening]]]
"""What is done about an event of the server's, by its type: given the event and the time in s."""
