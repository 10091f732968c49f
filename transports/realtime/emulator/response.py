"""One answer of the model, from `response.created` to `response.done`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ...audio.formats import AudioFormat
from .configuration import CustomVoice, FunctionTool, Pcm, Pcma, Pcmu, audio_format
from .conversation import Conversation
from .items import FunctionCall, Item, Message, ModelSpeech, Text
from .server_events import ServerEvent, ServerEvents
from .usage import Tokens, usage
from .utterance import words

ResponseStatus: TypeAlias = Literal["completed", "cancelled", "incomplete", "failed"]
CancelReason: TypeAlias = Literal["turn_detected", "client_cancelled"]

_ARGUMENTS_DELTA = 16
"""Characters of a tool call's arguments that one event brings."""


@dataclass(frozen=True, slots=True)
class ResponseSettings:
    """What holds for one response: the session's configuration with the request's own wishes.

    Attributes:
        instructions: What the brain is told to do.
        tools: What it may call.
        modality: ``audio`` or ``text``.
        wire_format: The audio's format as the session names it.
        voice: The voice's name, echoed.
        max_output_tokens: Tokens after which the response ends as incomplete.
        metadata: The client's own, echoed.
        input: What is read instead of the conversation, when the request brings something.
        conversation: Where the output goes; None for a response out of band.
    """

    instructions: str = field(repr=False)
    tools: Sequence[FunctionTool]
    modality: Literal["audio", "text"]
    wire_format: Pcm | Pcmu | Pcma
    voice: str | CustomVoice
    max_output_tokens: int | Literal["inf"]
    metadata: dict[str, str] | None
    input: Sequence[Item] | None
    conversation: Conversation | None


