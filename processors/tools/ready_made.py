"""Tools most bots need."""

from __future__ import annotations

from .context import ToolContext
from .tool import tool


@tool
async def end_call(context: ToolContext) -> str:
    """Hang up the phone.

    Call this when nothing is left to be done, or the caller asks to end the call. Say goodbye to the caller
    first, and call this only after that. Say nothing afterwards: the call ends once the caller has heard the
    goodbye.
    """
    context.end_call()
    return "The call ends once the caller has heard you."
