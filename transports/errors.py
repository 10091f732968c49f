"""Errors of the transports room, and whose fault an error is."""

from __future__ import annotations

import traceback
from enum import StrEnum


class Fault(StrEnum):
    """Who has to mend an error."""

    CALLPIPE = "callpipe"
    CARRIER = "carrier"
    MODEL = "model"
    BOT_AUTHOR = "bot author"
    OPERATOR = "operator"


class CallpipeError(Exception):
    """The root of every error callpipe raises.

    Attributes:
        fault: Who has to mend it.
    """

    fault: Fault = Fault.CALLPIPE


class TransportsError(CallpipeError):
    """The root of this room's errors."""


class SocketClosedError(TransportsError):
    """A WebSocket is closed; nothing more can be sent or received on it.

    Attributes:
        code: The close code of RFC 6455, section 7.4; 1006 when the peer left without one.
        reason: The peer's words, empty when it gave none.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"socket closed with code {code}{f' ({reason})' if reason else ''}")
        self.code = code
        self.reason = reason


class SocketBacklogError(TransportsError):
    """The peer reads so slowly that what waits to be sent exceeds the bound.

    Attributes:
        waiting: Bytes that wait to be sent.
        bound: Bytes that may wait.
    """

    def __init__(self, waiting: int, bound: int) -> None:
        super().__init__(f"{waiting} bytes wait to be sent and {bound} may: the peer does not read")
        self.waiting = waiting
        self.bound = bound


class SocketRefusedError(TransportsError):
    """A WebSocket handshake was refused, or no connection came about.

    Attributes:
        status: The HTTP status of the refusal, or None when there was no answer.
        retry_after_s: Seconds of the Retry-After header, when there was one.
    """

    def __init__(self, message: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class HandshakeLateError(SocketRefusedError):
    """A WebSocket handshake was not answered in time."""


class FormatMismatchError(TransportsError):
    """A processor was offered audio it does not take.

    Attributes:
        track: ``caller`` or ``bot``.
        offered: The format that reaches the processor, as words.
        accepted: The formats the processor takes, as words.
    """

    fault = Fault.BOT_AUTHOR

    def __init__(self, track: str, offered: str, accepted: str) -> None:
        super().__init__(f"the {track}'s audio arrives as {offered}, and {accepted} is taken")
        self.track = track
        self.offered = offered
        self.accepted = accepted


def where(failure: BaseException) -> str:
    """Return an error's type and the line that raised it, without a word of what it says."""
    frames = traceback.extract_tb(failure.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(failure).__name__}{place}"
