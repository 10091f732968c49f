"""A stereo WAV file that can be read at any moment of its growth, also after its writer was killed."""

from __future__ import annotations

import os
import struct
from datetime import UTC, datetime
from pathlib import Path

from callpipe.transports.errors import Fault

from .disk import open_private, write_all
from .errors import ProcessorsError

SAMPLE_RATE = 8_000
"""Samples of each channel in a second."""

TOLD_EVERY = SAMPLE_RATE // 2
"""Samples of each channel after which the header tells of them: each time would be twice as many writes."""

FRAME_SIZE = 4
"""Bytes of one sample of both channels, 16 bit each."""

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI4s4sI28s4sI")
"""RIFF size WAVE; fmt: 16 bytes, format, channels, rate, bytes a second, frame size, bits; LIST INFO: ICRD, the
date of creation, 28 bytes with its NUL; data size.

Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0, pages 23 to 25 and 56 to 60.
"""

_RIFF_SIZE, _CREATED, _DATA_SIZE = slice(4, 8), slice(56, 84), slice(88, 92)

_AFTER_RIFF_SIZE = _HEADER.size - 8
MAX_SAMPLES = (0xFFFFFFFF - _AFTER_RIFF_SIZE) // FRAME_SIZE
"""Samples of each channel that a RIFF file's 32 bit sizes can tell: 37 hours."""


class NotOurWavError(ProcessorsError):
    """A file to go on recording into is not a stereo PCM WAV of 16 bit and 8 kHz.

    Attributes:
        path: The file.
    """

    fault = Fault.OPERATOR

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not a stereo 16 bit 8 kHz WAV file, so nothing is added to it")
        self.path = path


class WavFullError(ProcessorsError):
    """A WAV file cannot tell a size beyond 4 GiB; what is in it stays readable.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} has reached the 4 GiB a WAV file can tell")
        self.path = path


class StereoWavWriter:
    """Writes PCM, 16 bit, 8 kHz, stereo, into a WAV file: new, or one that an earlier writer left.

    Each write puts the samples first and then, twice a second, the sizes in the header, so the header never
    promises more than there is. Nothing is held back: what was written survives the death of the process, and
    whoever opens the file next, if only to close it, sets the header right. Calls block for the disk; use it
    from a `disk.DiskWriter`.

    Args:
        path: The file; created with mode 0600, its missing folders with 0700.
        begins_at: When the first sample of a new file is from, as Unix time in seconds.

    Attributes:
        path: The file.
        samples: Samples of each channel in the file.
        begins_at: When the file's first sample is from, as Unix time in seconds; the file tells it as its ICRD.

    Raises:
        NotOurWavError: The file exists and is something else.
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path, begins_at: float) -> None:
        self.path = path
        self.begins_at = begins_at
        self._told = 0  # samples that the header tells of
        self._descriptor = open_private(path, os.O_RDWR)
        try:
            size = os.fstat(self._descriptor).st_size
            self.samples = max(0, size - _HEADER.size) // FRAME_SIZE
            self._read_header(os.pread(self._descriptor, _HEADER.size, 0))
            self._created = _date(self.begins_at)
            self._write_header()
            # A killed writer may have left a part of a sample, which would be heard in the silence after it.
            os.ftruncate(self._descriptor, _HEADER.size + self.samples * FRAME_SIZE)
        except BaseException:
            os.close(self._descriptor)
            raise

    def write(self, position: int, audio: bytes) -> None:
        """Write interleaved samples at their place.

        What lies between the end of the file and the position becomes silence, and takes no room on most
        file systems. Samples whose place is already taken are left out.

        Args:
            position: The place of the first sample, in samples of each channel.
            audio: PCM, 16 bit little-endian, left and right in turn.

        Raises:
            WavFullError: The file would exceed 4 GiB; nothing was written.
            OSError: The disk is full or broken; what was written before stays readable.
        """
        taken = max(0, self.samples - position)
        position += taken
        audio = audio[taken * FRAME_SIZE :]
        end = position + len(audio) // FRAME_SIZE
        if not audio:
            return
        if end > MAX_SAMPLES:
            raise WavFullError(self.path)
        write_all(self._descriptor, audio, _HEADER.size + position * FRAME_SIZE)
        self.samples = end
        if self.samples - self._told >= TOLD_EVERY:
            self._write_header()

    def lengthen(self, until: float) -> None:
        """Let silence follow until a Unix time in seconds, when the file does not reach it.

        Raises:
            WavFullError: The file would exceed 4 GiB; nothing was written.
            OSError: The disk is full or broken.
        """
        end = round((until - self.begins_at) * SAMPLE_RATE)
        if end > MAX_SAMPLES:
            raise WavFullError(self.path)
        if end > self.samples:
            self.samples = end
            os.ftruncate(self._descriptor, _HEADER.size + end * FRAME_SIZE)
            self._write_header()

    def close(self) -> None:
        """Close the file."""
        try:
            if self.samples != self._told:
                self._write_header()
        finally:
            os.close(self._descriptor)

    def _write_header(self) -> None:
        self._told = self.samples
        write_all(self._descriptor, _header(self.samples, self._created), 0)

    def _read_header(self, found: bytes) -> None:
        """Take a file of ours, whatever its sizes say, and one whose writer died within the header."""
        ours = _header(0, b"")
        comparable = bytearray(found)
        for varying in (_RIFF_SIZE, _CREATED, _DATA_SIZE):
            comparable[varying] = ours[varying][: len(found[varying])]
        if not ours.startswith(comparable):
            raise NotOurWavError(self.path)
        if len(found) < len(ours):
            return
        try:
            created = datetime.strptime(found[_CREATED].rstrip(b"\0").decode(), "%Y-%m-%dT%H:%M:%S.%f%z")
        except ValueError:
            raise NotOurWavError(self.path) from None
        self.begins_at = created.timestamp()


def _header(samples: int, created: bytes) -> bytes:
    size = samples * FRAME_SIZE
    return _HEADER.pack(
        b"RIFF",
        _AFTER_RIFF_SIZE + size,
        b"WAVE",
        b"fmt ",
        16,
        1,
        2,
        SAMPLE_RATE,
        SAMPLE_RATE * FRAME_SIZE,
        FRAME_SIZE,
        16,
        b"LIST",
        40,
        b"INFO",
        b"ICRD",
        28,
        created,
        b"data",
        size,
    )


def _date(unix_time: float) -> bytes:
    return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
