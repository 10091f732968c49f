"""BXML documents: Bandwidth's verbs, written so that text can never become a verb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bandwidth.models.bxml import Verb


@dataclass(frozen=True, slots=True)
class Ssml:
    """Text for `SpeakSentence` that is SSML markup, not words to be read as they stand."""

    markup: str = field(repr=False)


def to_bxml(verbs: Sequence[Verb]) -> str:
    """Return the BXML document of some verbs."""
    raise NotImplementedError
