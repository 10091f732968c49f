"""Whether the model hears the caller: all of them, silence in their place, or nothing."""

from __future__ import annotations

import functools

from ..audio.formats import AudioFormat, Encoding
from ..frames import EncodedAudio

_SILENCE = {Encoding.PCM: b"\0", Encoding.PCMU: b"\xff", Encoding.PCMA: b"\xd5"}


class CallerGate:
    """Lets the caller's audio through to the model, or not.

    Attributes:
        muted: The model hears silence, by which the server's clock of audio goes on.
        held: The model is sent nothing.
        opens_when_heard: `muted` ends once the caller has heard all that the bot has to say.
    """

    def __init__(self) -> None:
        self.muted = False
        self.held = False
        self.opens_when_heard = False

    def instead_of(self, packet: EncodedAudio) -> EncodedAudio | None:
        """Return what the model is sent in place of a packet while it is muted or held."""
        return None if self.held else silence(packet.audio_format, len(packet.audio))

    def mute(self) -> None:
        """Let the model hear silence."""
        self.muted = True
        self.opens_when_heard = False

    def unmute(self, *, when_heard: bool) -> None:
        """Let the model hear the caller: now, or when `all_heard` is told."""
        self.opens_when_heard = self.muted and when_heard
        self.muted = self.muted and when_heard

    def all_heard(self) -> None:
        """Note that the caller has heard all that the bot has to say."""
        if self.opens_when_heard:
            self.muted = self.opens_when_heard = False


@functools.lru_cache(maxsize=16)
def silence(audio_format: AudioFormat, size: int) -> EncodedAudio:
    """Return `size` bytes of silence; packets have few sizes."""
    return EncodedAudio(audio=_SILENCE[audio_format.encoding] * size, audio_format=audio_format)
