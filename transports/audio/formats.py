"""Audio formats, and which format each track of a call has along a pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum


class Encoding(StrEnum):
    """How samples are written."""

    PCM = "PCM"
    """Signed 16-bit little-endian linear samples."""
    PCMU = "PCMU"
    """G.711 mu-law, one byte a sample."""
    PCMA = "PCMA"
    """G.711 A-law, one byte a sample."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """An encoding, a sample rate in Hz, and a number of interleaved channels."""

    encoding: Encoding
    sample_rate: int
    channels: int = 1
    bytes_per_second: int = field(init=False, repr=False, compare=False)
    """Bytes that one second of audio takes."""

    def __post_init__(self) -> None:
        width = 2 if self.encoding is Encoding.PCM else 1
        object.__setattr__(self, "bytes_per_second", self.sample_rate * self.channels * width)

    def duration_ms(self, size: int) -> float:
        """Return the milliseconds that `size` bytes of this format last."""
        return size * 1000 / self.bytes_per_second

    def size(self, duration_ms: float) -> int:
        """Return the bytes that `duration_ms` take, rounded down to whole samples."""
        width = self.bytes_per_second // self.sample_rate
        return int(duration_ms * self.sample_rate / 1000) * width

    def __str__(self) -> str:
        channels = "" if self.channels == 1 else f", {self.channels} channels"
        return f"{self.encoding} {self.sample_rate / 1000:g} kHz{channels}"


PCMU_8K = AudioFormat(Encoding.PCMU, 8_000)
PCMA_8K = AudioFormat(Encoding.PCMA, 8_000)
PCM_8K = AudioFormat(Encoding.PCM, 8_000)
PCM_16K = AudioFormat(Encoding.PCM, 16_000)
PCM_24K = AudioFormat(Encoding.PCM, 24_000)


@dataclass(frozen=True, slots=True)
class Tracks:
    """The format of each track at one joint of a pipeline; None where a track does not flow."""

    caller: AudioFormat | None = None
    bot: AudioFormat | None = None

    def with_caller(self, audio_format: AudioFormat | None) -> Tracks:
        """Return these tracks with another caller format."""
        return replace(self, caller=audio_format)

    def with_bot(self, audio_format: AudioFormat | None) -> Tracks:
        """Return these tracks with another bot format."""
        return replace(self, bot=audio_format)
