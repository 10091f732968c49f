"""The state of one realtime session: what may be sent, what is live, what the caller heard.

No socket and no clock: the driver hands in events with the time they came at (monotonic seconds), sends what
`RealtimeSession.outbox` holds, and calls `due` when `next_due` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..audio.playhead import Playhead
from ..frames import EncodedAudio, SessionReadyFrame, UsageFrame
from ..steering import ChangeFrame, SteeringFrame
from . import client_events, events
from .answer_times import AnswerTimes
from .bot_speech import BotSpeech
from .caller import CallerSpeech, CallerTurns, HeldAudio
from .dialogue import Dialogue
from .faults import Faults
from .happenings import CallerCutIn, CallerStarted, Happening, SessionRefused
from .prices import price, response_tokens
from .responses import Wish
from .settings import RealtimeSettings, ServerVad
from .steering import Steering

READY_DEADLINE_S = 10.0
"""How long the server may take to confirm the settings."""


def greeting_instructions(greeting: str) -> str:
    """Return the instructions of the response that greets; they stand in for the session's in it."""
    return f"Greet the caller. Say exactly this, and nothing else: {greeting}"


class RealtimeSession:
    """One session with the model, from the open socket to the end of the call.

    Args:
        settings: What the session is set up with.
        tools: What the model may call.
        greeting: What the bot says first; None lets the caller begin.

    Attributes:
        outbox: Client events to send, oldest first; whoever sends them takes them out.
        ready: The server has confirmed the settings, and the socket is open.
        faults: What went wrong, counted, the harmless included.
    """

    def __init__(
        self,
        settings: RealtimeSettings,
        *,
        tools: Sequence[events.ToolSchema] = (),
        greeting: str | None = None,
    ) -> None:
        self.outbox: list[bytes] = []
        self.ready = False
        self._settings = settings
        self._tools = tools
        self._greeting = greeting
        self._model = settings.model
        self._connecting_since = 0.0
        self._socket_ms = 0.0
        self._ready_due: float | None = None
        self._closed = False
        self._held = HeldAudio()
        self._caller = CallerSpeech(answered_by_server=settings.creates_responses)
        self.faults = Faults()
        transcription = settings.transcription
        self._turns = CallerTurns(transcription.model if transcription else None, self.faults)
        self._speech = BotSpeech(settings.audio_format, self.outbox)
        self._dialogue = Dialogue(self.outbox)
        self._steering = Steering(self._dialogue, self._caller, self.outbox)
        vad = settings.turn_detection
        self._times = AnswerTimes(vad.silence_duration_ms if isinstance(vad, ServerVad) else 0.0)
        self._reactions: dict[type, Callable[[Any, float], Sequence[Happening]]] = {
            events.AudioDelta: self._audio,
            events.AudioDone: self._speech.audio_done,
            events.TranscriptDelta: self._transcript,
            events.TranscriptDone: self._transcript,
            events.OutputItemDone: self._item_done,
            events.FunctionCallDone: self._dialogue.call_done,
            events.ItemAdded: self._dialogue.item_added,
            events.ResponseCreated: self._created,
            events.ResponseDone: self._done,
            events.SpeechStarted: self._speech_started,
            events.SpeechStopped: self._speech_stopped,
            events.AudioCommitted: self._turns.committed,
            events.CallerTranscribed: self._turns.transcribed,
            events.CallerTranscriptionFailed: self._turns.not_transcribed,
            events.SessionUpdated: self._updated,
            events.ErrorEvent: self._error,
            events.UnknownEvent: self.faults.unknown_event,
        }

    # What the driver tells.

    def opened(self, now: float, *, connecting_since: float) -> None:
        """The socket is open: set the session up."""
        self._connecting_since = connecting_since
        self._socket_ms = (now - connecting_since) * 1000
        self._times.opened()
        self._ready_due = now + READY_DEADLINE_S
        self.outbox.append(client_events.update_session(self._settings.session(self._tools)))

    def receive(self, event: events.ServerEvent, now: float) -> Sequence[Happening]:
        """Take an event of the server's."""
        reaction = self._reactions.get(type(event))
        if reaction is None:
            return []
        try:
            happened = reaction(event, now)
        except events.MalformedEventError as malformed:
            return self.malformed(malformed, now)
        return happened if type(event) is events.AudioDelta else [*happened, *self._proceed(now)]

    def malformed(self, error: events.MalformedEventError, now: float) -> list[Happening]:
        """Take a message that was no event."""
        return [*self.faults.report("malformed_event", f"{error.kind}: {error.explanation}", now)]

    def caller_audio(self, packet: EncodedAudio, now: float) -> None:
        """Send caller audio, in the session's format, or hold it until the session is ready."""
        let_through = self._steering.gate.let_through(packet)
        if let_through is None:
            return
        if self.ready:
            self._append(let_through, now)
        elif not self._closed:
            self._held.hold(let_through)

    def _append(self, packet: EncodedAudio, now: float) -> None:
        self._times.appended(packet.duration_ms, now)
        self.outbox.append(client_events.append_audio(packet.payload))

    def steer(self, frame: SteeringFrame, now: float) -> list[Happening]:
        """Do what somebody on the pipeline asks for in the middle of the call."""
        if isinstance(frame, ChangeFrame):
            if frame.instructions is not None:
                self._settings = self._settings.model_copy(update={"instructions": frame.instructions})
            self._tools = self._tools if frame.tools is None else frame.tools
        self._steering.take(frame, now, ready=self.ready)
        return self._proceed(now)

    def adopt_playhead(self, playhead: Playhead) -> None:
        """Take what the caller has heard from the transport's playhead."""
        self._speech.adopt(playhead)

    def interrupted(self, now: float) -> list[Happening]:
        """Someone else on the pipeline interrupted the bot; the server does not know yet."""
        settled = self._speech.settle(now)
        self._dialogue.cancel()
        return [*settled, *self._speech.cut(now, by_caller=False), *self._proceed(now)]

    def playout_cleared(self, heard_ms: Mapping[str, float], now: float) -> list[Happening]:
        """The transport has cleared the playout; `heard_ms` is what was heard of each unfinished item."""
        happened = self.interrupted(now) if self._speech.is_cut_by(heard_ms) else []
        return [*happened, *self._speech.cleared(heard_ms, now), *self._proceed(now)]

    def playout_started(self, item_id: str, sent_at: float, heard_at: float) -> Sequence[Happening]:
        """The transport has sent an item's first packet."""
        return self._times.went_out(item_id, sent_at, heard_at)

    def playout_finished(self, now: float) -> list[Happening]:
        """The caller has heard all that the transport was given."""
        return [*self._speech.finished(now), *self._proceed(now)]

    def tool_answered(
        self, call_id: str, output: str, now: float, *, ends_call: bool = False
    ) -> list[Happening]:
        """Give the model a tool's output, and the word when all calls of its response are answered.

        Args:
            call_id: The tool call's id. An answer to an unknown one, and a second answer, are dropped.
            output: JSON text.
            now: The current time in s.
            ends_call: End the call once the caller has heard a goodbye.
        """
        self._dialogue.tool_answered(call_id, output, now, ends_call=ends_call)
        return self._proceed(now)

    def line_ended(self, now: float) -> list[Happening]:
        """The caller hears nothing from now on: tell what they heard, and what they said."""
        return [*self._times.ended(), *self._turns.ended(now), *self._speech.ended(now)]

    def lost(self) -> None:
        """The socket is gone: nothing is sent or held any more."""
        self._closed = True
        self.ready = False
        self._ready_due = None
        self.outbox.clear()

    # Time.

    def next_due(self, now: float) -> float | None:
        """Return when `due` has to be called, in s, or None."""
        farewell = self._dialogue.farewell.deadline
        request = self._dialogue.responses.due
        filler = self._filler_due(now)
        times = [self._ready_due, self._caller.answer_due, self._speech.due, request, farewell, filler]
        heard_matters = farewell is not None or self._steering.gate.opens_when_heard
        if heard_matters and self._speech.assumed and self._speech.playhead.ends_at > now:
            times.append(self._speech.playhead.ends_at)
        return min((time for time in times if time is not None), default=None)

    def due(self, now: float) -> list[Happening]:
        """Do what has waited long enough."""
        happened = self._speech.overdue(now)
        if self._ready_due is not None and now >= self._ready_due:
            happened += self._refused("timeout", f"settings not confirmed within {READY_DEADLINE_S:g} s")
        if self._caller.answer_due is not None and now >= self._caller.answer_due:
            self._caller.answer_due = None
        self._dialogue.responses.give_up(now)
        return [*happened, *self._proceed(now)]

    def _proceed(self, now: float) -> list[Happening]:
        """Ask for a response that is owed, when nobody else has the word; end the call when it is time."""
        heard = not self._speech.unheard(now)
        if self.ready and self._caller.leaves_the_word:
            if heard:
                self._dialogue.fill(self._speech.playhead.ends_at, now)
            self._dialogue.proceed(now)
        if heard and self._dialogue.responses.idle:
            self._steering.gate.all_heard()
        heard = heard and self._dialogue.goodbye_given()
        return [*self._dialogue.farewell.conclude(now, heard=heard)]

    def _filler_due(self, now: float) -> float | None:
        """Return when a filler is due, in s; None while somebody speaks, for that ends with an event."""
        silent_since = self._speech.playhead.ends_at
        told_of_silence = not self._speech.assumed and self._speech.unheard(now)
        if not self.ready or not self._caller.leaves_the_word or told_of_silence:
            return None
        return self._dialogue.filler_due(silent_since)

    # What the server tells.

    def _updated(self, event: events.SessionUpdated, now: float) -> list[Happening]:
        if self.ready or self._closed:
            return []
        self.ready = True
        self._ready_due = None
        self._model = event.session.model or self._model
        self._steering.ready()
        if self._greeting:
            self._dialogue.responses.want(Wish(greeting_instructions(self._greeting)))
            self._dialogue.proceed(now)
        for packet in self._held.release():
            self._append(packet, now)
        lost = f"{self._held.dropped} packets of caller audio came before the session was ready"
        fault = self.faults.report("caller_audio_dropped", lost, now) if self._held.dropped else []
        connect_ms = (now - self._connecting_since) * 1000
        return [SessionReadyFrame(now, self._model, connect_ms, self._socket_ms), *fault]

    def _error(self, event: events.ErrorEvent, now: float) -> list[Happening]:
        error = event.error
        code = error.code or error.type or "error"
        if not self.ready:
            return self._refused(code, error.message or "")
        another = code == "conversation_already_has_active_response"
        self._dialogue.responses.refused(error.event_id, another_is_live=another)
        return [*self.faults.report(code, error.message or "", now)]

    def _speech_started(self, _event: events.SpeechStarted, now: float) -> list[Happening]:
        self._caller.started()
        if self._steering.gate.held:
            self._caller.dropped()
        happened: list[Happening] = [*self._times.caller_started(), *self._speech.settle(now), CallerStarted()]
        if not self._settings.interrupts_responses or self._dialogue.farewell.asked:
            return happened
        if self._dialogue.caller_started() or self._speech.unheard(now):
            happened += [CallerCutIn(), *self._speech.cut(now, by_caller=True)]
        return happened

    def _speech_stopped(self, event: events.SpeechStopped, now: float) -> Sequence[Happening]:
        happened = self._caller.stopped(event, now)
        if happened:
            self._times.caller_stopped(event.audio_end_ms, now)
        return happened

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
            self._times.answered(event.item_id, now)
        return [*happened, *audio]

    def _transcript(self, event: events.TranscriptDelta | events.TranscriptDone, now: float) -> list[Happening]:
        if self._dialogue.responses.is_over(event.response_id):
            return []
        happened = self._began(event.response_id, now)
        self._speech.transcript(event)
        return happened

    def _item_done(self, event: events.OutputItemDone, now: float) -> list[Happening]:
        spoken = self._speech.completed(event.item.id or "")
        return [*spoken, *self._dialogue.tool_call(event.item, event.response_id)]

    def _done(self, event: events.ResponseDone, now: float) -> list[Happening]:
        response = event.response
        if self._dialogue.responses.is_over(response.id):
            return []
        happened: list[Happening] = []
        for item in response.output or ():
            happened += self._dialogue.tool_call(item, response.id)
        self._dialogue.over(response.id)
        happened += self._speech.response_over(response.id, now)
        if response.usage is not None:
            tokens = response_tokens(response.usage)
            happened.append(UsageFrame(now, self._model, tokens, price(self._model, tokens)))
        if response.status in ("failed", "incomplete"):
            happened += self.faults.report(*response.failure, now)
        return happened

    def _began(self, response_id: str, now: float, request_id: str | None = None) -> list[Happening]:
        if self._dialogue.responses.is_live(response_id):
            return []
        self._caller.response_began()
        previous = self._dialogue.began(response_id, request_id)
        return [] if previous is None else self._speech.response_over(previous, now)

    def _refused(self, code: str, explanation: str) -> list[Happening]:
        if self._closed:
            return []
        self.lost()
        return [SessionRefused(code, explanation)]
