"""What is withheld of a call: stretches of it of which no word is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from .audio.g711 import MULAW_SILENCE
from .audio.line_tracks import LineAudio
from .audio.playhead import CarrierClock
from .call_events import CallEventFrame

EDGE_S = 1.0
"""How late it may be told that somebody began to speak: so long after its end a redaction reaches."""

LEAD_S = 0.1
"""Packets that come after the beginning may hold what was said so long before it."""


@dataclass
class RedactionFrame(CallEventFrame):
    """From now on nothing that is said is kept, or what is said is kept again.

    Pushed downstream from the head of the pipeline, by `Call.redacted`.

    Attributes:
        on: Whether a redaction begins; otherwise it ends.
    """

    event: ClassVar[str] = "redaction"

    on: bool


class RedactedTimes:
    """The redacted stretches of a call, on its clock."""

    def __init__(self) -> None:
        self._stretches: list[tuple[float, float]] = []

    def take(self, frame: RedactionFrame) -> None:
        """Note that a redaction begins or ends."""
        open_since = self._open_since
        if frame.on and open_since is None:
            self._stretches.append((frame.at, math.inf))
        elif not frame.on and open_since is not None:
            self._stretches[-1] = (open_since, frame.at + EDGE_S)

    def touch(self, began: float, ended: float) -> bool:
        """Whether anything from `began` to `ended`, in s, lies in a redacted stretch."""
        return any(begin <= ended and began <= end for begin, end in self._stretches)

    @property
    def open(self) -> bool:
        """Whether the call is being redacted."""
        return self._open_since is not None

    @property
    def _open_since(self) -> float | None:
        if self._stretches and self._stretches[-1][1] == math.inf:
            return self._stretches[-1][0]
        return None


class RedactedLine:
    """Makes both tracks of the line silent while it is redacted, so that positions stay what they are.

    Who is speaking when a redaction ends is silent until they have ended.

    Args:
        clock: The carrier's clock, which turns times into samples.

    Attributes:
        caller_speaks: Whether the caller is speaking.
        bot_speaks: Whether the caller hears the bot speak.
    """

    def __init__(self, clock: CarrierClock) -> None:
        self.caller_speaks = False
        self.bot_speaks = False
        self._clock = clock
        self._stretches: list[tuple[float, float]] = []
        self._ends_after: float | None = None

    def take(self, frame: RedactionFrame) -> None:
        """Note that a redaction begins or ends."""
        if not frame.on:
            self._ends_after = frame.at + EDGE_S
            return
        self._ends_after = None
        if not self._is_open:
            self._stretches.append((self._clock.position(frame.at - LEAD_S), math.inf))

    def silenced(self, line: LineAudio, now: float) -> LineAudio:
        """Return a piece of the line as it may be recorded.

        Args:
            line: The piece; pieces come in the order of their positions.
            now: The current time in s.
        """
        if not self._stretches:
            return line
        self._end_when_quiet(now)
        caller, bot = bytearray(line.caller), bytearray(line.bot)
        for begin, end in self._stretches:
            first = max(math.floor(begin) - line.position, 0)
            last = len(caller) if end == math.inf else min(math.ceil(end) - line.position, len(caller))
            if last > first:
                caller[first:last] = bot[first:last] = MULAW_SILENCE * (last - first)
        given_until = line.position + len(caller)
        self._stretches = [stretch for stretch in self._stretches if stretch[1] > given_until]
        return LineAudio(line.position, bytes(caller), bytes(bot))

    @property
    def _is_open(self) -> bool:
        return bool(self._stretches) and self._stretches[-1][1] == math.inf

    def _end_when_quiet(self, now: float) -> None:
        quiet = not self.caller_speaks and not self.bot_speaks
        if self._ends_after is not None and now >= self._ends_after and quiet and self._is_open:
            self._ends_after = None
            self._stretches[-1] = (self._stretches[-1][0], self._clock.position(now))
