"""What a webhook server has to know of a bot, without loading it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BotProfile:
    """A bot as its callers meet it when it is not there itself.

    Attributes:
        name: Part of its webhook URLs.
        version: A hash of the bot file's content.
        apology: What the carrier says before it hangs up when the bot can't go on.
        max_calls: How many calls it takes at a time; None without a limit of its own.
    """

    name: str
    version: str
    apology: str
    max_calls: int | None = None
