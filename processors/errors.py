"""Errors of the processors room."""

from __future__ import annotations

from callpipe.transports.errors import CallpipeError, Fault

_OPERATORS = (401, 403, 407, 429)
_BOT_AUTHORS = (400, 404)


class ProcessorsError(CallpipeError):
    """The root of this room's errors."""


class ModelUnreachableError(ProcessorsError):
    """No session with the model came about.

    Attributes:
        status: The HTTP status that refused it, or None when there was no answer.
    """

    fault = Fault.MODEL

    def __init__(self, explanation: str, status: int | None = None) -> None:
        super().__init__(f"the model can't be reached: {explanation}")
        self.status = status
        if status in _OPERATORS:
            self.fault = Fault.OPERATOR
        elif status in _BOT_AUTHORS:
            self.fault = Fault.BOT_AUTHOR


class ModelSessionRefusedError(ProcessorsError):
    """The model refused the session's settings, or did not confirm them in time.

    Attributes:
        code: The server's error code, or ``timeout``.
    """

    fault = Fault.BOT_AUTHOR

    def __init__(self, code: str, explanation: str) -> None:
        super().__init__(f"the model refused the session ({code}): {explanation}")
        self.code = code
        if code == "timeout":
            self.fault = Fault.MODEL


class ModelSocketLostError(ProcessorsError):
    """The model's socket closed in the middle of a call.

    Attributes:
        code: Its close code.
    """

    fault = Fault.MODEL

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the model's socket closed with code {code}{f' ({reason})' if reason else ''}")
        self.code = code


class SessionFailedError(ProcessorsError):
    """Following the model's session failed by a defect of callpipe's.

    Attributes:
        failure: What was raised.
    """

    def __init__(self, failure: Exception) -> None:
        super().__init__(f"the realtime session failed: {type(failure).__name__}")
        self.failure = failure
