"""The file can be read at any moment, is private, and is continued by the next writer."""

import stat
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from callpipe.processors.wav import MAX_SAMPLES, NotOurWavError, StereoWavWriter, WavFullError

HEADER = 92
BEGAN = 1_700_000_000.25


def audio(*values: int) -> bytes:
    """Return samples with the value on the left and its negative on the right."""
    return b"".join(struct.pack("<hh", value, -value) for value in values)


def left_of(path: Path) -> list[int]:
    """Read a file as any program would, check what it says of itself, and return the left channel."""
    with wave.open(str(path)) as reading:
        assert (reading.getnchannels(), reading.getsampwidth(), reading.getframerate()) == (2, 2, 8_000)
        samples = np.frombuffer(reading.readframes(reading.getnframes()), "<i2").reshape(-1, 2)
    assert (samples[:, 0] == -samples[:, 1]).all()
    return samples[:, 0].tolist()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_can_be_read_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    writer = StereoWavWriter(path, BEGAN)
    assert left_of(path) == []
    for second in range(4):
        writer.write(second * 4_000, audio(*[second] * 4_000))
        assert len(left_of(path)) == (second + 1) * 4_000
    writer.write(16_000, audio(7))
    assert len(left_of(path)) == 16_000, "twice a second is enough"
    assert path.stat().st_size == HEADER + 4 * 16_001
    writer.close()
    assert left_of(path)[16_000:] == [7]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "calls" / "c-1" / "call.wav"
    StereoWavWriter(path, BEGAN).close()
    assert mode(path) == 0o600
    assert mode(path.parent) == mode(path.parent.parent) == 0o700


def test_gaps_are_silence_and_what_is_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    writer = StereoWavWriter(path, BEGAN)
    writer.write(2, audio(1, 2))
    writer.write(3, audio(8, 9))
    writer.write(0, audio(7))
    writer.write(6, audio(3))
    writer.close()
    assert left_of(path) == [0, 0, 1, 2, 9, 0, 3]


def test_the_next_writer_continues(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    first = StereoWavWriter(path, BEGAN)
    first.write(0, audio(1, 2))
    first.close()
    second = StereoWavWriter(path, BEGAN)
    assert second.samples == 2
    second.write(second.samples, audio(3))
    second.close()
    assert left_of(path) == [1, 2, 3]


def test_it_tells_when_it_begins_and_the_next_writer_knows(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    StereoWavWriter(path, BEGAN).close()
    assert b"ICRD\x1c\0\0\x002023-11-14T22:13:20.250000Z\0data" in path.read_bytes()
    continued = StereoWavWriter(path, BEGAN + 5)
    assert continued.begins_at == BEGAN
    continued.close()


def test_silence_follows_until_a_time_that_it_does_not_reach(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    writer = StereoWavWriter(path, BEGAN)
    writer.write(0, audio(1, 2))
    writer.lengthen(BEGAN + 4 / 8_000)
    writer.lengthen(BEGAN + 3 / 8_000)
    assert left_of(path) == [1, 2, 0, 0]
    with pytest.raises(WavFullError):
        writer.lengthen(BEGAN + 1e6)
    writer.close()


def test_a_file_whose_sizes_were_not_written_is_read_and_continued(tmp_path: Path) -> None:
    """The writer died between the samples and the header, in the middle of a sample even."""
    path = tmp_path / "call.wav"
    writer = StereoWavWriter(path, BEGAN)
    writer.write(0, audio(1))
    writer.close()
    with path.open("ab") as file:
        file.write(audio(2, 3)[:-1])
    assert left_of(path) == [1]
    with path.open("rb") as file:
        assert file.read(HEADER)[-4:] == struct.pack("<I", 4)
    continued = StereoWavWriter(path, BEGAN)
    assert left_of(path) == [1, 2]
    continued.write(2, audio(4))
    continued.close()
    assert left_of(path) == [1, 2, 4]
    assert path.stat().st_size == HEADER + 3 * 4


@pytest.mark.parametrize("written", range(0, HEADER, 7))
def test_a_writer_that_died_within_the_header_left_an_empty_file(tmp_path: Path, written: int) -> None:
    path = tmp_path / "call.wav"
    StereoWavWriter(path, BEGAN).close()
    path.write_bytes(path.read_bytes()[:written])
    writer = StereoWavWriter(path, BEGAN)
    writer.write(0, audio(5))
    writer.close()
    assert left_of(path) == [5]


@pytest.mark.parametrize("place", [0, 8, 12, 20, 22, 24, 34, 36, 48, 60, 84])
def test_another_kind_of_file_is_left_alone(tmp_path: Path, place: int) -> None:
    path = tmp_path / "call.wav"
    StereoWavWriter(path, BEGAN).close()
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(NotOurWavError):
        StereoWavWriter(path, BEGAN)
    assert path.read_bytes() == content


def test_it_stops_at_the_largest_size_a_wav_file_can_tell(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    writer = StereoWavWriter(path, BEGAN)
    writer.write(MAX_SAMPLES - 1, audio(1))
    with pytest.raises(WavFullError):
        writer.write(MAX_SAMPLES, audio(2))
    writer.close()
    assert path.stat().st_size == HEADER + MAX_SAMPLES * 4
    assert path.stat().st_blocks * 512 < 1_000_000, "gaps take room on the disk"
    with wave.open(str(path)) as reading:
        assert reading.getnframes() == MAX_SAMPLES
    path.unlink()
