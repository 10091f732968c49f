"""Speech detection by the Silero model, whose weights are inside the pipecat package."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .edge_finder import EdgeFinder
from .extra import import_extra
from .interfaces import SpeechEdge

__all__ = ["SileroDetector"]

_SAMPLE_RATE = 8_000
_WINDOW = 256
_CONTEXT = 32
"""Samples before the window that the model also takes."""
_WINDOW_MS = _WINDOW * 1000 / _SAMPLE_RATE

_SPEECH_BEGINS = 0.5
_SPEECH_GOES_ON = 0.35
_MIN_SPEECH_MS = 64
_SILENCE = 0.1
_SILENCE_TO_FORGET_MS = 2_000
"""Silence after which the model's memory is cleared: what it has kept of it makes it slow to notice speech."""


class _Model(Protocol):
    def run(
        self, output_names: None, input_feed: Mapping[str, NDArray[np.generic]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...


class SileroDetector:
    """Finds speech by the Silero model.

    Speech has started with 64 ms of it, and has stopped with `silence_ms` without.

    Args:
        silence_ms: Milliseconds without speech that end it.

    Raises:
        MissingExtraError: The extra `offline` is not installed.
    """

    def __init__(self, silence_ms: int = 500) -> None:
        self._model = _model()
        self._incomplete = b""
        self._edges = EdgeFinder(frame_ms=_WINDOW_MS, onset_ms=_MIN_SPEECH_MS, silence_ms=silence_ms)
        self._forget()

    def detect(self, pcm: bytes) -> list[SpeechEdge]:
        """Take the next PCM16 mono audio at 8 kHz and give the edges found in it."""
        audio = self._incomplete + pcm
        whole = len(audio) - len(audio) % (2 * _WINDOW)
        self._incomplete = audio[whole:]
        samples = np.frombuffer(audio[:whole], "<i2").astype(np.float32) / np.float32(32768)
        edges = [self._edges.take(self._is_speech(window)) for window in samples.reshape(-1, _WINDOW)]
        return [edge for edge in edges if edge is not None]

    def _is_speech(self, window: NDArray[np.float32]) -> bool:
        needed = _SPEECH_GOES_ON if self._edges.speaking else _SPEECH_BEGINS
        return self._probability(window) >= needed

    def _probability(self, window: NDArray[np.float32]) -> float:
        """Return how likely the next window is speech."""
        samples = np.concatenate([self._context, window])
        inputs = {"input": samples[None], "state": self._state, "sr": np.array(_SAMPLE_RATE)}
        probability, self._state = self._model.run(None, inputs)
        self._context = window[-_CONTEXT:]
        self._silent_windows = self._silent_windows + 1 if probability[0, 0] < _SILENCE else 0
        if self._silent_windows * _WINDOW_MS >= _SILENCE_TO_FORGET_MS:
            self._forget()
        return float(probability[0, 0])

    def _forget(self) -> None:
        """Clear the model's memory."""
        self._silent_windows = 0
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)


@functools.cache
def _model() -> _Model:
    """Load the model; it keeps no state, so every stream of the process uses the same one."""
    runtime = import_extra("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    weights = resources.files("pipecat").joinpath("audio", "vad", "data", "silero_vad.onnx").read_bytes()
    return runtime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
