"""Errors of the processors room."""

from __future__ import annotations

from callpipe.transports.errors import CallpipeError


class ProcessorsError(CallpipeError):
    """The root of this room's errors."""
