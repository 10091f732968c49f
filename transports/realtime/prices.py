"""What the model's tokens cost, by a dated table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from .events import TranscriptionUsage, Usage

PRICES_AS_OF = date(2026, 11, 1)
"""When the table was taken from OpenAI's model pages."""

_REALTIME_2 = {
    "text_in": 4.0,
    "cached_text_in": 0.40,
    "text_out": 24.0,
    "audio_in": 32.0,
    "cached_audio_in": 0.40,
    "audio_out": 64.0,
}

USD_PER_MILLION: Mapping[str, Mapping[str, float]] = {
    "gpt-realtime-2.1": _REALTIME_2,
    "gpt-realtime-2": _REALTIME_2,
    "gpt-realtime-1.5": _REALTIME_2 | {"text_out": 16.0},
    "gpt-realtime-2.1-mini": {
        "text_in": 0.60,
        "cached_text_in": 0.06,
        "text_out": 2.40,
        "audio_in": 10.0,
        "cached_audio_in": 0.30,
        "audio_out": 20.0,
    },
    # Transcription is billed by the minute: 0.017 USD are 16.67 nanodollars a millisecond.
    "gpt-live-transcribe": {"transcribed_ms": 0.017 / 60_000 * 1e6},
    "gpt-realtime-whisper": {"transcribed_ms": 0.017 / 60_000 * 1e6},
}
"""US dollars for a million of each kind. A cached token is billed as cached only."""

_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def price(model: str, tokens: Mapping[str, int]) -> float | None:
    """Return the price in US dollars, or None when the model, or a kind, is not in the table.

    Args:
        model: The model's name; a dated snapshot costs what its model does.
        tokens: Counts by kind, as `response_tokens` gives them: no token is counted twice.
    """
    rates = USD_PER_MILLION.get(model) or USD_PER_MILLION.get(_SNAPSHOT.sub("", model))
    if rates is None or not tokens.keys() <= rates.keys():
        return None
    return sum(rates[kind] * count for kind, count in tokens.items()) / 1_000_000


def response_tokens(usage: Usage) -> dict[str, int]:
    """Return a response's tokens by kind; ``text_in`` and ``audio_in`` are without the cached ones."""
    spent = usage.input_token_details
    text_in, audio_in = (spent.text_tokens or 0, spent.audio_tokens or 0) if spent else (0, 0)
    cached_text = cached_audio = 0
    if spent and spent.cached_tokens_details:
        cached_text = min(spent.cached_tokens_details.text_tokens or 0, text_in)
        cached_audio = min(spent.cached_tokens_details.audio_tokens or 0, audio_in)
    elif spent and spent.cached_tokens:
        cached_text = min(spent.cached_tokens, text_in)
        cached_audio = min(spent.cached_tokens - cached_text, audio_in)
    output = usage.output_token_details
    return {
        "text_in": text_in - cached_text,
        "audio_in": audio_in - cached_audio,
        "cached_text_in": cached_text,
        "cached_audio_in": cached_audio,
        "text_out": (output.text_tokens or 0) if output else 0,
        "audio_out": (output.audio_tokens or 0) if output else 0,
    }


def transcription_tokens(usage: TranscriptionUsage) -> dict[str, int]:
    """Return a transcription's tokens by kind, or the milliseconds it is billed by (``transcribed_ms``)."""
    if usage.seconds is not None:
        return {"transcribed_ms": round(usage.seconds * 1000)}
    spent = usage.input_token_details
    return {
        "text_in": (spent.text_tokens or 0) if spent else 0,
        "audio_in": (spent.audio_tokens or 0) if spent else 0,
        "text_out": usage.output_tokens or 0,
    }
