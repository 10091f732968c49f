"""Text carried by tones: a voice, an ear and a detector that are exact, fast and need no weights.

A character lasts `CHARACTER_MS` and is two tones at once, all on a 100 Hz grid inside the telephone band:
one of ten high tones for the units of its code, one of ten low tones for the tens. Characters at even and
at odd positions take their low tones from two different sets. So two neighbours always differ, and an ear
that reads runs of equal tones needs no clock: drift, gaps and lost packets cost the characters they hit.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .edge_finder import EdgeFinder
from .interfaces import SpeechEdge

__all__ = ["CHARACTER_MS", "ToneDetector", "ToneEar", "ToneVoice"]

CHARACTER_MS = 40

_FIRST, _LAST = " ", "~"
"""Printable ASCII."""
_LOW_HZ = np.arange(400, 2400, 100)
"""Ten tens of even characters, then ten tens of odd ones."""
_HIGH_HZ = np.arange(2400, 3400, 100)
_AMPLITUDE = 3277
"""Of each of the two tones; together -20 dBFS RMS, as loud as speech."""
_RAMP_MS = 2

_WINDOW_MS = 20
_HOP_MS = 5
_PURITY = 4.0
"""Times the power of any other tone of its group that a tone needs; borders of characters have less."""
_FLOOR = 1e-4
"""Least power of a heard tone, as a share of a spoken one's: -40 dB."""
_NOTHING = -1
_LONGEST_MS = 1.5 * CHARACTER_MS
"""More of the same tones is the same character again, and the one between them was lost."""
_WORD_GAP_MS = 300
"""Silence that parts two utterances."""


class ToneVoice:
    """Speaks text as tones.

    Printable ASCII is carried; accents are dropped, other white space becomes a space, the rest "?".

    Args:
        sample_rate: 8000, 16000 or 24000 Hz.
    """

    def __init__(self, sample_rate: int = 8_000) -> None:
        if sample_rate not in (8_000, 16_000, 24_000):
            raise ValueError(f"tones are spoken at 8000, 16000 or 24000 Hz, not at {sample_rate}")
        self.sample_rate = sample_rate

    def speak(self, text: str) -> Iterator[bytes]:
        """Give one chunk of PCM16 mono, `CHARACTER_MS` long, for each character."""
        for position, character in enumerate(_printable(text)):
            yield _character_audio(character, position % 2, self.sample_rate)


class ToneEar:
    """Reads the text that a `ToneVoice` spoke."""

    def hear(self, pcm: bytes, sample_rate: int) -> str:
        """Give the text in PCM16 mono audio, "" when there are no tones in it.

        Damaged or cut characters are left out. Utterances at least 300 ms apart are joined by a space.

        Args:
            pcm: The audio.
            sample_rate: Hz, at least 8000.
        """
        text: list[str] = []
        ended = 0
        for run in _runs(*_windows(pcm, sample_rate)):
            if text and (run.first - ended) * _HOP_MS >= _WORD_GAP_MS:
                text.append(" ")
            text.append(chr(ord(_FIRST) + run.symbol % 100))
            ended = run.last
        return "".join(text)


