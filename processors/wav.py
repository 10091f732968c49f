"""A stereo WAV file that can be read at any moment of its growth, also after its writer was killed."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from callpipe.transports.errors import Fault

from .disk import open_private, write_all
from .errors import ProcessorsError

SAMPLE_RATE = 8_000
"""Samples of each channel in a second."""

FRAME_SIZE = 4
"""Bytes of one sample of both channels, 16 bit each."""

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
"""RIFF size WAVE, fmt: 16 bytes, format, channels, rate, bytes a second, frame size, bits; data size.

Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0, pages 56 to 60.
"""

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

    Each write puts the samples first and then the sizes in the header, so the header never promises more
    than there is. Nothing is held back: what was written survives the death of the process. Calls block for
    the disk; use it from a `disk.DiskWriter`.

    Args:
        path: The file; created with mode 0600, its missing folders with 0700.

    Attributes:
        path: The file.
        samples: Samples of each channel in the file.
        changed_at: When the file was last written before it was opened, as Unix time in seconds.

    Raises:
        NotOurWavError: The file exists and is something else.
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = open_private(path, os.O_RDWR)
        try:
            status = os.fstat(self._descriptor)
            self.changed_at = status.st_mtime
            self.samples = max(0, status.st_size - _HEADER.size) // FRAME_SIZE
            self._check_header(os.pread(self._descriptor, _HEADER.size, 0))
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
        self._write_header()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _write_header(self) -> None:
        write_all(self._descriptor, _header(self.samples), 0)

    def _check_header(self, found: bytes) -> None:
        """Take a file of ours, whatever its sizes say, and one whose writer died within the header."""
        ours = _header(0)
        sizes = (slice(4, 8), slice(40, 44))
        comparable = bytearray(found)
        for size in sizes:
            comparable[size] = ours[size][: len(found[size])]
        if not ours.startswith(comparable):
            raise NotOurWavError(self.path)


def _header(samples: int) -> bytes:
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
        b"data",
        size,
    )
