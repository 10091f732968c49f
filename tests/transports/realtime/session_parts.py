"""What tests of a session let it hear, and how they read what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from callpipe.transports.audio.formats import PCM_24K
from callpipe.transports.frames import EncodedAudio
from callpipe.transports.realtime.happenings import Happening
from callpipe.transports.realtime.opening import Opened

if TYPE_CHECKING:
    from .conftest import Server

PHRASE = EncodedAudio(audio=bytes(PCM_24K.size(1_000)), audio_format=PCM_24K)
LOUD = EncodedAudio(audio=b"\x00\x10" * 480, audio_format=PCM_24K)
QUIET = EncodedAudio(audio=bytes(960), audio_format=PCM_24K)


def kinds(happened: Sequence[Happening]) -> list[str]:
    return [type(one).__name__ for one in happened]


def hears(server: Server, packet: EncodedAudio, ms: int) -> None:
    for _ in range(ms // 20):
        server.session.caller_audio(packet, server.now)


def opened() -> Opened:
    return Opened("m", asked_for="m")