class ToneDetector:
    """Finds speech by its energy; how the audio is cut into pieces makes no difference.

    Speech has started with 20 ms above -48 dBFS, and has stopped with `silence_ms` below it.

    Args:
        silence_ms: Milliseconds of silence that end speech.
    """

    _FRAME_MS = 10
    _FRAME_BYTES = _FRAME_MS * 8 * 2
    _ONSET_MS = 20
    _LOUD = (32768 * 10 ** (-48 / 20)) ** 2
    """Mean square of a loud frame's samples."""

    def __init__(self, silence_ms: int = 500) -> None:
        self._incomplete = b""
        self._edges = EdgeFinder(frame_ms=self._FRAME_MS, onset_ms=self._ONSET_MS, silence_ms=silence_ms)

    def detect(self, pcm: bytes) -> list[SpeechEdge]:
        """Take the next PCM16 mono audio at 8 kHz and give the edges found in it."""
        audio = self._incomplete + pcm
        whole = len(audio) - len(audio) % self._FRAME_BYTES
        self._incomplete = audio[whole:]
        samples = np.frombuffer(audio[:whole], "<i2").astype(np.float64)
        power = (samples.reshape(-1, self._FRAME_BYTES // 2) ** 2).mean(axis=1)
        edges = [self._edges.take(bool(loud)) for loud in power > self._LOUD]
        return [edge for edge in edges if edge is not None]


@dataclass
class _Run:
    """Windows that show one character."""

    symbol: int
    first: int
    last: int
    peak: float
    total: float
    """Sum of the windows' loudness."""

    def takes(self, symbol: int, window: int, loudness: float) -> bool:
        """Return whether a window shows more of this character: its tones, before it has had its time."""
        if symbol != self.symbol or (window - self.last) * _HOP_MS >= _WORD_GAP_MS:
            return False
        return (self.total + loudness) * _HOP_MS <= _LONGEST_MS * max(self.peak, loudness)

    def take(self, window: int, loudness: float) -> None:
        """Add a window."""
        self.last = window
        self.peak = max(self.peak, loudness)
        self.total += loudness


def _printable(text: str) -> str:
    """Return the text in printable ASCII."""
    plain = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(" " if c.isspace() else c if _FIRST <= c <= _LAST else "?" for c in plain)


@functools.lru_cache(maxsize=1024)
def _character_audio(character: str, parity: int, sample_rate: int) -> bytes:
    tens, units = divmod(ord(character) - ord(_FIRST), 10)
    time_s = np.arange(sample_rate * CHARACTER_MS // 1000) / sample_rate
    wave = np.sin(2 * np.pi * _LOW_HZ[10 * parity + tens] * time_s)
    wave += np.sin(2 * np.pi * _HIGH_HZ[units] * time_s)
    ramp = np.linspace(0, 1, sample_rate * _RAMP_MS // 1000)
    wave[: len(ramp)] *= ramp
    wave[-len(ramp) :] *= ramp[::-1]
    return (wave * _AMPLITUDE).round().astype("<i2").tobytes()


@functools.cache
def _analysis(sample_rate: int) -> NDArray[np.complex128]:
    """Return a matrix, samples of a window by tones, that gives 1 for a tone as loud as it is spoken."""
    size = sample_rate * _WINDOW_MS // 1000
    window = np.hanning(size + 1)[:-1]
    turns = np.outer(np.arange(size) / sample_rate, np.concatenate([_LOW_HZ, _HIGH_HZ]))
    return window[:, None] * np.exp(-2j * np.pi * turns) * (2 / window.sum() / _AMPLITUDE)


def _windows(pcm: bytes, sample_rate: int) -> tuple[list[int], list[float]]:
    """Return the symbol (parity, tens, units) and the loudness around every multiple of `_HOP_MS`."""
    analysis = _analysis(sample_rate)
    size, hop = len(analysis), sample_rate * _HOP_MS // 1000
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, size // 2), size)[::hop]
    power = np.abs(windows @ analysis) ** 2
    low, low_is_pure = _loudest(power[:, : len(_LOW_HZ)])
    high, high_is_pure = _loudest(power[:, len(_LOW_HZ) :])
    symbols = 10 * low + high
    carried = low_is_pure & high_is_pure & (symbols % 100 <= ord(_LAST) - ord(_FIRST))
    return np.where(carried, symbols, _NOTHING).tolist(), np.sqrt(power.max(axis=1)).tolist()


def _loudest(power: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the loudest tone of every window, and whether it stands clear of the others and of silence."""
    first = power.max(axis=1)
    second = np.partition(power, -2, axis=1)[:, -2]
    return power.argmax(axis=1), (first > _FLOOR) & (first > _PURITY * second)


def _runs(symbols: list[int], loudness: list[float]) -> list[_Run]:
    """Return the characters that show in the windows."""
    runs: list[_Run] = []
    for window, symbol in enumerate(symbols):
        if symbol == _NOTHING:
            continue
        if runs and runs[-1].takes(symbol, window, loudness[window]):
            runs[-1].take(window, loudness[window])
        else:
            runs.append(_Run(symbol, window, window, loudness[window], loudness[window]))
    return [run for run in runs if run.last > run.first]
