"""The caller's side of a session: from their audio and the server's words about it to turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from ..call_events import CallerTurnFrame
from ..frames import EncodedAudio
from . import events
from .answer_times import AnswerTimes
from .caller import CallerSpeech, CallerTurns
from .caller_gate import CallerGate
from .handover import QUIET_MS, Handover
from .happenings import Happening, Reactions

UNNOTICED_MS = 300.0
"""How long the caller may speak without a word of the server's about it."""

COMMIT_REFUSED = "input_audio_buffer_commit_empty"
"""The server's error code for a turn that is too short to be one."""


class Listening:
    """Follows the caller's turns.

    Args:
        caller: Who has the word.
        turns: Their transcripts.
        times: How long the caller waits for an answer.
        handover: What another session would need of the caller.
        interrupt: Called when the caller begins to speak; returns what comes of it.
        gate: Whether the model hears them.
        by_hand: The server finds no turns by itself.

    Attributes:
        reactions: What is done about the server's events.
    """

    def __init__(
        self,
        caller: CallerSpeech,
        turns: CallerTurns,
        *,
        times: AnswerTimes,
        handover: Handover,
        interrupt: Callable[[float], list[Happening]],
        gate: CallerGate,
        by_hand: bool,
    ) -> None:
        self._caller = caller
        self._turns = turns
        self._times = times
        self._handover = handover
        self._interrupt = interrupt
        self._gate = gate
        self._by_hand = by_hand
        self._uncommitted: deque[EncodedAudio] = deque()
        self._untold = 0
        self.reactions: Reactions = {
            events.SpeechStarted: self._started,
            events.SpeechStopped: self._stopped,
            events.AudioCommitted: self._committed,
            events.CallerTranscribed: self._transcribed,
            events.CallerTranscriptionFailed: turns.not_transcribed,
        }

    @property
    def expects_word(self) -> bool:
        """Whether the server should have told by now that the caller has begun to speak, or has stopped."""
        audio = self._handover.audio
        if self._caller.speaks:
            return audio.is_quiet(QUIET_MS)
        return not self._by_hand and audio.is_loud(UNNOTICED_MS)

    def finished(self, now: float) -> None:
        """Note a turn that the pipeline has found the end of; the server is still to confirm it."""
        self._uncommitted.append(self._handover.audio.ended())
        self._times.caller_stopped(None, now)

    def not_committed(self) -> None:
        """Note that the server does not take the oldest of those turns: its audio belongs to the next."""
        if self._uncommitted:
            self._handover.audio.put_back(self._uncommitted.popleft())

    def lost(self, now: float) -> list[Happening]:
        """Note that there is no server to confirm a turn: the next session is told it as it sounded."""
        turns: list[Happening] = []
        for audio in self._uncommitted:
            if audio.audio:
                self._untold += 1
                item_id = f"turn_{self._untold}"
                self._handover.history.caller_spoke(item_id, audio)
                turns.append(CallerTurnFrame(now, item_id, ""))
        self._uncommitted.clear()
        return turns

    def _started(self, event: events.SpeechStarted, now: float) -> list[Happening]:
        self._caller.started()
        self._turns.started(event.item_id, now)
        self._handover.audio.started(event.audio_start_ms)
        if self._gate.held:
            self._caller.dropped()
        return [*self._times.caller_started(), *self._interrupt(now)]

    def _stopped(self, event: events.SpeechStopped, now: float) -> Sequence[Happening]:
        happened = self._caller.stopped(event, now)
        if happened:
            self._times.caller_stopped(event.audio_end_ms, now)
            self._handover.history.caller_spoke(event.item_id, self._handover.audio.ended(event.audio_end_ms))
        return happened

    def _committed(self, event: events.AudioCommitted, now: float) -> Sequence[Happening]:
        if self._by_hand and self._uncommitted:
            self._handover.history.caller_spoke(event.item_id, self._uncommitted.popleft())
        return self._turns.committed(event, now)

    def _transcribed(self, event: events.CallerTranscribed, now: float) -> Sequence[Happening]:
        self._handover.history.caller_said(event.item_id, event.transcript)
        return self._turns.transcribed(event, now)
