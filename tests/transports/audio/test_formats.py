"""Formats turn bytes into time and back, and say what they are."""

import pytest

from callpipe.transports.audio.formats import (
    PCM_8K,
    PCM_24K,
    PCMA_8K,
    PCMU_8K,
    AudioFormat,
    Encoding,
    Tracks,
)

STEREO = AudioFormat(Encoding.PCM, 48_000, 2)


@pytest.mark.parametrize(
    ("audio_format", "size"), [(PCMU_8K, 160), (PCMA_8K, 160), (PCM_8K, 320), (PCM_24K, 960), (STEREO, 3840)]
)
def test_twenty_milliseconds_take_as_many_bytes_as_the_format_says(
    audio_format: AudioFormat, size: int
) -> None:
    assert audio_format.size(20.0) == size
    assert audio_format.duration_ms(size) == 20.0


def test_a_piece_of_a_sample_is_left_out() -> None:
    assert PCM_8K.size(0.3) == 4
    assert STEREO.size(0.03) == 4


@pytest.mark.parametrize(
    ("audio_format", "told"),
    [
        (PCMU_8K, "PCMU 8 kHz"),
        (AudioFormat(Encoding.PCM, 22_050), "PCM 22.05 kHz"),
        (STEREO, "PCM 48 kHz, 2 channels"),
    ],
)
def test_a_format_says_what_it_is(audio_format: AudioFormat, told: str) -> None:
    assert str(audio_format) == told


def test_a_track_changes_alone() -> None:
    tracks = Tracks(caller=PCMU_8K, bot=PCM_24K)
    assert tracks.with_caller(None) == Tracks(None, PCM_24K)
    assert tracks.with_bot(PCM_8K) == Tracks(PCMU_8K, PCM_8K)
