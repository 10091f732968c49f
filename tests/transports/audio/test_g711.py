"""G.711 against a reference written from the segments of ITU-T G.711, tables 1a to 2b."""

from __future__ import annotations

import struct
import subprocess
import sys

import pytest

from callpipe.transports.audio.errors import BrokenSampleError
from callpipe.transports.audio.g711 import (
    MULAW_SILENCE,
    decode_alaw,
    decode_mulaw,
    encode_alaw,
    encode_mulaw,
)

ALL_CODES = bytes(range(256))
ALL_SAMPLES = range(-32_768, 32_768)


def pcm_of(samples: list[int] | range) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def samples_of(pcm: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(pcm) // 2}h", pcm))


def mulaw_value(code: int) -> int:
    """The 16-bit value of a mu-law code: 8 segments of 16 steps, each segment's steps twice the last's."""
    inverted = code ^ 0xFF
    segment, step = inverted >> 4 & 7, inverted & 15
    segment_start = 33 * 2**segment - 33  # in 14 bits, the middle of the segment's first step
    magnitude = (segment_start + step * 2 ** (segment + 1)) * 4
    return -magnitude if inverted & 0x80 else magnitude


def mulaw_code(sample: int) -> int:
    """The mu-law code of a 16-bit sample, found by searching the decision values."""
    value = sample >> 2
    magnitude = min(abs(value), 8_158)
    # The decision values x(n) of table 2a: 0, 1, 3 .. 31, 35 .. 95, 103 .. 223, .. 8159.
    lower_bounds = [0] + [
        32 * 2**segment - 33 + step * 2 ** (segment + 1)
        for segment in range(8)
        for step in range(16)
        if segment or step
    ]
    number = max(n for n, bound in enumerate(lower_bounds) if bound <= magnitude)
    return (number | (0x80 if value < 0 else 0)) ^ 0xFF


def alaw_value(code: int) -> int:
    """The 16-bit value of an A-law code: the middle of its step; segments 0 and 1 have equal steps."""
    plain = code ^ 0x55
    segment, step = plain >> 4 & 7, plain & 15
    step_width = 2 ** max(segment, 1)
    segment_start = 0 if segment == 0 else 32 * 2 ** (segment - 1)
    magnitude = (segment_start + step * step_width + step_width // 2) * 8
    return magnitude if plain & 0x80 else -magnitude


def alaw_code(sample: int) -> int:
    """The A-law code of a 16-bit sample, found by searching the decision values."""
    value = sample >> 3
    magnitude = value if value >= 0 else -value - 1
    lower_bounds = [
        (0 if segment == 0 else 32 * 2 ** (segment - 1)) + step * 2 ** max(segment, 1)
        for segment in range(8)
        for step in range(16)
    ]
    number = max(n for n, bound in enumerate(lower_bounds) if bound <= magnitude)
    return (number | (0x80 if value >= 0 else 0)) ^ 0x55


def test_every_mulaw_code_decodes_as_the_standard_says() -> None:
    assert samples_of(decode_mulaw(ALL_CODES)) == [mulaw_value(code) for code in ALL_CODES]


def test_every_alaw_code_decodes_as_the_standard_says() -> None:
    assert samples_of(decode_alaw(ALL_CODES)) == [alaw_value(code) for code in ALL_CODES]


def test_every_sample_encodes_to_mulaw_as_the_standard_says() -> None:
    codes = encode_mulaw(pcm_of(ALL_SAMPLES))
    by_value = {value: mulaw_code(value << 2) for value in range(-8_192, 8_192)}
    assert codes == bytes(by_value[sample >> 2] for sample in ALL_SAMPLES)


def test_every_sample_encodes_to_alaw_as_the_standard_says() -> None:
    codes = encode_alaw(pcm_of(ALL_SAMPLES))
    by_value = {value: alaw_code(value << 3) for value in range(-4_096, 4_096)}
    assert codes == bytes(by_value[sample >> 3] for sample in ALL_SAMPLES)


def test_values_printed_in_the_standard() -> None:
    assert samples_of(decode_mulaw(b"\x80\x00\xff\x7f")) == [8_031 * 4, -8_031 * 4, 0, 0]
    assert samples_of(decode_alaw(b"\xaa\x2a\xd5\x55")) == [4_032 * 8, -4_032 * 8, 1 * 8, -1 * 8]


def test_a_code_that_was_decoded_encodes_to_itself() -> None:
    without_negative_zero = bytes(code for code in ALL_CODES if code != 0x7F)
    assert encode_mulaw(decode_mulaw(without_negative_zero)) == without_negative_zero
    assert encode_alaw(decode_alaw(ALL_CODES)) == ALL_CODES


def test_silence_is_the_sample_zero() -> None:
    assert encode_mulaw(b"\x00\x00") == MULAW_SILENCE
    assert decode_mulaw(MULAW_SILENCE) == b"\x00\x00"


def test_no_audio_stays_no_audio() -> None:
    assert decode_mulaw(b"") == encode_mulaw(b"") == decode_alaw(b"") == encode_alaw(b"") == b""


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(BrokenSampleError, match="3 bytes") as refused:
        encode_mulaw(b"\x00\x00\x00")
    assert refused.value.size == 3
    with pytest.raises(BrokenSampleError):
        encode_alaw(b"\x00")


def test_importing_it_warns_of_nothing_and_leaves_other_warnings_alone() -> None:
    program = (
        "import warnings; import callpipe.transports.audio.g711\n"
        "try: warnings.warn('old', DeprecationWarning)\n"
        "except DeprecationWarning: print('raised')"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout.strip()) == (0, "raised"), run.stderr
