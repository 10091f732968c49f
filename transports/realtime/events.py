"""All that crosses the realtime model's wire: server events, client events, the shape of a tool."""

from __future__ import annotations

from typing import Any, Protocol


class ToolSchema(Protocol):
    """What the model is told about a tool: its name, what it does, and a JSON schema of its parameters."""

    @property
    def name(self) -> str:
        """The tool's name."""
        ...

    @property
    def description(self) -> str:
        """What the tool does and when to call it, for the model."""
        ...

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of its arguments, an object's."""
        ...
