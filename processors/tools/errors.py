"""Errors of the tools room."""

from __future__ import annotations

from callpipe.transports.errors import Fault

from ..errors import ProcessorsError


class ToolDefinitionError(ProcessorsError):
    """A function can't be a tool as it is written, or two tools share a name.

    Attributes:
        tool: The function's or the tool's name.
        place: Where it is written, ``file:line``.
        problem: What is wrong and how to mend it.
    """

    fault = Fault.BOT_AUTHOR

    def __init__(self, tool: str, place: str, problem: str) -> None:
        super().__init__(f"tool {tool} ({place}): {problem}")
        self.tool = tool
        self.place = place
        self.problem = problem


class ToolArgumentsError(ProcessorsError):
    """The model's arguments don't fit the tool's parameters.

    Attributes:
        explanation: For the model: which parameter is wrong and how to mend it. It may hold what the model
            wrote, so it belongs in the answer and not in a log; the error's own text leaves it out.
    """

    fault = Fault.MODEL

    def __init__(self, explanation: str) -> None:
        super().__init__("the arguments do not fit the tool's parameters")
        self.explanation = explanation
