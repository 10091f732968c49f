"""The messages of Bandwidth's media socket: typed, parsed and written without I/O.

Source: dev.bandwidth.com/docs/voice/programmable-voice/bxml/startStream and Bandwidth's public samples.
Bandwidth sends `start`, `media` and `stop`; it takes `playAudio` and `clear`, and acknowledges neither.
"""

from __future__ import annotations

from binascii import b2a_base64
from dataclasses import dataclass, field

import msgspec

from ..audio.formats import PCM_8K, PCM_16K, PCM_24K, PCMU_8K, AudioFormat
from .errors import MalformedMessageError, PlayoutFormatError

MAX_MESSAGE_BYTES = 64 * 1024
"""A larger message is not parsed. 20 ms of PCMU make a message of 300 bytes."""


class MediaFormat(msgspec.Struct, frozen=True, rename="camel"):
    """How a track is encoded.

    Attributes:
        encoding: A media type, such as ``audio/PCMU``.
        sample_rate: In Hz.
    """

    encoding: str
    sample_rate: int


class Track(msgspec.Struct, frozen=True, rename="camel"):
    """One direction of the call's audio.

    Attributes:
        name: ``inbound`` is what the carrier receives from the call, ``outbound`` what it sends to it.
        media_format: Its encoding, when the carrier told it.
    """

    name: str
    media_format: MediaFormat | None = None


@dataclass(frozen=True, slots=True)
class StartMessage:
    """The media stream starts: the first message on the socket.

    Attributes:
        account_id: The Bandwidth account, a number on the wire.
        call_id: The call.
        stream_id: The media stream.
        stream_name: What `StartStream` called it, or the stream's id.
        tracks: The tracks that follow.
        params: The `StreamParam` values of `StartStream`.
    """

    account_id: str
    call_id: str
    stream_id: str
    stream_name: str
    tracks: tuple[Track, ...] = ()
    params: dict[str, str] = field(default_factory=dict[str, str], repr=False)


class MediaMessage(msgspec.Struct, frozen=True, gc=False, tag_field="eventType", tag="media"):
    """A packet of audio, usually 20 ms.

    Attributes:
        track: ``inbound`` or ``outbound``.
        audio: PCMU, which crosses the wire in base64.
        sequence: The packet's place in the stream, counted by the carrier; None when it does not count.
    """

    track: str
    audio: bytes = msgspec.field(name="payload")
    sequence: int | None = msgspec.field(name="sequenceNumber", default=None)

    def __repr__(self) -> str:
        return f"MediaMessage(track={self.track!r}, sequence={self.sequence})"


@dataclass(frozen=True, slots=True)
class StopMessage:
    """The media stream is over.

    Attributes:
        call_id: The call.
        stream_id: The media stream.
        stream_name: Its name.
    """

    call_id: str = ""
    stream_id: str = ""
    stream_name: str = ""


Message = StartMessage | MediaMessage | StopMessage


class _StartMetadata(msgspec.Struct, rename="camel"):
    call_id: str
    stream_id: str
    account_id: str | int = ""
    stream_name: str | None = None
    tracks: tuple[Track, ...] = ()


class _StartOnTheWire(msgspec.Struct, rename="camel", tag_field="eventType", tag="start"):
    metadata: _StartMetadata
    stream_params: dict[str, str | int] | None = None

    def message(self) -> StartMessage:
        metadata = self.metadata
        return StartMessage(
            account_id=str(metadata.account_id),
            call_id=metadata.call_id,
            stream_id=metadata.stream_id,
            stream_name=metadata.stream_name or metadata.stream_id,
            tracks=metadata.tracks,
            params={name: str(value) for name, value in (self.stream_params or {}).items()},
        )


class _StopMetadata(msgspec.Struct, rename="camel"):
    call_id: str = ""
    stream_id: str = ""
    stream_name: str = ""


class _StopOnTheWire(msgspec.Struct, tag_field="eventType", tag="stop"):
    metadata: _StopMetadata | None = None

    def message(self) -> StopMessage:
        metadata = self.metadata or _StopMetadata()
        return StopMessage(metadata.call_id, metadata.stream_id, metadata.stream_name)


class _AnyOnTheWire(msgspec.Struct, rename="camel"):
    event_type: str


# Not strict: sequenceNumber is written as a string or as a number.
_decode = msgspec.json.Decoder(MediaMessage | _StartOnTheWire | _StopOnTheWire, strict=False).decode
_decode_event_type = msgspec.json.Decoder(_AnyOnTheWire).decode


def parse(message: str | bytes) -> Message:
    """Return what a message from the media socket says.

    Args:
        message: As the socket gave it: text as `str`, binary as `bytes`.

    Raises:
        MalformedMessageError: It is not one of Bandwidth's messages.
    """
    if isinstance(message, bytes):
        raise MalformedMessageError("binary", f"{len(message)} bytes that are not text")
    if len(message) > MAX_MESSAGE_BYTES:
        raise MalformedMessageError("oversized", f"{len(message)} characters, {MAX_MESSAGE_BYTES} are read")
    try:
        parsed = _decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise _explained(message) from None
    if type(parsed) is not MediaMessage:
        return parsed.message()
    if not parsed.audio:
        raise MalformedMessageError("malformed", "a media message without audio")
    return parsed


def _explained(message: str) -> MalformedMessageError:
    """Return why a message could not be read; none of its content is repeated."""
    try:
        event_type = _decode_event_type(message).event_type
    except msgspec.ValidationError:
        return MalformedMessageError("malformed", "no JSON object with an eventType")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return MalformedMessageError("malformed", "not JSON")
    if event_type not in ("start", "media", "stop"):
        return MalformedMessageError("unknown", "an eventType that is not start, media or stop")
    wrong = "without its fields, or of wrong types"
    if event_type == "media":
        wrong += ", or with a payload that is not base64"
    return MalformedMessageError("malformed", f"a {event_type} message {wrong}")


def _play_audio_before_payload(content_type: str) -> bytes:
    return b'{"eventType":"playAudio","media":{"contentType":"%s","payload":"' % content_type.encode()


_PCMU_BEFORE_PAYLOAD = _play_audio_before_payload("audio/pcmu")
_BEFORE_PAYLOAD = {PCMU_8K: _PCMU_BEFORE_PAYLOAD} | {
    pcm: _play_audio_before_payload(
        f"audio/pcm;rate={pcm.sample_rate};channels=1;bit-depth=16;endian=little;encoding=signed"
    )
    for pcm in (PCM_8K, PCM_16K, PCM_24K)
}
_AFTER_PAYLOAD = b'"}}'

PLAYOUT_FORMATS = tuple(_BEFORE_PAYLOAD)
"""The formats `playAudio` takes."""


def play_audio(audio: bytes, audio_format: AudioFormat) -> bytes:
    """Return the message that has audio played to the call, after what waits there already.

    Args:
        audio: The audio.
        audio_format: One of `PLAYOUT_FORMATS`.

    Raises:
        PlayoutFormatError: Bandwidth does not take this format.
    """
    before = _PCMU_BEFORE_PAYLOAD if audio_format is PCMU_8K else _BEFORE_PAYLOAD.get(audio_format)
    if before is None:
        raise PlayoutFormatError(str(audio_format))
    return before + b2a_base64(audio, newline=False) + _AFTER_PAYLOAD


CLEAR = b'{"eventType":"clear"}'
"""The message that throws away what waits to be played to the call."""
