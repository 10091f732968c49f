"""The model's side of a session: its responses, from the server's events to speech, tool calls and costs."""

from __future__ import annotations

from collections.abc import Sequence

from ..call_events import UsageFrame
from . import events
from .answer_times import AnswerTimes
from .bot_speech import BotSpeech
from .caller import CallerSpeech
from .dialogue import Dialogue
from .faults import LASTING_ERRORS, Faults
from .handover import Handover
from .happenings import Happening, Reactions, SessionGone
from .prices import price, response_tokens
from .retries import Retries

STALLED_AFTER_S = 0.8
"""How long the caller may hear nothing in the middle of what the model says."""


class Answering:
    """Follows the model's responses.

    Args:
        dialogue: Which response is live.
        speech: Where its audio goes.
        caller: Who waits for it.
        times: How long they wait.
        handover: What is left of a response that failed.
        faults: Where failures are counted.

    Attributes:
        model: The model that answers.
        instructions: The session's.
        retries: When a response that failed is asked for again.
        reactions: What is done about the server's events.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        speech: BotSpeech,
        caller: CallerSpeech,
        *,
        times: AnswerTimes,
        handover: Handover,
        faults: Faults,
    ) -> None:
        self.model = ""
        self.instructions = ""
        self.retries = Retries()
        self._audio_at = 0.0
        self._dialogue = dialogue
        self._speech = speech
        self._caller = caller
        self._times = times
        self._handover = handover
        self._faults = faults
        self.reactions: Reactions = {
            events.AudioDelta: self._audio,
            events.AudioDone: speech.audio_done,
            events.TranscriptDelta: self._transcript,
            events.TranscriptDone: self._transcript,
            events.OutputItemAdded: self._item_began,
            events.OutputItemDone: self._item_done,
            events.FunctionCallDone: dialogue.call_done,
            events.ItemAdded: dialogue.item_added,
            events.ResponseCreated: self._created,
            events.ResponseDone: self._done,
        }

    @property
    def stalled_at(self) -> float | None:
        """When an answer that has begun counts as stalled, in s: its audio stopped, and was heard."""
        live = self._dialogue.responses.live
        if live is None or live.cut or not self._speech.is_unfinished(live.response_id):
            return None
        return max(self._audio_at, self._speech.playhead.ends_at) + STALLED_AFTER_S

    def _created(self, event: events.ResponseCreated, now: float) -> list[Happening]:
        return self._began(event.response.id, now, event.response.request_id)

    def _audio(self, event: events.AudioDelta, now: float) -> list[Happening]:
        responses = self._dialogue.responses
        if responses.is_over(event.response_id):
            return []
        happened = self._began(event.response_id, now)
        live = responses.live
        assert live is not None
        audio = self._speech.audio(event, cut=live.cut, now=now)
        if audio:
            live.spoke = True
            self._audio_at = now
            self.retries.spoke()
            self._times.answered(event.item_id, now)
        return [*happened, *audio]

    def _transcript(self, event: events.TranscriptDelta | events.TranscriptDone, now: float) -> list[Happening]:
        if self._dialogue.responses.is_over(event.response_id):
            return []
        happened = self._began(event.response_id, now)
        self._speech.transcript(event)
        return happened

    def _item_began(self, event: events.OutputItemAdded, _now: float) -> Sequence[Happening]:
        live = self._dialogue.responses.live
        if event.item.type == "function_call" and live is not None and live.response_id == event.response_id:
            live.calling = True
        return ()

    def _item_done(self, event: events.OutputItemDone, _now: float) -> list[Happening]:
        spoken = self._speech.completed(event.item.id or "")
        return [*spoken, *self._dialogue.tool_call(event.item, event.response_id)]

    def _done(self, event: events.ResponseDone, now: float) -> list[Happening]:
        response = event.response
        if self._dialogue.responses.is_over(response.id):
            return []
        happened: list[Happening] = []
        for item in response.output or ():
            happened += self._dialogue.tool_call(item, response.id)
        owed = self._handover.owed(self.instructions) if response.status == "failed" else None
        self._dialogue.over(response.id)
        if response.status == "cancelled":
            self._caller.response_cancelled(now)
        if response.status == "failed":
            happened += self._speech.broke_off(response.id)
        happened += self._speech.response_over(response.id, now)
        if response.usage is not None:
            tokens = response_tokens(response.usage)
            happened.append(UsageFrame(now, self.model, tokens, price(self.model, tokens)))
        if response.status not in ("failed", "incomplete"):
            return happened
        code, explanation = response.failure
        if owed is not None:
            self._dialogue.responses.want_first(owed)
            self._handover.expect_silence(now)
            if code in LASTING_ERRORS or not self.retries.failed(explanation, now):
                return [*happened, SessionGone(code, explanation, code in LASTING_ERRORS)]
        return [*happened, *self._faults.report(code, explanation, now)]

    def _began(self, response_id: str, now: float, request_id: str | None = None) -> list[Happening]:
        if self._dialogue.responses.is_live(response_id):
            return []
        previous = self._dialogue.began(response_id, request_id)
        live = self._dialogue.responses.live
        if live is None or not live.cut:
            self._caller.response_began()
        return [] if previous is None else self._speech.response_over(previous, now)
