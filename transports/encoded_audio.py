"""Audio as it crosses a wire."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import TYPE_CHECKING

from .audio.formats import PCMU_8K, AudioFormat


class EncodedAudio:
    """Encoded audio that is decoded from base64 only where somebody reads it.

    Construct it with `payload` (base64, as it crosses the wire), with `audio` (the encoded bytes), or, where
    both are at hand, with both; one that is missing is made when it is asked for.
    """

    __slots__ = ("_payload", "audio", "audio_format")

    audio: bytes
    """The encoded bytes. Reading them raises a ValueError when the payload is not base64."""

    def __init__(
        self, *, payload: str | None = None, audio: bytes | None = None, audio_format: AudioFormat = PCMU_8K
    ) -> None:
        if audio is not None:
            self.audio = audio
        elif payload is None:
            raise ValueError("give payload or audio")
        self._payload = payload
        self.audio_format = audio_format

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> bytes:
            """Decode `audio` when it is first read; from then on, and in packets, reading it is no call."""
            if name != "audio":
                raise AttributeError(name)
            self.audio = decode_base64(self._payload)
            return self.audio

    @property
    def payload(self) -> str:
        """The audio in base64. Not kept beside the bytes: a call holds seconds of audio it may send again."""
        if self._payload is not None:
            return self._payload
        return b2a_base64(self.audio, newline=False).decode("ascii")

    @property
    def size(self) -> int:
        """Bytes of encoded audio, told without decoding."""
        if self._payload is None:
            return len(self.audio)
        payload = self._payload
        return len(payload) * 3 // 4 - payload.endswith("=") - payload.endswith("==")

    @property
    def duration_ms(self) -> float:
        """How long the audio lasts."""
        return self.audio_format.duration_ms(self.size)


def decode_base64(payload: str) -> bytes:
    """Return what a text says in base64 (RFC 4648, section 4).

    Raises:
        ValueError: It is not base64.
    """
    audio = a2b_base64(payload, strict_mode=True)
    if (len(audio) + 2) // 3 * 4 != len(payload):  # it takes more padding than belongs there
        raise ValueError("excess padding")
    return audio
