"""How long the caller waited for each answer, stage by stage, from when they really stopped speaking."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

from ..call_events import TurnLatencyFrame

MAX_REMEMBERED_MS = 30_000.0
"""Caller audio whose arrival is remembered: the server tells of a turn after its end."""

PIECE_MS = 100.0
"""Packets that come in time are remembered together, up to this length: that is a fifth of the memory."""

JITTER_MS = 5.0
"""A packet that is off by more does not come in time."""


@dataclass(slots=True, eq=False)
class _Answer:
    item_id: str
    stopped_at: float
    notice_ms: float
    measured_from: str
    began_at: float


class AnswerTimes:
    """Follows one answer at a time from the caller's last word to its first sound.

    The server counts in milliseconds of the audio it was sent, and tells of a turn's end only after the silence
    that ended it. What it counts is mapped to when that audio came in from the carrier.

    Args:
        silence_ms: The silence that the server includes in the end of a turn.
    """

    def __init__(self, silence_ms: float) -> None:
        self._silence_ms = silence_ms
        # Start and end of each piece in ms, and when it came in s: three numbers after three.
        self._pieces = array("d")
        self._piece_start_ms = 0.0
        self._appended_ms = 0.0
        self._came_at = -math.inf
        self._stopped: tuple[float, float, str] | None = None
        self._answer: _Answer | None = None

    def opened(self) -> None:
        """Note a new session: the server counts from zero."""
        del self._pieces[:]
        self._piece_start_ms = self._appended_ms = 0.0
        self._came_at = -math.inf

    def appended(self, duration_ms: float, now: float) -> None:
        """Note caller audio that is sent to the server and came in until `now`, a burst piece after piece."""
        end_ms = self._appended_ms + duration_ms
        elapsed_ms = (now - self._came_at) * 1000
        in_time = -JITTER_MS < elapsed_ms - duration_ms < JITTER_MS
        if elapsed_ms and not (in_time and end_ms - self._piece_start_ms <= PIECE_MS):
            self._begin_piece()
        self._appended_ms = end_ms
        self._came_at = now

    def _begin_piece(self) -> None:
        """Remember the piece that the packets so far make, and begin another."""
        if self._appended_ms > self._piece_start_ms:
            self._pieces.extend((self._piece_start_ms, self._appended_ms, self._came_at))
        self._piece_start_ms = self._appended_ms
        if self._pieces and self._pieces[1] < self._appended_ms - MAX_REMEMBERED_MS:
            del self._pieces[:3]

    def caller_started(self) -> list[TurnLatencyFrame]:
        """Note that the caller speaks; return what is known of the answer before."""
        self._stopped = None
        return self.ended()

    def caller_stopped(self, audio_end_ms: float | None, now: float) -> None:
        """Note the server's word that the caller has stopped, and where in the audio their turn ended."""
        heard_at = None if audio_end_ms is None else self._came_in_at(audio_end_ms - self._silence_ms)
        if heard_at is None:
            self._stopped = (now, now, "notice")
        else:
            self._stopped = (heard_at, now, "audio")

    def answered(self, item_id: str, now: float) -> None:
        """Note audio of the model's; the first since the caller has stopped begins the answer."""
        if self._stopped is None:
            return
        stopped_at, notice_at, measured_from = self._stopped
        self._stopped = None
        notice_ms = (notice_at - stopped_at) * 1000
        self._answer = _Answer(item_id, stopped_at, notice_ms, measured_from, now)

    def went_out(self, item_id: str, sent_at: float, heard_at: float) -> list[TurnLatencyFrame]:
        """Note when an item's first packet was sent to the carrier, and is heard; tell the answer's times."""
        answer = self._answer
        if answer is None or answer.item_id != item_id:
            return []
        self._answer = None
        wire_ms, heard_ms = (sent_at - answer.began_at) * 1000, (heard_at - sent_at) * 1000
        return [_told(answer, wire_ms, heard_ms)]

    def ended(self) -> list[TurnLatencyFrame]:
        """Return what is known of an answer of which the transport has told nothing."""
        answer, self._answer = self._answer, None
        return [] if answer is None else [_told(answer, None, None)]

    def _came_in_at(self, audio_ms: float) -> float | None:
        """Return when the audio at a place on the server's time line came in, in s."""
        if not self._appended_ms:
            return None
        if audio_ms >= self._piece_start_ms:
            return (
                None if audio_ms > self._appended_ms else self._came_at - (self._appended_ms - audio_ms) / 1000
            )
        for first in range(len(self._pieces) - 3, -1, -3):
            start_ms, end_ms, at = self._pieces[first : first + 3]
            if start_ms <= audio_ms <= end_ms:
                return at - (end_ms - audio_ms) / 1000
        return None


def _told(answer: _Answer, wire_ms: float | None, heard_ms: float | None) -> TurnLatencyFrame:
    return TurnLatencyFrame(
        at=answer.began_at,
        response_ms=(answer.began_at - answer.stopped_at) * 1000,
        wire_ms=wire_ms,
        heard_ms=heard_ms,
        notice_ms=answer.notice_ms,
        measured_from=answer.measured_from,
    )
