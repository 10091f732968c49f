"""Errors of the pipelines room."""

from __future__ import annotations

from pathlib import Path

from callpipe.transports.errors import CallpipeError, Fault


class PipelinesError(CallpipeError):
    """The root of this room's errors."""


class SettingsError(PipelinesError):
    """A setting is missing or wrong.

    Attributes:
        names: The environment variables concerned.
    """

    fault = Fault.OPERATOR

    def __init__(self, message: str, *names: str) -> None:
        super().__init__(message)
        self.names = names


class BotLoadError(PipelinesError):
    """A bot file can't be used.

    Attributes:
        path: The file.
        line: The line of it that failed, when there is one.
    """

    fault = Fault.BOT_AUTHOR

    def __init__(self, path: Path, line: int | None, explanation: str) -> None:
        super().__init__(f"{path}{f':{line}' if line else ''}: {explanation}")
        self.path = path
        self.line = line


class PipelineFormatError(PipelinesError):
    """Two processors of a pipeline don't fit together.

    Attributes:
        giver: The class name of the processor that gives the audio.
        taker: The class name of the processor that does not take it.
        between: The processors to put between, as Python text; empty when callpipe has none to propose.
    """

    fault = Fault.BOT_AUTHOR

    def __init__(self, message: str, giver: str, taker: str, between: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.giver = giver
        self.taker = taker
        self.between = between


class AdmissionError(PipelinesError):
    """A media socket is not let in.

    Attributes:
        reason: Why: ``no credentials``, ``unknown call``, ``wrong token``, ``used``, ``expired``, or
            ``another call``.
    """

    fault = Fault.CARRIER

    def __init__(self, reason: str) -> None:
        super().__init__(f"media stream refused: {reason}")
        self.reason = reason


class CallNotRunningError(PipelinesError):
    """A call can't be steered: its pipeline has not started, or is ending.

    Attributes:
        reason: Which of both: ``has not started`` or ``has ended``.
    """

    fault = Fault.BOT_AUTHOR

    def __init__(self, reason: str) -> None:
        super().__init__(f"the call can't be steered: its pipeline {reason}")
        self.reason = reason


class UnknownCallError(PipelinesError):
    """No recorded call has this id."""

    fault = Fault.OPERATOR


class DemoError(PipelinesError):
    """The demo's call did not go as it should."""


class EmulationError(PipelinesError):
    """An emulator was asked for something it can't do, or a call it placed did not go well."""

    fault = Fault.OPERATOR
