"""Resampling of live audio with two milliseconds of delay, in telephone-band quality.

A linear-phase low-pass filter, a sinc in a Kaiser window, is applied at a rate both sample rates divide. Only
the products that count are formed: `M` samples in make `L` samples out, a cycle, and a matrix product turns 8
cycles' samples and those before them into 8 cycles' output. Every cycle is 1/8000 s long, whatever the rates.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .errors import BrokenSampleError, UnsupportedSampleRateError

SAMPLE_RATES = (8_000, 16_000, 24_000)
"""The rates of the telephone and of the models, in Hz."""

_LOBES = 16
"""Zero crossings of the sinc on either side, which are the filter's delay in samples of the lower rate."""

_KAISER_BETA = 6.0
"""Stop band at -63 dB: 8 kHz audio passes up to 3.5 kHz, and what could fold back stops from 4.5 kHz on."""

_TAP_PRECISION = 2.0**24
"""Taps are whole multiples of its inverse. Products and sums are then exact in 64-bit floats, so the order
they are added in, which depends on the chunk's size, can't change a single bit."""

_BLOCK = 8
"""Cycles of one row of the matrix product: more would multiply more zeros, fewer would make more rows."""

_CYCLES = 480
"""Cycles that are filtered at once: 60 ms."""

WORK_SPACES = 64
"""Lengths of chunks that a thread keeps room for; a call has few."""


