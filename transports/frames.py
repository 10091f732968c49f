"""callpipe's own frame types, beside pipecat's.

Audio: encoded audio has frame types of its own (`InputEncodedAudioFrame`, `OutputEncodedAudioFrame`), so that
a stock processor never takes mu-law for PCM. PCM audio travels in pipecat's `InputAudioRawFrame` and, from the
bot, in `TTSAudioRawFrame` whose `context_id` is the model's item id.

What happened on a call is told by the frames of `call_events`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipecat.frames.frames import AudioRawFrame, DataFrame, Frame, InputAudioRawFrame, SystemFrame
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


@dataclass(init=False)
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

    def __init__(self, encoded: EncodedAudio, position: int = 0, received_at: float = 0.0) -> None:
        self.encoded = encoded
        self.position = position
        self.received_at = received_at

    if not TYPE_CHECKING:
        id = functools.cached_property(lambda self: obj_id())


@dataclass(init=False)
class CallerPcmFrame(_PacketFrame, InputAudioRawFrame):
    """A packet of the caller's audio as PCM, 16 bit: pipecat's frame, made in a third of the time."""

    def __init__(self, audio: bytes, sample_rate: int, num_channels: int = 1) -> None:
        self.audio = audio
        self.sample_rate = sample_rate
        self.num_channels = num_channels
        self.num_frames = len(audio) // (2 * num_channels)

    if not TYPE_CHECKING:
        id = functools.cached_property(lambda self: obj_id())


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
        age_s: How long ago the first sample was spoken when the frame was made.
    """

    position: int
    caller: bytes
    bot: bytes
    age_s: float


@dataclass
class ClearPlayoutFrame(_PacketFrame, SystemFrame):
    """Has the transport clear what the caller has not heard, ahead of the interruption that follows.

    It goes with the audio, so the caller need not wait until every processor was told that they speak.
    """


AUDIO_FRAMES = (
    InputEncodedAudioFrame,
    OutputEncodedAudioFrame,
    AudioRawFrame,
    LineAudioFrame,
    ClearPlayoutFrame,
)
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
