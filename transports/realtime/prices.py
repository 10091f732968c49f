"""What the models' tokens and seconds cost, by a dated table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import Fault, TransportsError
from .events import InputTokens, TokenCounts, TranscriptionUsage, Usage

_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")

Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PriceFileError(TransportsError):
    """A file of prices can't be used.

    Attributes:
        path: The file.
        explanation: What is wrong with it.
    """

    fault = Fault.OPERATOR

    def __init__(self, path: Path, explanation: str) -> None:
        super().__init__(f"the prices in {path} can't be used: {explanation}")
        self.path = path
        self.explanation = explanation


class ModelPrices(BaseModel):
    """What one model costs, in US dollars; None where its price is not known.

    Attributes:
        text_in: A million tokens of text that are not cached.
        cached_text_in: A million cached tokens of text.
        text_out: A million generated tokens of text.
        audio_in: A million tokens of audio that are not cached.
        cached_audio_in: A million cached tokens of audio.
        audio_out: A million generated tokens of audio.
        transcribed_minute: A minute of transcribed audio, for models that are billed so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_in: Usd | None = None
    cached_text_in: Usd | None = None
    text_out: Usd | None = None
    audio_in: Usd | None = None
    cached_audio_in: Usd | None = None
    audio_out: Usd | None = None
    transcribed_minute: Usd | None = None

    def of_one(self, kind: str) -> float | None:
        """Return what one token of a kind costs, or one millisecond when the kind is ``transcribed_ms``."""
        if kind == "transcribed_ms":
            return None if self.transcribed_minute is None else self.transcribed_minute / 60_000
        million: float | None = getattr(self, kind) if kind in type(self).model_fields else None
        return None if million is None else million / 1_000_000


class PriceTable(BaseModel):
    """What the models cost.

    Attributes:
        as_of: When the prices held.
        models: The prices by the model's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    models: Mapping[str, ModelPrices]

    def price(self, model: str, tokens: Mapping[str, int]) -> float | None:
        """Return the price in US dollars, or None when the model, or a kind that it used, has none.

        Args:
            model: The model's name; a dated snapshot that is not in the table costs what its model does.
            tokens: Counts by kind, as `response_tokens` and `transcription_tokens` give them: nothing is
                counted twice.
        """
        prices = self.models.get(model) or self.models.get(_SNAPSHOT.sub("", model))
        if prices is None:
            return None
        total = 0.0
        for kind, count in tokens.items():
            of_one = prices.of_one(kind) if count else 0.0
            if of_one is None:
                return None
            total += of_one * count
        return total

    def updated(self, other: PriceTable) -> PriceTable:
        """Return this table with the models of another, and its date; a model is replaced as a whole."""
        return PriceTable(as_of=other.as_of, models={**self.models, **other.models})


def read_prices(path: Path) -> PriceTable:
    """Read a YAML file of prices; `prices.yaml` beside this file is one.

    Raises:
        PriceFileError: It can't be read, or is none.
    """
    try:
        return PriceTable.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as failure:
        raise PriceFileError(path, failure.strerror or str(failure)) from None
    except ValidationError as refused:
        first = refused.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise PriceFileError(path, f"{place}: {first['msg']}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as broken:
        raise PriceFileError(path, f"it is no YAML: {broken}") from None


PUBLISHED = read_prices(Path(__file__).with_name("prices.yaml"))
"""OpenAI's list prices."""

_in_force = PUBLISHED


def use_prices(path: Path | None) -> PriceTable:
    """Price all usage of this process with the published table as a file changes it; None for as it is.

    Prices are the operator's: bots don't pass them on. A server calls this once, at its start.

    Returns:
        The table in force from now on.

    Raises:
        PriceFileError: The file can't be used; the table in force stays.
    """
    global _in_force  # noqa: PLW0603  one table a process, as there is one operator
    _in_force = PUBLISHED if path is None else PUBLISHED.updated(read_prices(path))
    return _in_force


def price(model: str, tokens: Mapping[str, int]) -> float | None:
    """Return the price by the table in force; see `PriceTable.price`."""
    return _in_force.price(model, tokens)


def response_tokens(usage: Usage) -> dict[str, int]:
    """Return a response's tokens by kind; ``text_in`` and ``audio_in`` are without the cached ones."""
    spent = usage.input_token_details or InputTokens()
    text_in, audio_in = _count(spent.text_tokens), _count(spent.audio_tokens)
    if spent.cached_tokens_details is not None:
        cached_text = min(_count(spent.cached_tokens_details.text_tokens), text_in)
        cached_audio = min(_count(spent.cached_tokens_details.audio_tokens), audio_in)
    else:
        cached_text = min(_count(spent.cached_tokens), text_in)
        cached_audio = min(_count(spent.cached_tokens) - cached_text, audio_in)
    output = usage.output_token_details or TokenCounts()
    return {
        "text_in": text_in - cached_text,
        "audio_in": audio_in - cached_audio,
        "cached_text_in": cached_text,
        "cached_audio_in": cached_audio,
        "text_out": _count(output.text_tokens),
        "audio_out": _count(output.audio_tokens),
    }


def transcription_tokens(usage: TranscriptionUsage) -> dict[str, int]:
    """Return a transcription's tokens by kind, or the milliseconds it is billed by (``transcribed_ms``)."""
    if usage.seconds is not None:
        return {"transcribed_ms": _count(round(usage.seconds * 1000))}
    spent = usage.input_token_details or InputTokens()
    return {
        "text_in": _count(spent.text_tokens),
        "audio_in": _count(spent.audio_tokens),
        "text_out": _count(usage.output_tokens),
    }


def _count(told: int | None) -> int:
    """Return a count as the server tells it; nothing, or less than nothing, is none."""
    return max(told or 0, 0)
