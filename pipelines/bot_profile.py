"""What a webhook server has to know of a bot, without loading it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .fallback import Step


@dataclass(frozen=True, slots=True)
class BotProfile:
    """A bot as its callers meet it when it is not there itself.

    Attributes:
        name: Part of its webhook URLs.
        version: A hash of the bot file's content.
        fallback: What callers get when the bot can't go on.
        max_calls: How many calls it takes at a time; None without a limit of its own.
        busy: What a caller too many gets; nothing is what `fallback` is.
    """

    name: str
    version: str
    fallback: tuple[Step, ...] = field(repr=False)
    max_calls: int | None = None
    busy: tuple[Step, ...] = field(default=(), repr=False)
