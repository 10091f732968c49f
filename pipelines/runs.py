"""Who runs the pipelines of calls: this process, or runner processes beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from .bot_profile import BotProfile
from .ongoing import Generation, OngoingCall


@dataclass(frozen=True, slots=True)
class Load:
    """How much runs at the moment.

    Attributes:
        runners: Processes that run pipelines.
        live: Pipelines with a media stream.
        prepared: Pipelines that wait for one.
        lag_p99_ms: The loop lag that 99 of 100 measures of the last minute stayed below, of the worst process.
        lag_max_ms: The longest there was.
    """

    runners: int = 0
    live: int = 0
    prepared: int = 0
    lag_p99_ms: float = 0.0
    lag_max_ms: float = 0.0


Ended = Callable[[str, int, str], Awaitable[None]]
"""Awaited when a generation's pipeline has ended: the call's id, the generation's number, and why."""


class Runs(Protocol):
    """What an exchange asks of whoever runs pipelines.

    Attributes:
        ended: Set by the exchange; what it does then.
    """

    ended: Ended

    @property
    def load(self) -> Load:
        """How much runs."""
        ...

    @property
    def budget_spent(self) -> bool:
        """Whether the day's budget is spent: no further call is to be taken."""
        ...

    def bot(self, name: str) -> BotProfile | None:
        """Return a bot that answers calls here, or None."""
        ...

    def has_room(self, bot: str) -> bool:
        """Whether a bot can take one more call."""
        ...

    async def prepare(self, ongoing: OngoingCall, generation: Generation) -> None:
        """Begin a generation before its media stream is there.

        A bot that fails to build its pipeline leaves its apology in the generation's intent.
        """
        ...

    def abandon(self, ongoing: OngoingCall) -> None:
        """End the pipelines of a call whose media streams will not come any more."""
        ...

    def end(self, ongoing: OngoingCall, reason: str) -> bool:
        """End all pipelines of a call; return whether it had any."""
        ...

    async def close(self, reason: str) -> None:
        """End every pipeline, politely, within a deadline."""
        ...
