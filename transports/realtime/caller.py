"""The caller's side of a session: who has the word, and turns in the order they were spoken."""

from __future__ import annotations

from collections.abc import Sequence

from ..call_events import CallerTurnFrame, UsageFrame
from ..conversation_events import CallerSpokeFrame
from .events import AudioCommitted, CallerTranscribed, CallerTranscriptionFailed, SpeechStopped
from .faults import Faults
from .happenings import CallerStopped, Happening
from .prices import price, transcription_tokens

MAX_WAITING_TURNS = 4
"""Turns that wait for the transcript of an earlier one; then it is given up."""

ANSWER_DEADLINE_S = 3.0
"""How long the server may take to begin its answer to a turn; then a response that is owed is asked for."""


SKIPPED_AFTER_S = 0.5
"""The same when a response was still in its way, and is over."""


class CallerSpeech:
    """Who has the word.

    Args:
        answered_by_server: The server begins a response to each turn by itself.

    Attributes:
        speaks: The caller is speaking.
        answer_due: When the server's answer to the last turn is overdue, in s; None while it owes none.
    """

    def __init__(self, *, answered_by_server: bool) -> None:
        self.speaks = False
        self.answer_due: float | None = None
        self._answered_by_server = answered_by_server

    @property
    def leaves_the_word(self) -> bool:
        """Whether a response may be asked for: the caller is silent, and the server owes no answer."""
        return not self.speaks and self.answer_due is None

    def started(self) -> None:
        """Note that the caller speaks."""
        self.speaks = True
        self.answer_due = None

    def dropped(self) -> None:
        """Note that what the caller is saying is dropped: the server will not tell of its end."""
        self.speaks = False

    def stopped(self, _event: SpeechStopped, now: float) -> Sequence[Happening]:
        """Note that the caller has stopped; tell it once."""
        if not self.speaks:
            return ()
        self.speaks = False
        self.answer_due = now + ANSWER_DEADLINE_S if self._answered_by_server else None
        return [CallerStopped()]

    def lost(self) -> list[Happening]:
        """Note that the session is gone: nobody tells of the caller until another one does."""
        stopped: list[Happening] = [CallerStopped()] if self.speaks else []
        self.speaks = False
        self.answer_due = None
        return stopped

    def response_began(self) -> None:
        """Note that the server owes nothing any more."""
        self.answer_due = None

    def response_cancelled(self, now: float) -> None:
        """Note that a response is over that was in the way when the caller's turn ended.

        A server that found it running may have begun none of its own for the turn, and never will.
        """
        if self.answer_due is not None:
            self.answer_due = min(self.answer_due, now + SKIPPED_AFTER_S)


class CallerTurns:
    """Holds a turn's transcript back until those before it are there: they may come in any order, or never.

    Args:
        transcriber: The transcription model; None when nobody transcribes.
        faults: Where failed transcriptions are counted.
    """

    def __init__(self, transcriber: str | None, faults: Faults) -> None:
        self._transcriber = transcriber
        self._faults = faults
        self._texts: dict[str, str | None] = {}
        self._began: dict[str, float] = {}
        self._last_began_at = 0.0
        self._heard_again = False

    def started(self, item_id: str, now: float) -> None:
        """Note that the caller begins a turn."""
        self._began.setdefault(item_id, self._last_began_at if self._heard_again else now)
        self._heard_again = False

    def committed(self, event: AudioCommitted, now: float) -> Sequence[Happening]:
        """Note a turn whose transcript is to come, if anybody makes one."""
        if event.item_id in self._texts:
            return ()
        self._texts[event.item_id] = None if self._transcriber else ""
        return [CallerSpokeFrame(now, event.item_id), *self._complete(now)]

    def transcribed(self, event: CallerTranscribed, now: float) -> Sequence[Happening]:
        """Note a transcript and what it cost; return the turns that are complete now."""
        self._texts[event.item_id] = event.transcript
        turns = self._complete(now)
        if event.usage is None or self._transcriber is None:
            return turns
        tokens = transcription_tokens(event.usage)
        return [*turns, UsageFrame(now, self._transcriber, tokens, price(self._transcriber, tokens))]

    def not_transcribed(self, event: CallerTranscriptionFailed, now: float) -> Sequence[Happening]:
        """Note that a turn stays without transcript."""
        code = event.error.code or event.error.type or "transcription_failed"
        fault = self._faults.report(code, "a turn of the caller's was not transcribed", now)
        self._texts[event.item_id] = ""
        return [*fault, *self._complete(now)]

    @property
    def complete(self) -> bool:
        """Whether no transcript is waited for."""
        return not self._texts

    def ended(self, now: float) -> list[CallerTurnFrame]:
        """Return every turn that is left: no more transcripts will come."""
        turns = [self._turn(item_id, text or "", now) for item_id, text in self._texts.items()]
        self._texts.clear()
        self._began.clear()
        self._heard_again = True  # another session may hear once more what this one has heard
        return turns

    def _complete(self, now: float) -> list[CallerTurnFrame]:
        turns: list[CallerTurnFrame] = []
        while self._texts:
            first, its_text = next(iter(self._texts.items()))
            if its_text is None and len(self._texts) <= MAX_WAITING_TURNS:
                break
            del self._texts[first]
            turns.append(self._turn(first, its_text or "", now))
        return turns

    def _turn(self, item_id: str, text: str, now: float) -> CallerTurnFrame:
        """Return a turn; one of which it is not known when it began may have begun right after the last one."""
        began_at = self._began.pop(item_id, self._last_began_at)
        self._last_began_at = began_at
        return CallerTurnFrame(now, item_id, text, began_at)
