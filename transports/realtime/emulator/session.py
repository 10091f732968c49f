"""The state of one realtime session, without socket, clock or brain.

It takes client events and the time, and gives server events in the API's order, mixed with what somebody else
has to do: listen to a turn (`Hear`), think of an answer (`Respond`), stop thinking of it (`Abandon`).

Source: `openai.types.realtime` and the guides of the Realtime API.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ...speech.interfaces import SpeechDetector
from .client_events import (
    BufferAppend,
    BufferClear,
    BufferCommit,
    ClientEvent,
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    ResponseCancel,
    ResponseCreate,
    ResponseParameters,
    SessionUpdate,
    checked,
    decoded,
)
from .client_items import Hear, conversation_item
from .configuration import Configuration, SemanticVad, ServerVad, audio_format, merged
from .conversation import Conversation
from .errors import RequestError
from .items import CallerSpeech, Item, Message
from .response import CancelReason, Response
from .responses import BrainView, Responses
from .server_events import ServerEvent, ServerEvents
from .turn_detection import CallerTurns, Turn, TurnStarted
from .utterance import words

_RATE_LIMITS = [
    {"name": "requests", "limit": 10_000, "remaining": 9_999, "reset_seconds": 0.006},
    {"name": "tokens", "limit": 4_000_000, "remaining": 3_999_000, "reset_seconds": 0.015},
]
"""The emulator limits nothing; these are the figures of an account that is never short."""


@dataclass(frozen=True, slots=True)
class Respond:
    """A response waits for what the brain says; its methods take it, and `Session.finish` ends it."""

    response: Response


@dataclass(frozen=True, slots=True)
class Abandon:
    """A response was cancelled; nothing more may be given to it."""

    response: Response


Reaction: TypeAlias = ServerEvent | Hear | Respond | Abandon


class Session:
    """One session.

    Args:
        model: The model the client asked for, echoed.
        detector: Finds the caller's speech.
        expires_at: When the session ends, in seconds of Unix time, echoed.
        events: Makes ids and events.
    """

    def __init__(
        self, model: str, detector: SpeechDetector, *, expires_at: int, events: ServerEvents | None = None
    ) -> None:
        self._events = events or ServerEvents()
        self._id = self._events.new_id("sess")
        self._expires_at = expires_at
        self.configuration = Configuration(type="realtime", model=model)
        self.conversation = Conversation(self._events.new_id("conv"))
        self.responses = Responses(self.conversation, self._events)
        caller_format = audio_format(self.configuration.audio.input.format)
        self._turns = CallerTurns(caller_format, detector, lambda: self._events.new_id("item"))
        self._idle_since: float | None = None

    @property
    def caller_audio_ms(self) -> float:
        """All audio the client has appended."""
        return self._turns.position_ms

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do unless the caller speaks before, in monotonic seconds."""
        timeout_ms = self._detection.idle_timeout_ms if self._detection is not None else None
        if timeout_ms is None or self._idle_since is None:
            return None
        return self._idle_since + timeout_ms / 1000

    @property
    def _detection(self) -> ServerVad | SemanticVad | None:
        return self.configuration.audio.input.turn_detection

    def opened(self) -> list[ServerEvent]:
        """Return what the client is sent first."""
        return [self._events.event("session.created", session=self._wire())]

    def receive(self, message: str | bytes, now: float) -> list[Reaction]:
        """Take one message of the client.

        Args:
            message: JSON text. Whatever else it is, the answer is an `error` event.
            now: Monotonic seconds.
        """
        client_event_id: str | None = None
        reactions: list[Reaction] = []
        try:
            event = decoded(message)
            given_id = event.get("event_id")
            client_event_id = given_id if isinstance(given_id, str) else None
            reactions.extend(self._reactions(checked(event), now))
        except RequestError as refused:
            reactions.append(self._events.error(refused, client_event_id))
        return reactions

    def tick(self, now: float) -> list[Reaction]:
        """Take the time; see `deadline`."""
        detection = self._detection
        if self.deadline is None or now < self.deadline or detection is None or not detection.idle_timeout_ms:
            return []
        self._idle_since = None
        turn = self._turns.commit_silence(detection.idle_timeout_ms)
        triggered = self._events.event(
            "input_audio_buffer.timeout_triggered",
            item_id=turn.item_id,
            audio_start_ms=turn.audio_start_ms,
            audio_end_ms=turn.audio_end_ms,
        )
        return [triggered, *self._committed(turn), *self._answered()]

    def heard(self, hear: Hear, text: str) -> list[ServerEvent]:
        """Take what the ear understood."""
        hear.speech.understood = text
        if not hear.transcribe:
            return []
        hear.speech.transcript = text
        place = {"item_id": hear.item_id, "content_index": hear.content_index}
        kind = "conversation.item.input_audio_transcription"
        # As for the models billed by the duration of the audio, which all current ones are.
        usage = {"type": "duration", "seconds": round(hear.speech.audio_ms / 1000, 3)}
        deltas = [self._events.event(f"{kind}.delta", **place, delta=word) for word in words(text)]
        return [*deltas, self._events.event(f"{kind}.completed", **place, transcript=text, usage=usage)]

    def unheard(self, hear: Hear, message: str) -> list[ServerEvent]:
        """Take that the ear failed."""
        if not hear.transcribe:
            return []
        return [
            self._events.event(
                "conversation.item.input_audio_transcription.failed",
                item_id=hear.item_id,
                content_index=hear.content_index,
                error={"type": "server_error", "code": "transcription_failed", "message": message},
            )
        ]

    def view(self, response: Response) -> BrainView:
        """Return what a brain is told for a response; ask when all audio was heard."""
        return self.responses.view(response)

    def finish(self, response: Response, now: float) -> list[ServerEvent]:
        """Take that the brain has given everything."""
        return self._ended(response, response.complete(), now)

    def fail(
        self,
        response: Response,
        message: str,
        now: float,
        *,
        code: str = "server_error",
        kind: str = "server_error",
    ) -> list[ServerEvent]:
        """Take that the brain, or its voice, failed."""
        return self._ended(response, response.fail(message, code=code, kind=kind), now)

    def _reactions(self, event: ClientEvent, now: float) -> Iterator[Reaction]:
        match event:
            case BufferAppend():
                yield from self._append(event.audio, now)
            case BufferCommit():
                yield from self._committed(self._turns.commit())
            case BufferClear():
                self._turns.clear()
                yield self._events.event("input_audio_buffer.cleared")
            case SessionUpdate():
                yield self._update(event.session)
            case ItemCreate():
                yield from self._create_item(event)
            case ItemTruncate():
                self.conversation.truncate(event.item_id, event.content_index, event.audio_end_ms)
                cut = event.model_dump(include={"item_id", "content_index", "audio_end_ms"})
                yield self._events.event("conversation.item.truncated", **cut)
            case ItemDelete():
                self.conversation.delete(event.item_id)
                yield self._events.event("conversation.item.deleted", item_id=event.item_id)
            case ItemRetrieve():
                item = self.conversation.retrieve(event.item_id)
                yield self._events.event("conversation.item.retrieved", item=item.wire())
            case ResponseCreate():
                yield from self._respond(event.response)
            case ResponseCancel():
                yield from self._cancelled(self.responses.find(event.response_id), "client_cancelled", now)

    def _update(self, update: Configuration) -> ServerEvent:
        if "model" in update.model_fields_set and update.model != self.configuration.model:
            raise RequestError("Cannot update a session's model.", "invalid_value", "session.model")
        changed = merged(self.configuration, update)
        if changed.audio.output.voice != self.configuration.audio.output.voice:
            self.responses.check_voice_may_change()
        self.configuration = changed
        self._turns.use(audio_format(changed.audio.input.format))
        return self._events.event("session.updated", session=self._wire())

    def _append(self, audio: bytes, now: float) -> Iterator[Reaction]:
        detection = self._detection
        for edge in self._turns.append(audio, detection):
            assert detection is not None
            if isinstance(edge, TurnStarted):
                self._idle_since = None
                start = {"audio_start_ms": edge.audio_start_ms, "item_id": edge.item_id}
                yield self._events.event("input_audio_buffer.speech_started", **start)
                if detection.interrupt_response and self.responses.current is not None:
                    yield from self._cancelled(self.responses.current, "turn_detected", now)
                continue
            end = {"audio_end_ms": edge.audio_end_ms, "item_id": edge.item_id}
            yield self._events.event("input_audio_buffer.speech_stopped", **end)
            yield from self._committed(edge)
            if detection.create_response:
                yield from self._answered()

    def _committed(self, turn: Turn) -> Iterator[Reaction]:
        speech = CallerSpeech(turn.duration_ms)
        item = Message(turn.item_id, "user", [speech])
        previous = self.conversation.append(item)
        place = {"previous_item_id": previous, "item_id": item.id}
        yield self._events.event("input_audio_buffer.committed", **place)
        yield from self._added(item, previous)
        transcribe = self.configuration.audio.input.transcription is not None
        yield Hear(item.id, 0, speech, turn.pcm, turn.sample_rate, transcribe)

    def _added(self, item: Item, previous: str | None) -> Iterator[ServerEvent]:
        yield self._events.event("conversation.item.added", previous_item_id=previous, item=item.wire())
        yield self._events.event("conversation.item.done", previous_item_id=previous, item=item.wire())

    def _create_item(self, event: ItemCreate) -> Iterator[Reaction]:
        caller_format = audio_format(self.configuration.audio.input.format)
        item, unheard = conversation_item(event.item, self._events.new_id, caller_format)
        previous = self.conversation.insert(item, event.previous_item_id)
        yield from self._added(item, previous)
        yield from unheard

    def _answered(self) -> Iterator[Reaction]:
        """The server answers of its own accord, which fails while another response is live."""
        try:
            yield from self._respond(None)
        except RequestError as refused:
            yield self._events.error(refused)

    def _respond(self, wishes: ResponseParameters | None) -> Iterator[Reaction]:
        response, unheard = self.responses.create(self.configuration, wishes)
        self._idle_since = None
        yield from response.created()
        yield from unheard
        yield Respond(response)

    def _cancelled(self, response: Response, reason: CancelReason, now: float) -> Iterator[Reaction]:
        yield Abandon(response)
        yield from self._ended(response, response.cancel(reason), now)

    def _ended(self, response: Response, events: list[ServerEvent], now: float) -> list[ServerEvent]:
        self.responses.ended(response)
        if response.settings.conversation is not None:
            self._idle_since = now + response.audio_ms / 1000
        return [*events, self._events.event("rate_limits.updated", rate_limits=_RATE_LIMITS)]

    def _wire(self) -> dict[str, object]:
        return {
            "object": "realtime.session",
            "id": self._id,
            "expires_at": self._expires_at,
            **self.configuration.model_dump(mode="json"),
        }
