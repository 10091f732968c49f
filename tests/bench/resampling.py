"""The delay that positions don't show: a filter gives as many samples as it takes, but gives them later."""

import numpy as np

from callpipe.transports.audio.resampler import StreamResampler


def filter_delay_ms() -> float:
    """Return how much later a click leaves callpipe's resampler than it enters, the slower direction's."""
    return max(_delay_ms(8_000, 24_000), _delay_ms(24_000, 8_000))


def _delay_ms(from_rate: int, to_rate: int) -> float:
    clicked_at = from_rate // 10
    pcm = np.zeros(from_rate // 5, "<i2")
    pcm[clicked_at] = 30_000
    made = np.frombuffer(StreamResampler(from_rate, to_rate).resample(pcm.tobytes()), "<i2")
    return float(np.argmax(np.abs(made)) / to_rate - clicked_at / from_rate) * 1000
