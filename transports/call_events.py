"""What happens on a call, as frames: an observer writes them into the call's journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pipecat.frames.frames import Frame, SystemFrame


@dataclass
class CallEventFrame(SystemFrame):
    """Something that happened on the call, for the journal and for anyone who watches.

    A field with ``repr=False`` is content: what somebody said, or a tool was told. It is withheld while the
    call is redacted, and belongs in no log.

    Attributes:
        at: When, seconds of the call's monotonic clock.
    """

    event: ClassVar[str] = ""
    """The journal's name of this event."""

    at: float

    def fields(self) -> dict[str, Any]:
        """Return what the journal writes beside the event's name and time."""
        return {name: value for name, value in vars(self).items() if name not in _FRAME_FIELDS}

    def redacted_fields(self) -> dict[str, Any]:
        """Return the fields with all content withheld."""
        told = self.fields()
        content = {name for name in told if not self.__dataclass_fields__[name].repr}
        return told | dict.fromkeys(content, REDACTED) | ({"redacted": True} if content else {})

    @property
    def since(self) -> float:
        """When what it tells of began: by its `began_at` or `duration_ms`, if it has one of them."""
        fields = vars(self)
        return fields.get("began_at", self.at - fields.get("duration_ms", 0.0) / 1000)


REDACTED = "[redacted]"
"""Stands where content is withheld."""

_FRAME_FIELDS = frozenset(Frame.__dataclass_fields__) | {"at", "began_at"}


@dataclass
class MediaStartedFrame(CallEventFrame):
    """The carrier's media stream has started."""

    event: ClassVar[str] = "media_started"

    stream_id: str
    stream_name: str
    call_id: str


@dataclass
class MediaStoppedFrame(CallEventFrame):
    """The carrier's media stream is over.

    Attributes:
        cause: ``stop`` (the carrier said so), ``closed`` (a close frame), ``lost`` (the connection broke) or
            ``ended`` (we closed it).
        counts: What was received and what was wrong with it: ``packets``, ``lost``, ``late``, ``malformed``,
            ``unknown``, ``ignored``.
    """

    event: ClassVar[str] = "media_stopped"

    cause: str
    counts: dict[str, int]


@dataclass
class CarrierFaultFrame(CallEventFrame):
    """Something the carrier sent was wrong or missing; reported once a kind, counted in `MediaStoppedFrame`.

    Attributes:
        kind: ``malformed``, ``oversized``, ``binary``, ``unknown``, ``out-of-order``, ``lost`` or ``late``.
        explanation: What was wrong, without any of the message's content.
    """

    event: ClassVar[str] = "carrier_fault"

    kind: str
    explanation: str


@dataclass
class SessionReadyFrame(CallEventFrame):
    """The model's session is set up.

    Attributes:
        model: The model that answered.
        connect_ms: From the first attempt to connect until the session was updated.
        socket_ms: The part of it until the socket was open.
    """

    event: ClassVar[str] = "session_ready"

    model: str
    connect_ms: float
    socket_ms: float | None = None


@dataclass
class ModelFaultFrame(CallEventFrame):
    """The model's side reported an error, or broke its protocol; the call goes on.

    Attributes:
        code: The error's code or type.
        explanation: What happened, without any of the conversation's content.
    """

    event: ClassVar[str] = "model_fault"

    code: str
    explanation: str


@dataclass
class CallerTurnFrame(CallEventFrame):
    """What the caller said in one turn. Content: for the journal only.

    Attributes:
        item_id: The model's item.
        text: The transcript; empty when there is none.
        began_at: When they began to say it, or earlier; `at` is when the transcript came.
    """

    event: ClassVar[str] = "caller_turn"

    item_id: str
    text: str = field(repr=False)
    began_at: float = 0.0


@dataclass
class BotTurnFrame(CallEventFrame):
    """What the bot said in one item. Content: for the journal only.

    Attributes:
        item_id: The model's item.
        text: The transcript of what was generated.
        heard_text: The part of it the caller heard, by share of the audio.
        generated_ms: Milliseconds of audio the model generated.
        heard_ms: Milliseconds of it the caller heard.
        interrupted: The caller cut in.
        began_at: When its first audio came.
    """

    event: ClassVar[str] = "bot_turn"

    item_id: str
    text: str = field(repr=False)
    heard_text: str = field(repr=False)
    generated_ms: float
    heard_ms: float
    interrupted: bool
    began_at: float = 0.0


@dataclass
class BargeInFrame(CallEventFrame):
    """The caller cut in while the bot spoke.

    Attributes:
        item_id: The item that was being heard.
        believed_ms: Milliseconds of it we hold the caller to have heard: what the model was told.
        generated_ms: Milliseconds of it the model had generated.
    """

    event: ClassVar[str] = "barge_in"

    item_id: str
    believed_ms: float
    generated_ms: float


@dataclass
class ToolCalledFrame(CallEventFrame):
    """A tool call's audit entry. Content: for the journal only.

    Attributes:
        call_id: The model's id of the tool call.
        tool_name: The tool.
        arguments: As the model wrote them, JSON text.
        output: What the model was answered, JSON text.
        outcome: As in `ToolResultFrame`.
        duration_ms: How long the tool ran.
    """

    event: ClassVar[str] = "tool_call"

    call_id: str
    tool_name: str
    arguments: str = field(repr=False)
    output: str = field(repr=False)
    outcome: str
    duration_ms: float


@dataclass
class UsageFrame(CallEventFrame):
    """What one model response, or one transcription, used.

    Attributes:
        model: The model.
        tokens: Counts by kind: ``text_in``, ``audio_in``, ``cached_text_in``, ``cached_audio_in``,
            ``text_out``, ``audio_out``; ``transcribed_ms`` for what is billed by time.
        cost_usd: Their price, or None when the model is not in the price table.
    """

    event: ClassVar[str] = "usage"

    model: str
    tokens: dict[str, int]
    cost_usd: float | None


@dataclass
class TurnLatencyFrame(CallEventFrame):
    """How long the caller waited for an answer, by stage; None where a stage was not seen.

    Attributes:
        response_ms: From the end of the caller's speech to the answer's first audio from the model.
        wire_ms: From that audio's arrival to its first packet on the carrier's wire.
        heard_ms: From that packet to when the caller hears it, by the playhead.
        notice_ms: The part of `response_ms` until the model's server told that the caller had stopped.
        measured_from: Where the end of the caller's speech was measured: ``audio`` (the server's place in the
            caller's audio, as that came in from the carrier) or ``notice`` (only when the server told of it).
    """

    event: ClassVar[str] = "turn_latency"

    response_ms: float | None
    wire_ms: float | None
    heard_ms: float | None = None
    notice_ms: float | None = None
    measured_from: str = "notice"
