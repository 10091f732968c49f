"""When the caller's audio came in from the carrier, by its place on the server's time line."""

from __future__ import annotations

import math
from array import array

MAX_REMEMBERED_MS = 30_000.0
"""Caller audio whose arrival is remembered: the server tells of a turn after its end."""

PIECE_MS = 200.0
"""Audio that comes in time is remembered together, up to this length: that is a tenth of the memory."""

JITTER_MS = 5.0
"""Audio that is off by more does not come in time."""


class Arrivals:
    """Remembers when the audio came that the server was sent. The server counts its milliseconds from zero."""

    def __init__(self) -> None:
        # Start and end of each piece in ms, and when it came in s: three numbers after three.
        self._pieces = array("d")
        self._piece_start_ms = 0.0
        self._ends_ms = 0.0
        self._came_at = -math.inf

    def restart(self) -> None:
        """Note a new session: the server counts from zero."""
        del self._pieces[:]
        self._piece_start_ms = self._ends_ms = 0.0
        self._came_at = -math.inf

    def came(self, duration_ms: float, now: float) -> None:
        """Note audio that came in until `now`, a burst piece after piece."""
        end_ms = self._ends_ms + duration_ms
        in_time = -JITTER_MS < (now - self._came_at) * 1000 - duration_ms < JITTER_MS
        if now != self._came_at and not (in_time and end_ms - self._piece_start_ms <= PIECE_MS):
            self._begin_piece()
        self._ends_ms = end_ms
        self._came_at = now

    def came_at(self, audio_ms: float) -> float | None:
        """Return when the audio at a place on the server's time line came in, in s; None for unknown."""
        if not self._ends_ms or audio_ms > self._ends_ms:
            return None
        if audio_ms >= self._piece_start_ms:
            return self._came_at - (self._ends_ms - audio_ms) / 1000
        for first in range(len(self._pieces) - 3, -1, -3):
            start_ms, end_ms, at = self._pieces[first : first + 3]
            if start_ms <= audio_ms <= end_ms:
                return at - (end_ms - audio_ms) / 1000
        return None

    def _begin_piece(self) -> None:
        """Remember the piece that the audio so far makes, and begin another."""
        if self._ends_ms > self._piece_start_ms:
            self._pieces.extend((self._piece_start_ms, self._ends_ms, self._came_at))
        self._piece_start_ms = self._ends_ms
        if self._pieces and self._pieces[1] < self._ends_ms - MAX_REMEMBERED_MS:
            del self._pieces[:3]
