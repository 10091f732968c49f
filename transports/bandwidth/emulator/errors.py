"""Errors of the carrier emulator."""

from __future__ import annotations

from ...errors import Fault, TransportsError


class CarrierEmulatorError(TransportsError):
    """The root of this folder's errors."""

    fault = Fault.BOT_AUTHOR


class InvalidBxmlError(CarrierEmulatorError):
    """A document is no BXML that this carrier runs; Bandwidth ends such a call with `invalid-bxml`.

    Attributes:
        explanation: What is wrong with it, in one sentence.
    """

    def __init__(self, explanation: str) -> None:
        super().__init__(explanation)
        self.explanation = explanation


class ServerMessageError(CarrierEmulatorError):
    """A message of the server under test is none that the media stream knows.

    Attributes:
        explanation: What is wrong with it, in one sentence and without its content.
    """

    def __init__(self, explanation: str) -> None:
        super().__init__(explanation)
        self.explanation = explanation


class PlayoutFullError(CarrierEmulatorError):
    """More audio waits to be heard than the carrier keeps.

    Attributes:
        bound_s: Seconds of audio that may wait.
    """

    def __init__(self, bound_s: float) -> None:
        super().__init__(f"more than {bound_s:g} s of audio would wait to be heard")
        self.bound_s = bound_s


class CallbackFailedError(CarrierEmulatorError):
    """A webhook that asks for BXML was not answered with success.

    Attributes:
        explanation: What came instead, in one sentence.
        status: The HTTP status, None when there was no answer.
    """

    def __init__(self, explanation: str, status: int | None = None) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        self.status = status


class ScriptError(CarrierEmulatorError):
    """A caller's script can't be followed.

    Attributes:
        explanation: What is wrong with it, in one sentence.
    """

    def __init__(self, explanation: str) -> None:
        super().__init__(explanation)
        self.explanation = explanation
