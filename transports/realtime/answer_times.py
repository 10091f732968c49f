"""How long the caller waited for each answer, stage by stage, from when they really stopped speaking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..call_events import TurnLatencyFrame


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
        came_at: Says when the audio at a place on the server's time line, in ms, came in, in s.
        silence_ms: The silence that the server includes in the end of a turn.
    """

    def __init__(self, came_at: Callable[[float], float | None], silence_ms: float) -> None:
        self._came_at = came_at
        self._silence_ms = silence_ms
        self._stopped: tuple[float, float, str] | None = None
        self._answer: _Answer | None = None

    def caller_started(self) -> list[TurnLatencyFrame]:
        """Note that the caller speaks; return what is known of the answer before."""
        self._stopped = None
        return self.ended()

    def caller_stopped(self, audio_end_ms: float | None, now: float) -> None:
        """Note the server's word that the caller has stopped, and where in the audio their turn ended."""
        heard_at = None if audio_end_ms is None else self._came_at(audio_end_ms - self._silence_ms)
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


def _told(answer: _Answer, wire_ms: float | None, heard_ms: float | None) -> TurnLatencyFrame:
    return TurnLatencyFrame(
        at=answer.began_at,
        response_ms=(answer.began_at - answer.stopped_at) * 1000,
        wire_ms=wire_ms,
        heard_ms=heard_ms,
        notice_ms=answer.notice_ms,
        measured_from=answer.measured_from,
    )
