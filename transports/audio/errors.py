"""Errors of audio without I/O."""

from __future__ import annotations

from ..errors import Fault, TransportsError


class BrokenSampleError(TransportsError):
    """PCM audio that ends within a sample.

    Attributes:
        size: Bytes of the audio, an odd number.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"16-bit samples take two bytes each, and {size} bytes end within one")
        self.size = size


class UnsupportedSampleRateError(TransportsError):
    """A sample rate the live resampler does not convert.

    Attributes:
        sample_rate: The rate in Hz.
    """

    fault = Fault.BOT_AUTHOR

    def __init__(self, sample_rate: int) -> None:
        super().__init__(f"a stream is resampled between 8, 16 and 24 kHz, not {sample_rate / 1000:g} kHz")
        self.sample_rate = sample_rate
