"""The caller's side of a session: from their audio and the server's words about it to turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..frames import EncodedAudio
from . import events
from .answer_times import AnswerTimes
from .caller import CallerSpeech, CallerTurns
from .caller_gate import CallerGate
from .client_events import append_audio
from .handover import Handover
from .happenings import Happening, Reactions


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
        self.reactions: Reactions = {
            events.SpeechStarted: self._started,
            events.SpeechStopped: self._stopped,
            events.AudioCommitted: self._committed,
            events.CallerTranscribed: self._transcribed,
            events.CallerTranscriptionFailed: turns.not_transcribed,
        }

    def heard(self, packet: EncodedAudio) -> EncodedAudio | None:
        """Return what the model hears in place of a packet of the caller's, and keep it; None for nothing."""
        heard = self._gate.let_through(packet)
        if heard is not None:
            self._handover.audio.hold(heard)
        return heard

    def append(self, packet: EncodedAudio, now: float) -> bytes:
        """Return the client event that lets the model hear a packet."""
        self._times.appended(packet.duration_ms, now)
        return append_audio(packet.payload)

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
        if self._by_hand:
            self._handover.history.caller_spoke(event.item_id, self._handover.audio.ended())
        return self._turns.committed(event, now)

    def _transcribed(self, event: events.CallerTranscribed, now: float) -> Sequence[Happening]:
        self._handover.history.caller_said(event.item_id, event.transcript)
        return self._turns.transcribed(event, now)
