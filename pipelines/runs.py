"""Who runs the pipelines of calls: this process, or runner processes beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
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


class Role(StrEnum):
    """What a process that runs pipelines is there for."""

    TAKES_CALLS = "takes calls"
    KEPT_WARM = "kept warm"
    SUSPECT = "has a suspect"
    """It has a call that runners died with, and gets no other."""
    DRAINING = "draining"
    """It takes no further call, and leaves with its last."""


@dataclass(frozen=True, slots=True)
class RunnerState:
    """A process that runs a bot's pipelines, as it is at the moment.

    Attributes:
        name: Names it among the processes that this server has seen.
        pid: Its process.
        bot: Its bot's name.
        version: Its bot's version.
        revision: Which load of the bot's file it runs.
        role: What it is there for.
        live: Its pipelines with a media stream.
        prepared: Its pipelines that wait for one.
        lag_p90_ms: The loop lag that 9 of 10 measures of its last ten seconds stayed below.
        lag_p99_ms: The loop lag that 99 of 100 measures of its last minute stayed below.
        lag_max_ms: The longest there was.
        rss_bytes: Its memory.
        tasks: The tasks of its event loop: so many for each call, and some that stay.
    """

    name: str
    pid: int
    bot: str
    version: str
    revision: int
    role: Role
    live: int
    prepared: int
    lag_p90_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    rss_bytes: int
    tasks: int = 0


Ended = Callable[[str, int, str], Awaitable[None]]
"""Awaited when a generation's pipeline has ended: the call's id, the generation's number, and why."""


async def nobody_waits(call_id: str, generation: int, reason: str) -> None:
    """Do nothing: until an exchange is there, nobody asks what becomes of calls. See `Ended`."""


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

    @property
    def bots(self) -> list[str]:
        """The names of the bots that are to answer calls here."""
        ...

    async def runners(self) -> list[RunnerState]:
        """Return the processes that run pipelines, as they are now."""
        ...

    def bot(self, name: str) -> BotProfile | None:
        """Return a bot that answers calls here, or None."""
        ...

    async def ready(self, bot: str) -> None:
        """Wait until there is somebody to run a bot's pipelines, within a deadline."""
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
