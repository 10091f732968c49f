"""A voice from a small neural model whose weights are inside its package: hibari-tts."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .extra import import_extra

__all__ = ["HibariVoice"]

_CHUNK_BYTES = 24_000 * 2 // 10
"""100 ms."""
_SEED = 0
_LOUD = 0.005
"""Least amplitude of speech, as a share of full scale."""
_LEAD_SAMPLES = 24_000 // 20
_TAIL_SAMPLES = 24_000 // 4
"""Silence kept before and after a sentence: 50 and 250 ms of its 300 and 500."""


class _Synthesizer(Protocol):
    def stream(self, text: str, *, seed: int) -> Iterator[NDArray[np.float32]]: ...


class HibariVoice:
    """Speaks English; the same text is always the same audio.

    Sentences are synthesized one by one as the audio is taken, one at a time in a process.

    Raises:
        MissingExtraError: The extra `offline` is not installed.
    """

    sample_rate = 24_000

    def __init__(self) -> None:
        self._synthesizer = _synthesizer()

    def speak(self, text: str) -> Iterator[bytes]:
        """Give the text as PCM16 mono chunks of at most 100 ms."""
        sentences = self._synthesizer.stream(text, seed=_SEED)
        while True:
            with _one_at_a_time:
                sentence = next(sentences, None)
            if sentence is None:
                return
            pcm = (_without_edges(sentence).clip(-1, 1) * 32767).astype("<i2").tobytes()
            yield from (pcm[at : at + _CHUNK_BYTES] for at in range(0, len(pcm), _CHUNK_BYTES))

    def warm_up(self) -> None:
        """Speak once unheard: the first sentence of a process takes half a second longer than the others."""
        for _ in self.speak("Hello."):
            pass


def _without_edges(sentence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sentence with less silence around it."""
    loud = np.flatnonzero(np.abs(sentence) > _LOUD)
    if not len(loud):
        return sentence
    return sentence[max(0, loud[0] - _LEAD_SAMPLES) : loud[-1] + _TAIL_SAMPLES]


_one_at_a_time = threading.Lock()


@functools.cache
def _synthesizer() -> _Synthesizer:
    return import_extra("hibari").Hibari()
