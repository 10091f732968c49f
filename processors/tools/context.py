"""What a tool may know about the call it runs in."""

from __future__ import annotations

from typing import Any


class ToolContext:
    """Given to every parameter of a tool that is annotated with this class; the model never sees it.

    Attributes:
        call_id: The model's id of this tool call.
        tool_name: The tool the model called.
        resources: What the pipeline's worker was given as `app_resources`: the call, in a callpipe bot. None
            outside a pipeline.
    """

    def __init__(self, *, call_id: str, tool_name: str, resources: Any = None) -> None:
        self.call_id = call_id
        self.tool_name = tool_name
        self.resources = resources
        self._ends_call = False

    def end_call(self) -> None:
        """End the call once the caller has heard what the bot is saying.

        It holds only if the tool goes on to answer well: after a failure the bot has something left to say.
        """
        self._ends_call = True

    @property
    def ends_call(self) -> bool:
        """Whether `end_call` was called."""
        return self._ends_call