class StreamResampler:
    """Converts a mono stream of 16-bit PCM to another sample rate, chunk by chunk.

    The output does not depend on how the stream is cut into chunks. Samples beyond 16 bits are limited.

    Args:
        from_rate: Sample rate of what comes in, in Hz: 8,000, 16,000 or 24,000.
        to_rate: Sample rate of what goes out, in Hz: one of the same.

    Attributes:
        delay_ms: How much later the output is than the input.

    Raises:
        UnsupportedSampleRateError: Another sample rate.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        for rate in (from_rate, to_rate):
            if rate not in SAMPLE_RATES:
                raise UnsupportedSampleRateError(rate)
        self.delay_ms = 0.0 if from_rate == to_rate else _LOBES * 1000 / min(from_rate, to_rate)
        self._filter = None if from_rate == to_rate else _Filter(_design(from_rate, to_rate))

    def resample(self, pcm: bytes) -> bytes:
        """Return what the next chunk of the stream makes; it may have any length.

        Raises:
            BrokenSampleError: The chunk ends within a sample; nothing of it was taken.
        """
        if len(pcm) % 2:
            raise BrokenSampleError(len(pcm))
        return pcm if self._filter is None else self._filter.push(np.frombuffer(pcm, "<i2"))

    def flush(self) -> bytes:
        """Return the tail the filter holds, `delay_ms` long, and make ready for another stream."""
        if self._filter is None:
            return b""
        tail = self._filter.drain()
        self._filter.reset()
        return tail

    def reset(self) -> None:
        """Forget the stream; the next chunk begins another one."""
        if self._filter is not None:
            self._filter.reset()


@dataclass(frozen=True, slots=True, eq=False)
class _Design:
    """A filter for one pair of sample rates.

    Attributes:
        samples_in: Samples a cycle takes.
        samples_out: Samples a cycle makes.
        history: Samples before a cycle that count for it.
        delay: The filter's delay, in samples that come in.
        matrix: From `history` and a block's samples (rows) to the block's output (columns).
    """

    samples_in: int
    samples_out: int
    history: int
    delay: int
    matrix: NDArray[np.float64]


@lru_cache
def _design(from_rate: int, to_rate: int) -> _Design:
    filter_rate = math.lcm(from_rate, to_rate)
    up, down = filter_rate // from_rate, filter_rate // to_rate
    lower_rate = min(from_rate, to_rate)
    centre = _LOBES * filter_rate // lower_rate
    times = np.arange(-centre, centre + 1) * (lower_rate / filter_rate)
    taps = np.sinc(times) * np.kaiser(2 * centre + 1, _KAISER_BETA)
    taps = np.rint(taps * (up / taps.sum() * _TAP_PRECISION)) / _TAP_PRECISION

    history = 2 * centre // up
    coming, going = np.arange(history + _BLOCK * down), np.arange(_BLOCK * up)
    tap = going[np.newaxis, :] * down - (coming[:, np.newaxis] - history) * up
    matrix = np.where((tap >= 0) & (tap < taps.size), taps[np.clip(tap, 0, taps.size - 1)], 0.0)
    return _Design(down, up, history, centre // up, matrix)


class _WorkSpace:
    """Room for what is made on the way, so that filtering needs no memory but the bytes that are returned.

    Args:
        rows: Room for the blocks' samples and those before them.
        blocks: Room for what the blocks make.
        cycles: How many cycles it is for.
    """

    def __init__(self, rows: NDArray[np.float64], blocks: NDArray[np.float64], cycles: int) -> None:
        whole, rest = divmod(cycles, _BLOCK)
        samples_out = blocks.shape[1] // _BLOCK
        self.rows = rows[:whole]
        self.blocks = blocks[:whole]
        self.output = blocks.reshape(-1)[: cycles * samples_out]
        self.rest = self.output[whole * _BLOCK * samples_out :] if rest else None
        self.pcm = np.empty(cycles * samples_out, "<i2")


class _WorkSpaces(threading.local):
    """One for each design, number of cycles and thread: all calls of a thread use it, one after the other."""

    def __init__(self) -> None:
        room = lru_cache(_room)

        @lru_cache(WORK_SPACES)
        def work_space(design: _Design, cycles: int) -> _WorkSpace:
            return _WorkSpace(*room(design), cycles)

        self.of = work_space


def _room(design: _Design) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    blocks = _CYCLES // _BLOCK
    return np.empty((blocks, design.matrix.shape[0])), np.empty((blocks, _BLOCK * design.samples_out))


_work_spaces = _WorkSpaces()


class _Filter:
    """The filter's state."""

    def __init__(self, design: _Design) -> None:
        self._design = design
        self._room = _CYCLES * design.samples_in
        self._line = np.zeros(design.history + self._room, "<i2")  # a quarter of what floats would take
        self._waiting = 0  # samples of an unfinished cycle; they stand in the line behind the history
        self._windows = sliding_window_view(self._line, design.matrix.shape[0])[:: _BLOCK * design.samples_in]

    def reset(self) -> None:
        self._line[:] = 0
        self._waiting = 0

    def push(self, samples: NDArray[np.int16]) -> bytes:
        """Return what samples make, and keep those of an unfinished cycle."""
        if len(samples) <= self._room - self._waiting:
            return self._push(samples)
        made: list[bytes] = []
        while len(samples):
            fitting = self._room - self._waiting
            made.append(self._push(samples[:fitting]))
            samples = samples[fitting:]
        return b"".join(made)

    def drain(self) -> bytes:
        """Return what is left when only silence follows."""
        design = self._design
        coming, going = design.samples_in, design.samples_out
        due = -(-self._waiting * going // coming) + design.delay * going // coming
        rest_of_cycle = -self._waiting % coming
        return self.push(np.zeros(rest_of_cycle + design.delay, "<i2"))[: 2 * due]

    def _push(self, samples: NDArray[np.int16]) -> bytes:
        design, line = self._design, self._line
        start = design.history + self._waiting
        line[start : start + len(samples)] = samples
        cycles, self._waiting = divmod(self._waiting + len(samples), design.samples_in)
        made = self._filter(cycles)
        used = cycles * design.samples_in
        kept = design.history + self._waiting
        line[:kept] = line[used : used + kept]
        return made

    def _filter(self, cycles: int) -> bytes:
        """Filter the line's first cycles."""
        design = self._design
        space = _work_spaces.of(design, cycles)
        rows, output, pcm = space.rows, space.output, space.pcm
        if len(rows):
            # A matrix product of overlapping windows would copy them into new memory, so copy them into ours.
            np.copyto(rows, self._windows[: len(rows)])
            np.matmul(rows, design.matrix, out=space.blocks)
        if space.rest is not None:
            start = len(rows) * _BLOCK * design.samples_in
            width = design.history + cycles % _BLOCK * design.samples_in
            space.rest[:] = self._line[start : start + width] @ design.matrix[:width, : len(space.rest)]
        np.rint(output, out=output)
        np.minimum(output, 32767.0, out=output)
        np.maximum(output, -32768.0, out=output)
        pcm[...] = output
        return pcm.tobytes()
