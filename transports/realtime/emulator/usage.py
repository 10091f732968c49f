"""Tokens: what a response is billed for, and how much of it comes from the cache.

Audio counts by its duration, as in the API's cost guide: a token for 100 ms of the caller, one for 50 ms of the
model. Text counts a token for four characters, which is near enough for bills in tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tokens:
    """Text and audio tokens."""

    text: int = 0
    audio: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.text + other.text, self.audio + other.audio)

    @property
    def total(self) -> int:
        """Both together."""
        return self.text + self.audio


def text_tokens(text: str) -> int:
    """Return the tokens of a text."""
    return math.ceil(len(text) / 4)


def audio_tokens(duration_ms: float, token_ms: float) -> int:
    """Return the tokens of audio of which one token stands for `token_ms`."""
    return math.ceil(duration_ms / token_ms - 1e-9)


@dataclass(frozen=True, slots=True)
class ContextPart:
    """One thing a response reads: the instructions, the tools, an item.

    Attributes:
        key: Equal only for a part that reads the same.
        tokens: What it takes.
    """

    key: tuple[object, ...]
    tokens: Tokens


class PromptCache:
    """Knows which beginning of a context the response before has read already."""

    def __init__(self) -> None:
        self._last: Sequence[ContextPart] = ()

    def read(self, context: Sequence[ContextPart]) -> tuple[Tokens, Tokens]:
        """Return the tokens of a context, and those of them that were read before."""
        cached = Tokens()
        for before, now in zip(self._last, context, strict=False):
            if before != now:
                break
            cached += now.tokens
        self._last = context
        return sum((part.tokens for part in context), Tokens()), cached


def usage(read: Tokens, cached: Tokens, written: Tokens) -> dict[str, object]:
    """Return the `usage` object of a response as JSON."""
    return {
        "total_tokens": read.total + written.total,
        "input_tokens": read.total,
        "output_tokens": written.total,
        "input_token_details": {
            "text_tokens": read.text,
            "audio_tokens": read.audio,
            "image_tokens": 0,
            "cached_tokens": cached.total,
            "cached_tokens_details": {
                "text_tokens": cached.text,
                "audio_tokens": cached.audio,
                "image_tokens": 0,
            },
        },
        "output_token_details": {"text_tokens": written.text, "audio_tokens": written.audio},
    }
