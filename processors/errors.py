"""Errors of the processors room."""

from __future__ import annotations

from http import HTTPStatus

from callpipe.transports.errors import CallpipeError, Fault
from callpipe.transports.websocket import ABNORMAL_CLOSURE

_OPERATORS = (401, 403, 407, 429)
_BOT_AUTHORS = (400, 404, 410)
_NOT_FOR_GOOD = (408, 425, 429)
_STATUS_CODES = {401: "unauthorized", 403: "unauthorized", 404: "model_unknown", 429: "rate_limited"}
_REFUSING_CLOSE_CODES = (1002, 1003, 1008, 3000, 3003, 4000, 4001, 4003, 4004)
"""A server that closes with one of these before it has set a session up means the request, not the moment."""


class ProcessorsError(CallpipeError):
    """The root of this room's errors."""


class ModelLostError(ProcessorsError):
    """There is no session with the model, or none any more.

    Attributes:
        code: What happened, in one word, as a `ModelFaultFrame` has it.
        lasting: The same place would refuse another session as well.
        retry_after_s: What the place asks to wait at least.
    """

    fault = Fault.MODEL
    code: str = "lost"
    lasting: bool = False
    retry_after_s: float = 0.0


class ModelUnreachableError(ModelLostError):
    """No socket to the model came about: the handshake was refused, late or not answered.

    Attributes:
        status: The HTTP status that refused it, or None when there was no answer.
    """

    def __init__(
        self, explanation: str, status: int | None = None, *, retry_after_s: float = 0.0, late: bool = False
    ) -> None:
        super().__init__(f"the model can't be reached: {explanation}")
        self.status = status
        self.retry_after_s = retry_after_s
        self.code = "slow_handshake" if late else "unreachable"
        if status is None:
            return
        server_failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        self.code = _STATUS_CODES.get(status, "server_error" if server_failed else "handshake_refused")
        self.lasting = not server_failed and status not in _NOT_FOR_GOOD
        if status in _OPERATORS:
            self.fault = Fault.OPERATOR
        elif status in _BOT_AUTHORS:
            self.fault = Fault.BOT_AUTHOR


class ModelSessionRefusedError(ModelLostError):
    """The model refused the session's settings, did not confirm them in time, or ended the session.

    Attributes:
        code: The server's error code; ``timeout`` when it confirmed nothing.
    """

    def __init__(self, code: str, explanation: str, *, lasting: bool = True) -> None:
        super().__init__(f"the model refused the session ({code}): {explanation}")
        self.code = code
        self.lasting = lasting
        self.fault = Fault.BOT_AUTHOR if lasting else Fault.MODEL


class ModelSocketLostError(ModelLostError):
    """The model's socket closed.

    Attributes:
        close_code: Its close code; 1006 when the connection broke.
    """

    def __init__(self, close_code: int, reason: str, *, set_up: bool = True) -> None:
        super().__init__(f"the model's socket closed with code {close_code}{f' ({reason})' if reason else ''}")
        self.close_code = close_code
        self.code = "socket_lost" if close_code == ABNORMAL_CLOSURE else "socket_closed"
        self.lasting = not set_up and close_code in _REFUSING_CLOSE_CODES


class ModelSilentError(ModelLostError):
    """The model's server answers nothing any more, on an open socket."""

    code = "silent"

    def __init__(self) -> None:
        super().__init__("the model's server answers nothing any more")


class SessionFailedError(ProcessorsError):
    """Following the model's session failed by a defect of callpipe's.

    Attributes:
        failure: What was raised.
    """

    def __init__(self, failure: Exception) -> None:
        super().__init__(f"the realtime session failed: {type(failure).__name__}")
        self.failure = failure
