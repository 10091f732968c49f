"""Audio as it crosses a wire."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from .audio.formats import PCMU_8K, AudioFormat


class EncodedAudio:
    """Encoded audio that is decoded from base64 only where somebody reads it.

    Construct it with `payload` (base64, as it crosses the wire), with `audio` (the encoded bytes), or, where
    both are at hand, with both; one that is missing is made when it is asked for.
    """

    __slots__ = ("_audio", "_payload", "audio_format")

    def __init__(
        self, *, payload: str | None = None, audio: bytes | None = None, audio_format: AudioFormat = PCMU_8K
    ) -> None:
        if payload is None and audio is None:
            raise ValueError("give payload or audio")
        self._payload = payload
        self._audio = audio
        self.audio_format = audio_format

    @property
    def payload(self) -> str:
        """The audio in base64. Not kept beside the bytes: a call holds seconds of audio it may send again."""
        if self._payload is not None:
            return self._payload
        return b2a_base64(self._audio or b"", newline=False).decode("ascii")

    @property
    def audio(self) -> bytes:
        """The encoded bytes.

        Raises:
            ValueError: The payload is not base64.
        """
        if self._audio is None:
            self._audio = decode_base64(self._payload or "")
        return self._audio

    @property
    def size(self) -> int:
        """Bytes of encoded audio, told without decoding."""
        if self._audio is not None:
            return len(self._audio)
        payload = self._payload or ""
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
