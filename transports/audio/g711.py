"""G.711: between PCM and the telephone's two encodings, mu-law (PCMU) and A-law (PCMA).

PCM is signed 16-bit little-endian. G.711 quantizes 14 bits (mu-law) or 13 (A-law); the lowest are cut off.
"""

from __future__ import annotations

import warnings

from .errors import BrokenSampleError

with warnings.catch_warnings():
    # Python 3.11 and 3.12 announce that 3.13 leaves audioop to audioop-lts, which is a dependency there.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

MULAW_SILENCE = b"\xff"
"""The mu-law code of the sample 0."""


def decode_mulaw(audio: bytes) -> bytes:
    """Return the PCM of mu-law audio, two bytes for each code."""
    return audioop.ulaw2lin(audio, 2)


def encode_mulaw(pcm: bytes) -> bytes:
    """Return the mu-law codes of PCM, one byte for each sample.

    Raises:
        BrokenSampleError: The PCM ends within a sample.
    """
    if len(pcm) % 2:
        raise BrokenSampleError(len(pcm))
    return audioop.lin2ulaw(pcm, 2)


def root_mean_square(pcm: bytes) -> int:
    """Return how loud PCM is: the root mean square of its samples, of which the last may be cut off."""
    return audioop.rms(pcm[: len(pcm) // 2 * 2], 2)


def decode_alaw(audio: bytes) -> bytes:
    """Return the PCM of A-law audio, two bytes for each code."""
    return audioop.alaw2lin(audio, 2)


def encode_alaw(pcm: bytes) -> bytes:
    """Return the A-law codes of PCM, one byte for each sample.

    Raises:
        BrokenSampleError: The PCM ends within a sample.
    """
    if len(pcm) % 2:
        raise BrokenSampleError(len(pcm))
    return audioop.lin2alaw(pcm, 2)
