"""The state of a call's realtime session: what may be sent, what is live, what the caller heard.

It outlives the server's sessions: each is opened, lost, and followed by another that is told the conversation.
No socket and no clock: the driver hands in events with the time they came at (monotonic seconds), sends what
`RealtimeSession.outbox` holds, and calls `due` when `next_due` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..audio.playhead import Playhead
from ..call_events import SessionReadyFrame
from ..conversation_events import EndAskedFrame
from ..frames import EncodedAudio
from ..restored import Restored
from ..steering import ChangeFrame, SteeringFrame, TellFrame
from . import client_events, events
from .answer_times import AnswerTimes
from .answering import Answering
from .bot_speech import BotSpeech
from .caller import CallerSpeech, CallerTurns
from .dialogue import Dialogue
from .faults import LASTING_ERRORS, Faults
from .handover import QUIET_MS, Handover
from .happenings import CallerCutIn, CallerStarted, Happening, Reactions, SessionGone, SilenceToCover
from .listening import COMMIT_REFUSED, Listening
from .opening import Opened
from .pace import Pace
from .responses import Wish, greet_with
from .resuming import changed, go_on_wish, take_up
from .settings import RealtimeSettings, ServerVad
from .steering import Steering

PRERECORDED_GREETING = "greeting"
"""The item id of a greeting that no model makes."""


class RealtimeSession:
    """A call's session with the model, from the first open socket to the end of the call.

    Args:
        settings: What the server's sessions are set up with.
        tools: What the model may call.
        greeting: What the bot says first; None lets the caller begin.
        holding_phrase: What the caller hears when a lost session would leave them in silence, in the session's
            format; None for nothing.
        pace: The voice's; None for one that this call learns.

    Attributes:
        outbox: Client events to send, oldest first; whoever sends them takes them out.
        ready: A server's session is set up, and its socket is open.
        faults: What went wrong, counted, the harmless included.
    """

    def __init__(
        self,
        settings: RealtimeSettings,
        *,
        tools: Sequence[events.ToolSchema] = (),
        greeting: str | None = None,
        holding_phrase: EncodedAudio | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.outbox: list[bytes] = []
        self.ready = False
        self.faults = Faults()
        self._settings = settings
        self._tools = tools
        self._ended = False
        self._gone = False
        self._caller = CallerSpeech(answered_by_server=settings.creates_responses)
        transcription, vad = settings.transcription, settings.turn_detection
        self._turns = CallerTurns(transcription.model if transcription else None, self.faults)
        self._speech = BotSpeech(settings.audio_format, self.outbox, pace or Pace())
        self._dialogue = Dialogue(self.outbox)
        if greeting:
            self._dialogue.responses.want_first(Wish(greet_with(greeting), greeting))
        self._steering = Steering(self._dialogue, self._caller, self.outbox)
        self._gate = self._steering.gate
        self._handover = Handover(
            self._dialogue,
            self._speech,
            self._caller,
            audio_format=settings.audio_format,
            detects_turns=vad is not None,
            holding_phrase=holding_phrase,
        )
        self._held_audio = self._handover.audio
        silence_ms = vad.silence_duration_ms if isinstance(vad, ServerVad) else 0.0
        self._times = AnswerTimes(self._held_audio.came_at, silence_ms)
        self._listening = Listening(
            self._caller,
            self._turns,
            times=self._times,
            handover=self._handover,
            interrupt=self._interrupt,
            gate=self._gate,
            by_hand=vad is None,
        )
        self._answering = Answering(
            self._dialogue,
            self._speech,
            self._caller,
            times=self._times,
            handover=self._handover,
            faults=self.faults,
        )
        self._answering.instructions = settings.instructions
        self._reactions: Reactions = {
            **self._answering.reactions,
            **self._listening.reactions,
            events.ErrorEvent: self._error,
            events.UnknownEvent: self.faults.unknown_event,
        }

    # What the driver tells.

    def set_up(self, model: str) -> bytes:
        """Return the client event that sets a server's session up, with the model as its place names it."""
        return client_events.update_session(self._settings.session(self._tools) | {"model": model})

    def greeted(self, text: str, audio: EncodedAudio, now: float) -> list[Happening]:
        """The bot greets before any session is open, by itself; every session is told that it has."""
        return self._noted(self._speech.prerecorded(PRERECORDED_GREETING, text, audio, now))

    def resumed(self, restored: Restored, phrase: EncodedAudio | None, now: float) -> list[Happening]:
        """Take up an earlier generation's conversation instead of greeting, before any session is open.

        The caller hears `phrase` at once; tool calls that can do no harm are made again.
        """
        self._change(changed(restored, self._tools))
        again = take_up(restored, self._handover.history, self._dialogue)
        self._dialogue.responses.forget()
        if restored.ends:
            self._dialogue.farewell.ask(now)
        if not again:
            self._dialogue.responses.want(go_on_wish(restored, self._settings.instructions))
        if phrase is not None:
            self._speech.held(phrase, now)
        return self._noted([*([] if phrase is None else [SilenceToCover(phrase)]), *again])

    def opened(self, opened: Opened, now: float) -> list[Happening]:
        """Everything goes to this server's session from now on; it is told the conversation so far."""
        self.outbox.clear()
        self.ready = True
        self._gone = False
        self._answering.model = opened.model
        self._answering.retries.reset()
        set_up = self.set_up(opened.asked_for)
        if set_up != opened.set_up:
            self.outbox.append(set_up)
        self.outbox += self._handover.replay(now)
        happened = self._proceed(now)
        audio = self._handover.audio
        self.outbox += [client_events.append_audio(piece.audio) for piece in audio.restart(now)]
        lost = f"{audio.dropped_ms:,.0f} ms of the caller's audio found no room before the session was ready"
        fault = self.faults.report("caller_audio_dropped", lost, now) if audio.dropped_ms else []
        audio.dropped_ms = 0.0
        return [SessionReadyFrame(now, opened.model, opened.connect_ms, opened.socket_ms), *fault, *happened]

    def line_began(self, now: float) -> list[Happening]:
        """The caller is on the line, and hears nothing of the model until there is a session."""
        if not self.ready:
            self._handover.expect_silence(now)
        return []

    def lost(self, now: float) -> list[Happening]:
        """The server's session is gone: what it owes, and what the caller says, waits for the next."""
        if not self.ready:
            return []
        self.ready = False
        self.outbox.clear()
        untold = [*self._turns.ended(now), *self._listening.lost(now)]
        return self._noted([*untold, *self._handover.lost(self._settings.instructions, now)])

    def moved(self, opened: Opened, now: float) -> list[Happening]:
        """Another server's session takes the place of the present one, which is alive."""
        if self._settings.turn_detection is not None and self.between_turns(now):
            self._held_audio.clear()  # the present session has heard it all
        return [*self.lost(now), *self.opened(opened, now)]

    def between_turns(self, now: float) -> bool:
        """Whether nobody speaks, and nobody is owed a word."""
        silent = self.ready and self._caller.leaves_the_word and self._dialogue.responses.idle
        complete = silent and self._turns.complete and not self._speech.unheard(now)
        return complete and self._held_audio.is_quiet(QUIET_MS)

    def end(self) -> None:
        """The call ends: nothing is sent or kept any more."""
        self._ended = True
        self.ready = False
        self.outbox.clear()
        self._held_audio.clear()

    def receive(self, event: events.ServerEvent, now: float) -> Sequence[Happening]:
        """Take an event of the server's."""
        reaction = self._reactions.get(type(event))
        if reaction is None:
            return []
        try:
            happened = reaction(event, now)
        except events.MalformedEventError as malformed:
            return self.malformed(malformed, now)
        if type(event) is events.AudioDelta:
            return self._noted(happened) if happened else happened
        self._held_audio.heard_of()
        if type(event) is events.TranscriptDelta and not happened:
            return happened
        return self._noted([*happened, *self._proceed(now)])

    def malformed(self, error: events.MalformedEventError, now: float) -> list[Happening]:
        """Take a message that was no event."""
        return [*self.faults.report("malformed_event", f"{error.kind}: {error.explanation}", now)]

    def caller_audio(self, packet: EncodedAudio, now: float) -> None:
        """Send caller audio, in the session's format, or hold it until a session is ready."""
        gate = self._gate
        heard = packet if not gate.muted and not gate.held else gate.instead_of(packet)
        if heard is None or self._ended:
            return
        audio = heard.audio
        self._held_audio.hold(audio, now)
        if self.ready:
            self.outbox.append(client_events.append_audio(audio))

    def steer(self, frame: SteeringFrame, now: float) -> list[Happening]:
        """Do what somebody on the pipeline asks for in the middle of the call."""
        if isinstance(frame, ChangeFrame):
            self._change(frame)
        elif isinstance(frame, TellFrame):
            self._handover.history.author_told(frame.text)
        told = self._steering.take(frame, now)
        if self._gate.held:
            self._held_audio.clear()
        return [*told, *self._proceed(now)]

    def _change(self, frame: ChangeFrame) -> None:
        """Note other instructions, or other tools, for this server's session and every one after it."""
        if frame.instructions is not None:
            self._settings = self._settings.model_copy(update={"instructions": frame.instructions})
            self._answering.instructions = frame.instructions
        self._tools = self._tools if frame.tools is None else frame.tools

    def adopt_playhead(self, playhead: Playhead) -> None:
        """Take what the caller has heard from the transport's playhead."""
        self._speech.adopt(playhead)

    def interrupted(self, now: float) -> list[Happening]:
        """Someone else on the pipeline interrupted the bot; the server does not know yet."""
        settled = self._speech.settle(now)
        self._dialogue.cancel()
        return self._noted([*settled, *self._speech.cut(now, by_caller=False), *self._proceed(now)])

    def caller_finished(self, now: float) -> list[Happening]:
        """Somebody on the pipeline says that the caller's turn is over. A server that finds turns knows."""
        if self._settings.turn_detection is not None:
            return []
        self._listening.finished(now)
        told = [] if self.ready else self._listening.lost(now)
        self.outbox.append(client_events.COMMIT_INPUT)
        self._dialogue.responses.want()
        return self._noted([*told, *self._proceed(now)])

    def playout_cleared(self, heard_ms: Mapping[str, float], now: float) -> list[Happening]:
        """The transport has cleared the playout; `heard_ms` is what was heard of each unfinished item."""
        happened = self.interrupted(now) if self._speech.is_cut_by(heard_ms) else []
        return self._noted([*happened, *self._speech.cleared(heard_ms, now), *self._proceed(now)])

    def playout_started(self, item_id: str, sent_at: float, heard_at: float) -> Sequence[Happening]:
        """The transport has sent an item's first packet."""
        return self._times.went_out(item_id, sent_at, heard_at)

    def playout_finished(self, now: float) -> list[Happening]:
        """The caller has heard all that the transport was given."""
        return self._noted([*self._speech.finished(now), *self._proceed(now)])

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
        told: list[Happening] = []
        if self._dialogue.tool_answered(call_id, output, now, ends_call=ends_call):
            self._handover.history.tool_answered(call_id, output)
            told += [EndAskedFrame(now)] if ends_call else []
        return [*told, *self._proceed(now)]

    def line_ended(self, now: float) -> list[Happening]:
        """The caller hears nothing from now on: tell what they heard, and what they said."""
        return [*self._times.ended(), *self._turns.ended(now), *self._speech.ended(now)]

    # Time.

    def next_due(self, now: float) -> float | None:
        """Return when `due` has to be called, in s, or None."""
        farewell = self._dialogue.farewell.deadline
        times = [self._speech.due, farewell, self._handover.due, *self._server_due(now)]
        heard_matters = farewell is not None or self._gate.opens_when_heard
        if heard_matters and self._speech.assumed and self._speech.playhead.ends_at > now:
            times.append(self._speech.playhead.ends_at)
        return min((time for time in times if time is not None), default=None)

    def _server_due(self, now: float) -> list[float | None]:
        if not self.ready:
            return []
        request, retry = self._dialogue.responses.due, self._answering.retries.due
        return [
            self._caller.answer_due,
            request,
            retry,
            self._filler_due(now),
            None if self._gone else self._answering.stalled_at,
        ]

    @property
    def is_owed(self) -> bool:
        """Whether the server owes a response, or the rest of one."""
        responses = self._dialogue.responses
        asked = responses.live is not None or responses.due is not None
        return asked or self._caller.answer_due is not None

    @property
    def expects_word(self) -> bool:
        """Whether the server should have told by now that the caller has begun to speak, or has stopped."""
        return self._listening.expects_word

    @property
    def progress_due(self) -> float | None:
        """When `progress` has something to tell, in s; None while nothing is being said."""
        return self._speech.progress_due

    def progress(self, now: float) -> list[Happening]:
        """Tell how far the caller has heard what is being said, when it is time."""
        return self._speech.progress(now)

    def due(self, now: float) -> list[Happening]:
        """Do what has waited long enough."""
        happened = [*self._speech.overdue(now), *self._handover.cover(now, away=not self.ready)]
        if self._caller.answer_due is not None and now >= self._caller.answer_due:
            self._caller.answer_due = None
            self._dialogue.responses.want()
        self._dialogue.responses.give_up(now)
        self._answering.retries.passed(now)
        stalled_at = self._answering.stalled_at
        if self.ready and not self._gone and stalled_at is not None and now >= stalled_at:
            self._gone = True
            happened.append(SessionGone("stalled", "the model stopped in the middle of an answer"))
        return self._noted([*happened, *self._proceed(now)])

    def _proceed(self, now: float) -> list[Happening]:
        """Ask for a response that is owed, when nobody else has the word; end the call when it is time."""
        if not self.ready:
            self.outbox.clear()  # the next session is told all that counts
        heard = not self._speech.unheard(now)
        if self.ready and self._caller.leaves_the_word and self._answering.retries.due is None:
            if heard:
                self._dialogue.fill(self._speech.playhead.ends_at, now)
            self._dialogue.proceed(now)
        if heard and self._dialogue.responses.idle:
            self._gate.all_heard()
        heard = heard and self._dialogue.goodbye_given()
        return [*self._dialogue.farewell.conclude(now, heard=heard)]

    def _filler_due(self, now: float) -> float | None:
        """Return when a filler is due, in s; None while somebody speaks, for that ends with an event.

        None as well while a failed response is to be asked for again: that passes the time.
        """
        silent_since = self._speech.playhead.ends_at
        told_of_silence = not self._speech.assumed and self._speech.unheard(now)
        if not self.ready or not self._caller.leaves_the_word or told_of_silence:
            return None
        if self._answering.retries.due is not None:
            return None
        return self._dialogue.filler_due(silent_since)

    # What the server tells.

    def _error(self, event: events.ErrorEvent, now: float) -> list[Happening]:
        error = event.error
        code = error.code or error.type or "error"
        another = code == "conversation_already_has_active_response"
        self._dialogue.responses.refused(error.event_id, another_is_live=another)
        if code in LASTING_ERRORS or code == "session_expired":
            return [SessionGone(code, error.message or "", code in LASTING_ERRORS)]
        if code == COMMIT_REFUSED:
            self._listening.not_committed()
        return [*self.faults.report(code, error.message or "", now)]

    def _interrupt(self, now: float) -> list[Happening]:
        """The caller speaks: stop the bot, if it speaks and they may."""
        settled = self._speech.settle(now)
        if not self._settings.interrupts_responses or self._dialogue.farewell.asked:
            return [*settled, CallerStarted()]
        if not (self._dialogue.caller_started() or self._speech.unheard(now)):
            return [*settled, CallerStarted()]
        return [*settled, CallerStarted(), CallerCutIn(), *self._speech.cut(now, by_caller=True)]

    def _noted(self, happened: Sequence[Happening]) -> list[Happening]:
        corrections = self._handover.note(happened)
        if self.ready:
            self.outbox += corrections
        return [*happened]
