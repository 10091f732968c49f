"""What Whisper is given, and what is made of what it says; the model itself is put in by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from callpipe.transports.speech import whisper_ear
from callpipe.transports.speech.whisper_ear import WhisperEar, _log_mel  # pyright: ignore[reportPrivateUsage]

SECOND = 16_000


def as_published(samples: NDArray[np.float32], frames: int) -> NDArray[np.float64]:
    """Whisper's features as its paper and Slaney's Auditory Toolbox tell them, band by band, frame by frame."""

    def hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))

    corners = hertz(np.linspace(0, 15 + 27 * math.log(8) / math.log(6.4), 82))
    spectrum = np.arange(201) * 40.0
    bands = np.array(
        [
            np.interp(spectrum, corners[band : band + 3], [0, 1, 0]) * 2 / (corners[band + 2] - corners[band])
            for band in range(80)
        ]
    )
    audio = np.zeros(160 * frames)
    audio[: len(samples)] = samples
    padded = np.concatenate([audio[200:0:-1], audio, audio[-2:-202:-1]])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = [np.abs(np.fft.rfft(padded[160 * frame :][:400] * hann)) ** 2 for frame in range(frames)]
    decades = np.log10(np.maximum(bands @ np.array(power).T, 1e-10))
    return (np.maximum(decades, decades.max() - 8) + 4) / 4


def test_features_are_those_whisper_was_trained_on() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 4_000).astype(np.float32)
    noise[1_000:2_000] *= 1e-5
    features = _log_mel(noise, 50)

    assert features.dtype == np.float32
    np.testing.assert_allclose(features, as_published(noise, 50), atol=1e-4)


def test_silence_is_at_the_floor_and_what_is_too_long_is_cut() -> None:
    assert set(_log_mel(np.zeros(SECOND, np.float32), 100).ravel().tolist()) == {-1.5}
    assert _log_mel(np.ones(SECOND, np.float32), 50).shape == (80, 50)


@dataclass
class Recognizer:
    """Says what it is told to say, each time the next, and notes what it was given."""

    says: list[list[int]]
    score: float = -0.1
    no_speech: float = 0.0
    frames: list[int] = field(default_factory=list[int])
    longest: list[int] = field(default_factory=list[int])

    def generate(self, features: Any, prompts: list[list[int]], **options: Any) -> list[Any]:
        self.frames.append(features.shape[2])
        self.longest.append(options["max_length"])
        result = SimpleNamespace(
            sequences_ids=[self.says.pop(0)], scores=[self.score], no_speech_prob=self.no_speech
        )
        return [result]


class Letters:
    """Tokens that are characters; as Whisper's, words begin with a space."""

    def decode(self, ids: Sequence[int]) -> str:
        return " " + "".join(map(chr, ids))

    def token_to_id(self, token: str) -> int:
        return len(token)


def tokens(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def _storage(_module: str) -> Any:
    """Stands for the package that keeps features for the model."""

    def as_it_is(array: object) -> object:
        return array

    return SimpleNamespace(StorageView=SimpleNamespace(from_array=as_it_is))


def heard(monkeypatch: pytest.MonkeyPatch, recognizer: Recognizer, seconds: float) -> str:
    whisper = whisper_ear._Whisper(recognizer, Letters(), [1, 2])  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(whisper_ear, "_whisper", lambda: whisper)
    monkeypatch.setattr(whisper_ear, "import_extra", _storage)
    return WhisperEar().hear(b"\x00\x10" * int(seconds * SECOND), SECOND)


@pytest.mark.parametrize(("seconds", "frames"), [(1, 800), (7, 800), (7.5, 850), (20, 2_100), (29, 3_000)])
def test_whisper_is_given_8_s_or_a_second_more_than_there_is(
    monkeypatch: pytest.MonkeyPatch, seconds: float, frames: int
) -> None:
    recognizer = Recognizer([tokens("yes")])

    assert heard(monkeypatch, recognizer, seconds) == "yes"
    assert recognizer.frames == [frames]


def test_more_than_29_s_are_heard_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = Recognizer([tokens("one"), [], tokens("two")])

    assert heard(monkeypatch, recognizer, 70) == "one two"
    assert recognizer.frames == [3_000, 3_000, 1_300]


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("a" * 20, False),
        ("a" * 21, True),  # with two tokens of the prompt all the 23 that a second may have
        ("Yes. Yes.", True),
        ("table for two", False),
    ],
)
def test_a_text_that_does_not_end_or_repeats_itself_is_read_again_in_30_s(
    monkeypatch: pytest.MonkeyPatch, first: str, again: bool
) -> None:
    recognizer = Recognizer([tokens(first), tokens("once more")])

    assert heard(monkeypatch, recognizer, 1) == ("once more" if again else first)
    assert recognizer.frames == ([800, 3_000] if again else [800])
    assert set(recognizer.longest) == {16 + 7}


@pytest.mark.parametrize(
    ("no_speech", "score", "text"),
    [(0.7, -1.1, ""), (0.7, -0.9, "yes"), (0.5, -1.1, "yes"), (0.6, -1.1, "yes"), (0.7, -1.0, "yes")],
)
def test_what_whisper_guesses_where_it_hears_no_speech_was_not_said(
    monkeypatch: pytest.MonkeyPatch, no_speech: float, score: float, text: str
) -> None:
    recognizer = Recognizer([tokens("yes")], score, no_speech)

    assert heard(monkeypatch, recognizer, 1) == text
    assert recognizer.frames == [800]


def test_marks_are_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heard(monkeypatch, Recognizer([[*tokens("yes"), 50_256, 50_257]]), 1) == "yes"
