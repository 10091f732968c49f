"""What the Silero model is given, and what its probabilities make; the model itself is put in by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from callpipe.transports.speech import silero_detector
from callpipe.transports.speech.interfaces import SpeechEdge
from callpipe.transports.speech.silero_detector import SileroDetector

WINDOW_MS = 32


class Model:
    """Gives the probabilities it is told, 0.2 after them, and notes what it was given."""

    def __init__(self, probabilities: Sequence[float]) -> None:
        self._probabilities = list(probabilities)
        self.inputs: list[NDArray[np.generic]] = []
        self.states: list[float] = []

    def run(
        self, output_names: None, input_feed: Mapping[str, NDArray[np.generic]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        assert (input_feed["sr"], input_feed["state"].shape) == (8_000, (2, 1, 128))
        self.inputs.append(input_feed["input"])
        self.states.append(float(input_feed["state"].sum()))
        probability = self._probabilities.pop(0) if self._probabilities else 0.2
        return np.array([[probability]], np.float32), np.ones((2, 1, 128), np.float32)


def given(monkeypatch: pytest.MonkeyPatch, probabilities: Sequence[float]) -> tuple[Model, SileroDetector]:
    model = Model(probabilities)
    monkeypatch.setattr(silero_detector, "_model", lambda: model)
    return model, SileroDetector(silence_ms=64)


def test_the_model_is_given_each_window_behind_the_end_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, detector = given(monkeypatch, [])
    samples = np.arange(256 * 2 + 10, dtype="<i2") * 64
    detector.detect(samples.tobytes())

    first, second = (inputs[0] * 512 for inputs in model.inputs)
    assert first.tolist() == [0] * 32 + list(range(256))
    assert second.tolist() == list(range(256 - 32, 512))
    assert model.states == [0, 256]

    detector.detect(bytes(2 * 246))
    assert len(model.inputs) == 3


@pytest.mark.parametrize(
    ("probabilities", "edges"),
    [
        ([0.2, 0.5, 0.5], [SpeechEdge(True, WINDOW_MS)]),
        ([0.2, 0.49, 0.49, 0.49], []),
        ([0.2, 0.5, 0.2, 0.5, 0.2], []),
        ([0.5, 0.5, 0.36, 0.36, 0.36], [SpeechEdge(True, 0.0)]),
        ([0.5, 0.5, 0.34, 0.34], [SpeechEdge(True, 0.0), SpeechEdge(False, 2 * WINDOW_MS)]),
    ],
)
def test_speech_begins_with_more_than_it_goes_on_with(
    monkeypatch: pytest.MonkeyPatch, probabilities: list[float], edges: list[SpeechEdge]
) -> None:
    _, detector = given(monkeypatch, probabilities)

    assert detector.detect(bytes(512 * len(probabilities))) == edges


@pytest.mark.parametrize(
    ("probabilities", "forgotten"),
    [
        ([0.05] * 63, True),
        ([0.05] * 62, False),
        ([0.11] * 63, False),
        ([*[0.05] * 40, 0.3, *[0.05] * 62], False),
        ([*[0.05] * 40, 0.3, *[0.05] * 63], True),
    ],
)
def test_two_seconds_of_silence_are_forgotten(
    monkeypatch: pytest.MonkeyPatch, probabilities: list[float], forgotten: bool
) -> None:
    model, detector = given(monkeypatch, probabilities)
    detector.detect(b"\x01\x00" * 256 * (len(probabilities) + 2))

    assert (model.states[-2] == 0) is forgotten
    assert (not model.inputs[-2][0, :32].any()) is forgotten
    assert model.states[-1] != 0