class Response:
    """Collects what the model gives and tells it to the client.

    Every method returns the server events that it causes, in the API's order.

    Args:
        settings: What holds for it.
        events: Makes the events.
        read: The tokens of its context.
        cached: Those of them that were read before.
    """

    def __init__(self, settings: ResponseSettings, events: ServerEvents, read: Tokens, cached: Tokens) -> None:
        self.settings = settings
        self.id = events.new_id("resp")
        self.audio_ms = 0.0
        self._events = events
        self._read = read
        self._cached = cached
        self._output: list[Item] = []
        self._open: Message | None = None
        self._status: ResponseStatus | None = None

    @property
    def audio_format(self) -> AudioFormat:
        """How its audio is encoded."""
        return audio_format(self.settings.wire_format)

    @property
    def is_done(self) -> bool:
        """Whether nothing more may come."""
        return self._status is not None

    @property
    def is_full(self) -> bool:
        """Whether it has used up its output tokens."""
        limit = self.settings.max_output_tokens
        return limit != "inf" and self._written.total >= limit

    @property
    def _written(self) -> Tokens:
        return sum((item.tokens for item in self._output), Tokens())

    def created(self) -> list[ServerEvent]:
        """The response exists and has no output yet."""
        return [self._events.event("response.created", response=self._wire(None))]

    def begin_speech(self, text: str, duration_ms: float) -> list[ServerEvent]:
        """A spoken message begins, of which nothing was said yet."""
        return self._begin(ModelSpeech(text, duration_ms))

    def speech(self, transcript: str, audio: bytes) -> list[ServerEvent]:
        """A piece of the spoken message: the words that begin in it, and its audio, encoded."""
        part = self._open_part()
        assert isinstance(part, ModelSpeech)
        duration_ms = self.audio_format.duration_ms(len(audio))
        part.audio_ms += duration_ms
        self.audio_ms += duration_ms
        events: list[ServerEvent] = []
        if transcript:
            part.transcript = (part.transcript or "") + transcript
            events.append(self._part_event("response.output_audio_transcript.delta", delta=transcript))
        if audio:
            payload = base64.b64encode(audio).decode("ascii")
            events.append(self._part_event("response.output_audio.delta", delta=payload))
        return events

    def write(self, text: str) -> list[ServerEvent]:
        """A whole message in text."""
        part = Text("output_text", "")
        events = self._begin(part)
        for word in words(text):
            part.text += word
            events.append(self._part_event("response.output_text.delta", delta=word))
            if self.is_full:
                return events
        return events + self.end_message()

    def end_message(self, status: Literal["completed", "incomplete"] = "completed") -> list[ServerEvent]:
        """The open message ends."""
        part, message = self._open_part(), self._open
        assert message is not None
        if isinstance(part, ModelSpeech):
            wire: dict[str, object] = {"type": "audio", "transcript": part.transcript or ""}
            events = [
                self._part_event("response.output_audio.done"),
                self._part_event("response.output_audio_transcript.done", transcript=part.transcript or ""),
            ]
        else:
            wire = {"type": "text", "text": part.text}
            events = [self._part_event("response.output_text.done", text=part.text)]
        events.append(self._part_event("response.content_part.done", part=wire))
        self._open = None
        message.status = status
        return events + self._item_done(message)

    def call(self, name: str, arguments: str) -> list[ServerEvent]:
        """A whole tool call.

        Args:
            name: The tool.
            arguments: Its arguments, a JSON object as text.
        """
        call = FunctionCall(
            self._events.new_id("item"), self._events.new_id("call"), name, "", status="in_progress"
        )
        events = self._item_added(call)
        place = {
            "response_id": self.id,
            "item_id": call.id,
            "output_index": len(self._output) - 1,
            "call_id": call.call_id,
        }
        for start in range(0, len(arguments), _ARGUMENTS_DELTA):
            delta = arguments[start : start + _ARGUMENTS_DELTA]
            events.append(self._events.event("response.function_call_arguments.delta", **place, delta=delta))
        call.arguments = arguments
        call.status = "completed"
        done = self._events.event(
            "response.function_call_arguments.done", **place, name=name, arguments=arguments
        )
        return [*events, done, *self._item_done(call)]

    def complete(self) -> list[ServerEvent]:
        """Everything was given; what exceeds the output tokens was not."""
        if self._open is None and not self.is_full:
            return self._done("completed", None)
        return self._done("incomplete", {"type": "incomplete", "reason": "max_output_tokens"})

    def cancel(self, reason: CancelReason) -> list[ServerEvent]:
        """The caller or the client interrupts."""
        return self._done("cancelled", {"type": "cancelled", "reason": reason})

    def fail(
        self, message: str, *, code: str = "server_error", kind: str = "server_error"
    ) -> list[ServerEvent]:
        """The model could not answer."""
        error = {"type": kind, "code": code, "message": message}
        return self._done("failed", {"type": "failed", "error": error})

    def _done(self, status: ResponseStatus, details: dict[str, object] | None) -> list[ServerEvent]:
        events = self.end_message("incomplete") if self._open is not None else []
        self._status = status
        return [*events, self._events.event("response.done", response=self._wire(details))]

    def _begin(self, part: ModelSpeech | Text) -> list[ServerEvent]:
        message = Message(self._events.new_id("item"), "assistant", [], status="in_progress")
        events = self._item_added(message)
        message.content.append(part)
        self._open = message
        wire: dict[str, object] = {"type": "text", "text": ""}
        if isinstance(part, ModelSpeech):
            wire = {"type": "audio", "transcript": ""}
        return [*events, self._part_event("response.content_part.added", part=wire)]

    def _open_part(self) -> ModelSpeech | Text:
        assert self._open is not None
        part = self._open.content[0]
        assert isinstance(part, ModelSpeech | Text)
        return part

    def _item_added(self, item: Item) -> list[ServerEvent]:
        self._output.append(item)
        events = [self._item_event("response.output_item.added", item)]
        if self.settings.conversation is not None:
            previous = self.settings.conversation.append(item)
            added = self._events.event("conversation.item.added", previous_item_id=previous, item=item.wire())
            events.append(added)
        return events

    def _item_done(self, item: Item) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        if self.settings.conversation is not None:
            previous = self.settings.conversation.previous(item.id)
            done = self._events.event("conversation.item.done", previous_item_id=previous, item=item.wire())
            events.append(done)
        return [*events, self._item_event("response.output_item.done", item)]

    def _item_event(self, event_type: str, item: Item) -> ServerEvent:
        place = {"response_id": self.id, "output_index": len(self._output) - 1}
        return self._events.event(event_type, **place, item=item.wire())

    def _part_event(self, event_type: str, **fields: object) -> ServerEvent:
        assert self._open is not None
        return self._events.event(
            event_type,
            response_id=self.id,
            item_id=self._open.id,
            output_index=len(self._output) - 1,
            content_index=0,
            **fields,
        )

    def _wire(self, details: dict[str, object] | None) -> dict[str, object]:
        settings = self.settings
        voice = settings.voice.id if isinstance(settings.voice, CustomVoice) else settings.voice
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self._status or "in_progress",
            "status_details": details,
            "output": [item.wire() for item in self._output],
            "conversation_id": settings.conversation.id if settings.conversation is not None else None,
            "output_modalities": [settings.modality],
            "max_output_tokens": settings.max_output_tokens,
            "audio": {"output": {"format": settings.wire_format.model_dump(), "voice": voice}},
            "usage": usage(self._read, self._cached, self._written) if self.is_done else None,
            "metadata": settings.metadata,
        }
