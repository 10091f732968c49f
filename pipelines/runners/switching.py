"""What a fleet of runners asks of the exchange that it serves."""

from __future__ import annotations

from typing import Protocol

from ..bot_profile import BotProfile
from ..ongoing import OngoingCall


class Switching(Protocol):
    """What a fleet tells of its runners' calls."""

    def recalls(self, call_id: str) -> OngoingCall | None:
        """Return a call that goes on."""
        ...

    async def changed(self, ongoing: OngoingCall) -> None:
        """Something has become of a call."""
        ...

    async def runner_died(self, call_id: str, generation: int, *, alone: bool) -> None:
        """The process that ran a generation is gone."""
        ...

    def runner_lost(self, bot: BotProfile) -> None:
        """A runner of a bot is gone that was to stay."""
        ...

    async def bot_came(self, bot: BotProfile) -> None:
        """A runner of a bot is there."""
        ...
