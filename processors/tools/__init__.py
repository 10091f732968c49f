"""Tools the model may call, and the router that runs them."""

from __future__ import annotations

from .context import ToolContext
from .errors import ToolArgumentsError, ToolDefinitionError
from .ready_made import end_call
from .router import ToolRouter
from .tool import Tool, tool

__all__ = [
    "Tool",
    "ToolArgumentsError",
    "ToolContext",
    "ToolDefinitionError",
    "ToolRouter",
    "end_call",
    "tool",
]
