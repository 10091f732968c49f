"""Which models leave the API, when, and what to use then."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from loguru import logger


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The end of a model.

    Attributes:
        day: From when on the API refuses it.
        replacement: What to use instead.
    """

    day: date
    replacement: str


_REALTIME = Shutdown(date(2027, 1, 20), "gpt-realtime-2.1")
_REALTIME_MINI = Shutdown(date(2027, 1, 20), "gpt-realtime-2.1-mini")
_TRANSCRIBE = Shutdown(date(2027, 2, 26), "gpt-transcribe")

SHUTDOWNS: Mapping[str, Shutdown] = {
    "gpt-4o-mini-realtime-preview-2024-12-17": Shutdown(date(2026, 7, 23), "gpt-realtime-2.1-mini"),
    "gpt-4o-mini-transcribe": _TRANSCRIBE,
    "gpt-4o-mini-transcribe-2025-12-15": _TRANSCRIBE,
    "gpt-4o-transcribe": _TRANSCRIBE,
    "gpt-4o-transcribe-diarize": _TRANSCRIBE,
    "gpt-realtime": _REALTIME,
    "gpt-realtime-2025-08-28": _REALTIME,
    "gpt-realtime-mini": _REALTIME_MINI,
    "gpt-realtime-mini-2025-10-06": Shutdown(date(2026, 7, 23), "gpt-realtime-2.1-mini"),
    "gpt-realtime-mini-2025-12-15": _REALTIME_MINI,
    "whisper-1": _TRANSCRIBE,
}
"""What OpenAI has announced (https://developers.openai.com/api/docs/deprecations); as of 2026-11-20."""


def shutdown_notice(model: str, today: date) -> str | None:
    """Return a sentence about a model that leaves the API or has left it; None about any other.

    Args:
        model: The model's name, as it is configured.
        today: The day of asking.
    """
    shutdown = SHUTDOWNS.get(model)
    if shutdown is None:
        return None
    use = f"use {shutdown.replacement}"
    if today >= shutdown.day:
        return f"the model {model} was shut down on {shutdown.day}: calls with it fail; {use}"
    left = (shutdown.day - today).days
    return (
        f"the model {model} is shut down on {shutdown.day}, in {left} {'day' if left == 1 else 'days'}; {use}"
    )


@functools.lru_cache(maxsize=256)
def warn_of_shutdown(model: str, today: date) -> None:
    """Log a model's `shutdown_notice`, if there is one: once a day, however many calls use the model."""
    notice = shutdown_notice(model, today)
    if notice is not None:
        logger.log("ERROR" if today >= SHUTDOWNS[model].day else "WARNING", "{}", notice)
