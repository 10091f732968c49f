"""The messages of a media stream as the carrier writes and reads them, without I/O.

An own reading of Bandwidth's media stream, so that an error in the server's own shows here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from ...audio.formats import PCM_8K, PCM_16K, PCM_24K, PCMU_8K, AudioFormat
from .errors import ServerMessageError

MAX_MESSAGE_BYTES = 4 * 1024 * 1024

_PCM_FORMATS = {"8000": PCM_8K, "16000": PCM_16K, "24000": PCM_24K}
_PCM_PARAMETERS = {"channels": "1", "bit-depth": "16", "endian": "little", "encoding": "signed"}


@dataclass(frozen=True, slots=True)
class StreamDescription:
    """What the carrier says of a stream in its start and stop messages."""

    account_id: str
    call_id: str
    stream_id: str
    name: str
    tracks: Sequence[str]


def start_message(stream: StreamDescription, params: Mapping[str, str]) -> str:
    """Return the first message of a stream."""
    message: dict[str, object] = {"eventType": "start", "metadata": _metadata(stream)}
    if params:
        message["streamParams"] = dict(params)
    return json.dumps(message)


def media_message(track: str, payload: bytes, sequence_number: int) -> str:
    """Return the message that carries `payload`, PCMU at 8 kHz, of the track `inbound` or `outbound`."""
    encoded = base64.b64encode(payload).decode()
    return (
        f'{{"eventType":"media","track":"{track}","payload":"{encoded}","sequenceNumber":"{sequence_number}"}}'
    )


def stop_message(stream: StreamDescription) -> str:
    """Return the last message of a stream."""
    return json.dumps({"eventType": "stop", "metadata": _metadata(stream)})


def _metadata(stream: StreamDescription) -> dict[str, object]:
    media_format = {"encoding": "audio/PCMU", "sampleRate": 8000}
    return {
        # The account's number is a JSON number here, though the webhooks write it as a string.
        "accountId": int(stream.account_id) if stream.account_id.isdecimal() else stream.account_id,
        "callId": stream.call_id,
        "streamId": stream.stream_id,
        "streamName": stream.name,
        "tracks": [{"name": track, "mediaFormat": media_format} for track in stream.tracks],
    }


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """The server sends audio for the caller: whole samples of `audio_format`."""

    audio: bytes = field(repr=False)
    audio_format: AudioFormat


@dataclass(frozen=True, slots=True)
class Clear:
    """The server has the carrier drop what the caller has not heard yet."""


def parse_server_message(message: str | bytes) -> PlayAudio | Clear:
    """Read a message of the server.

    Raises:
        ServerMessageError: It is none that a bidirectional stream takes.
    """
    if isinstance(message, bytes):
        raise ServerMessageError("a binary message, and only text is read")
    if len(message) > MAX_MESSAGE_BYTES:
        raise ServerMessageError(f"a message of {len(message)} characters, and {MAX_MESSAGE_BYTES} are read")
    try:
        parsed: object = json.loads(message)
    except (ValueError, RecursionError):
        raise ServerMessageError("a message that is no JSON") from None
    event = _object(parsed, "a message")
    match event.get("eventType"):
        case "clear":
            return Clear()
        case "playAudio":
            return _play_audio(_object(event.get("media"), "playAudio's media"))
        case _:
            raise ServerMessageError("an eventType that is neither playAudio nor clear")


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ServerMessageError(f"{what} is no JSON object")
    return cast("Mapping[str, object]", value)


def _play_audio(media: Mapping[str, object]) -> PlayAudio:
    audio_format = _audio_format(media.get("contentType"))
    payload = media.get("payload")
    if not isinstance(payload, str) or not payload:
        raise ServerMessageError("playAudio has no payload")
    try:
        audio = base64.b64decode(payload, validate=True)
    except ValueError:
        raise ServerMessageError("playAudio's payload is no base64") from None
    if audio_format != PCMU_8K and len(audio) % 2:
        raise ServerMessageError("playAudio's payload ends within a 16-bit sample")
    return PlayAudio(audio, audio_format)


def _audio_format(content_type: object) -> AudioFormat:
    if not isinstance(content_type, str):
        raise ServerMessageError("playAudio has no contentType")
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if kind == "audio/pcmu" and not parameters:
        return PCMU_8K
    if kind != "audio/pcm":
        raise ServerMessageError("playAudio's contentType is neither audio/pcmu nor audio/pcm")
    given = {name: value for name, _, value in (parameter.partition("=") for parameter in parameters)}
    audio_format = _PCM_FORMATS.get(given.pop("rate", ""))
    if audio_format is None:
        raise ServerMessageError("playAudio's contentType has a rate that is none of 8000, 16000, 24000")
    if given != _PCM_PARAMETERS:
        raise ServerMessageError("playAudio's contentType does not say 16-bit signed little-endian mono")
    return audio_format
