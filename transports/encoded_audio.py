"""Audio as it crosses a wire."""

from __future__ import annotations

import base64

from .audio.formats import PCMU_8K, AudioFormat


class EncodedAudio:
    """Encoded audio that is decoded from base64 only where somebody reads it.

    Construct it with either `payload` (base64, as it crosses the wire) or `audio` (the encoded bytes); the
    other is made when it is asked for.
    """

    __slots__ = ("_audio", "_duration_ms", "_payload", "audio_format")

    def __init__(
        self, *, payload: str | None = None, audio: bytes | None = None, audio_format: AudioFormat = PCMU_8K
    ) -> None:
        if (payload is None) == (audio is None):
            raise ValueError("give either payload or audio")
        self._payload = payload
        self._audio = audio
        self.audio_format = audio_format
        self._duration_ms: float | None = None

    @property
    def payload(self) -> str:
        """The audio in base64. Not kept beside the bytes: a call holds seconds of audio it may send again."""
        if self._payload is not None:
            return self._payload
        return base64.b64encode(self._audio or b"").decode("ascii")

    @property
    def audio(self) -> bytes:
        """The encoded bytes.

        Raises:
            ValueError: The payload is not base64.
        """
        if self._audio is None:
            self._audio = base64.b64decode(self._payload or "", validate=True)
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
        if self._duration_ms is None:
            self._duration_ms = self.audio_format.duration_ms(self.size)
        return self._duration_ms
