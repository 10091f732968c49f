"""What a Record verb records: the caller, until they fall silent or take too long."""

from __future__ import annotations

import asyncio

from .caller import PACKET_BYTES, SILENT_PACKET
from .line import PTIME_MS


class Voicemail:
    """Takes the caller's packets; see `leg.PacketTaker`.

    Args:
        max_s: How long it may get.
        silence_s: After how much silence it is complete; 0 for never.

    Attributes:
        pcmu: What was said so far, PCMU at 8 kHz.
        complete: Set when it has ended by itself.
    """

    def __init__(self, *, max_s: float, silence_s: float) -> None:
        self.pcmu = bytearray()
        self.complete = asyncio.Event()
        self._max_ms = max_s * 1000
        self._silence_ms = silence_s * 1000
        self._silent_ms = 0.0

    def take(self, track: str, packet: bytes | None) -> None:
        """Take the next 20 ms of a track."""
        if track != "inbound" or self.complete.is_set():
            return
        said = packet or SILENT_PACKET
        self.pcmu += said
        self._silent_ms = self._silent_ms + PTIME_MS if said == SILENT_PACKET else 0.0
        lasts_ms = len(self.pcmu) / PACKET_BYTES * PTIME_MS
        if lasts_ms >= self._max_ms or 0 < self._silence_ms <= self._silent_ms:
            self.complete.set()
