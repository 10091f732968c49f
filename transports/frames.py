"""callpipe's own frame types, beside pipecat's.

Audio: encoded audio has frame types of its own (`InputEncodedAudioFrame`, `OutputEncodedAudioFrame`), so that
a stock processor never takes mu-law for PCM. PCM audio travels in pipecat's `InputAudioRawFrame` and, from the
bot, in `TTSAudioRawFrame` whose `context_id` is the model's item id.

Events: a `CallEventFrame` tells what happened on a call. It is what the journal keeps.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pipecat.frames.frames import AudioRawFrame, DataFrame, Frame, SystemFrame
from pipecat.utils.utils import obj_id

from .encoded_audio import EncodedAudio

if TYPE_CHECKING:
    from .audio.playhead import Playhead


class _PacketFrame(Frame):
    """A frame of which there are many: what pipecat gives each frame beforehand is made when it is asked for.

    pipecat's way takes 2 microseconds a frame, this one a third of it.
    """

    pts = None
    broadcast_sibling_id = None
    transport_source = None
    transport_destination = None

    def __post_init__(self) -> None:
        self.id = obj_id()

    if not TYPE_CHECKING:
        name = functools.cached_property(lambda self: f"{type(self).__name__}#{self.id}")
        metadata = functools.cached_property(lambda self: {})


@dataclass
class InputEncodedAudioFrame(_PacketFrame, SystemFrame):
    """A packet of the caller's audio as the carrier sent it.

    Attributes:
        encoded: The packet's audio.
        position: Samples of the inbound track that came before this packet, lost ones included: the carrier's
            clock.
        received_at: When it was read from the socket, seconds of the call's monotonic clock.
    """

    encoded: EncodedAudio
    position: int = 0
    received_at: float = 0.0


@dataclass
class OutputEncodedAudioFrame(_PacketFrame, DataFrame):
    """Audio for the caller in the encoding of the wire.

    Attributes:
        encoded: The audio.
        context_id: The model's item this audio belongs to; None when it belongs to none (a cached phrase).
    """

    encoded: EncodedAudio
    context_id: str | None = None


@dataclass
class PlayheadFrame(SystemFrame):
    """Hands the transport's playhead to the processors before it; pushed upstream once, after StartFrame."""

    playhead: Playhead


@dataclass
class LineAudioFrame(_PacketFrame, SystemFrame):
    """Both tracks of the line over one interval, as the caller said and heard it; for the recorder.

    Both tracks have the same length, in samples of 8 kHz. Lost and unplayed stretches are silence.

    Attributes:
        position: The first sample's place on the carrier's clock (samples of the inbound track).
        caller: PCMU 8 kHz, what the caller said.
        bot: PCMU 8 kHz, what the caller heard.
    """

    position: int
    caller: bytes
    bot: bytes


AUDIO_FRAMES = (InputEncodedAudioFrame, OutputEncodedAudioFrame, AudioRawFrame, LineAudioFrame)
"""What the media lane treats as audio."""


@dataclass
class LineAudioRequestFrame(SystemFrame):
    """Asks the transport for `LineAudioFrame`s from now on; pushed upstream by a recorder."""


@dataclass
class ToolCallFrame(DataFrame):
    """The model asks for a tool. Never dropped by an interruption.

    Attributes:
        call_id: The model's id of this tool call; the answer carries it back.
        tool_name: The tool's name.
        arguments: The arguments as the model wrote them: JSON text, possibly broken.
    """

    interruptible: bool = field(default=False, init=False)
    call_id: str
    tool_name: str
    arguments: str = field(repr=False)


@dataclass
class ToolResultFrame(DataFrame):
    """The one answer to a tool call; travels upstream to the model. Never dropped by an interruption.

    Attributes:
        call_id: The tool call's id.
        tool_name: The tool's name.
        output: JSON text for the model.
        outcome: ``ok``, ``error``, ``timeout``, ``refused`` (no such tool, or arguments that do not fit) or
            ``cancelled`` (the call ended while the tool ran).
        duration_ms: How long the tool ran.
        ends_call: The tool asks for the call to end once the caller has heard what the bot is saying.
    """

    interruptible: bool = field(default=False, init=False)
    call_id: str
    tool_name: str
    output: str = field(repr=False)
    outcome: str
    duration_ms: float = 0.0
    ends_call: bool = False


@dataclass
class PlayoutClearedFrame(SystemFrame):
    """The transport has sent `clear` to the carrier; pushed upstream right after it.

    Attributes:
        at: When, seconds of the call's monotonic clock.
        heard_ms: For each item that was unfinished, the milliseconds of it the caller has heard.
    """

    at: float
    heard_ms: dict[str, float]


@dataclass
class PlayoutStartedFrame(SystemFrame):
    """The transport has sent the first packet of an item; pushed upstream, once an item.

    Attributes:
        context_id: The model's item.
        sent_at: When, seconds of the call's monotonic clock.
        heard_at: When the caller hears it, by the playhead.
    """

    context_id: str
    sent_at: float
    heard_at: float


@dataclass
class PlayoutFinishedFrame(SystemFrame):
    """The caller has heard everything that was sent; pushed upstream.

    Attributes:
        at: When, seconds of the call's monotonic clock.
    """

    at: float


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
