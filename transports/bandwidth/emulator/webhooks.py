"""The webhooks' payloads as Bandwidth fills them, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

Payload = dict[str, object]

VOICE_URL = "https://voice.bandwidth.com/api/v2"


@dataclass(slots=True)
class CallFacts:
    """What every webhook of a call says.

    Attributes:
        account_id: The account's number.
        application_id: The voice application that the called number belongs to.
        call_id: The call's id.
        from_: The caller's number, E.164.
        to: The called number, E.164.
        started: When the call began.
        answered: When it was answered, None before.
        tag: The last tag that BXML set.
    """

    account_id: str
    application_id: str
    call_id: str
    from_: str = field(repr=False)
    to: str = field(repr=False)
    started: datetime
    answered: datetime | None = None
    tag: str | None = field(default=None, repr=False)

    def payload(self, event_type: str, now: datetime, more: Mapping[str, object] | None = None) -> Payload:
        """Return the payload of an event, with the fields that are its own."""
        fields: Payload = {
            "eventType": event_type,
            "eventTime": timestamp(now),
            "accountId": self.account_id,
            "applicationId": self.application_id,
            "from": self.from_,
            "to": self.to,
            "direction": "inbound",
            "callId": self.call_id,
            "callUrl": f"{VOICE_URL}/accounts/{self.account_id}/calls/{self.call_id}",
            "startTime": timestamp(self.started),
        }
        if self.answered is not None:
            fields["answerTime"] = timestamp(self.answered)
        if self.tag:
            fields["tag"] = self.tag
        return fields | dict(more or {})


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What a stream's webhooks say of it.

    Attributes:
        stream_id: Its id.
        name: Its name.
        destination: The URL its media goes to.
        started: When it began.
        tracks: The tracks it carries.
    """

    stream_id: str
    name: str
    destination: str
    started: datetime
    tracks: tuple[str, ...]

    def fields(self) -> Payload:
        """Return the object that stands for the stream in a payload."""
        return {
            "id": self.stream_id,
            "name": self.name,
            "destination": self.destination,
            "startTime": timestamp(self.started),
            "tracks": list(self.tracks),
            "type": "WebSocket",
        }


def initiate(call: CallFacts, now: datetime) -> Payload:
    """Return what asks for a new call's first document."""
    return call.payload("initiate", now)


def redirect(call: CallFacts, now: datetime) -> Payload:
    """Return what asks for the document a Redirect points to."""
    return call.payload("redirect", now)


def gather(call: CallFacts, now: datetime, digits: str, terminating_digit: str) -> Payload:
    """Return what asks for the document that follows a Gather."""
    return call.payload("gather", now, {"digits": digits, "terminatingDigit": terminating_digit})


def dtmf(call: CallFacts, now: datetime, digit: str, tag: str | None) -> Payload:
    """Return what tells of a key that was pressed while a StartGather was in force."""
    return call.payload("dtmf", now, {"digit": digit} | ({"tag": tag} if tag else {}))


def disconnect(call: CallFacts, now: datetime, cause: str, explanation: str = "") -> Payload:
    """Return what tells of a call's end."""
    more: Payload = {"endTime": timestamp(now), "cause": cause}
    if explanation:
        more["errorMessage"] = explanation
    return call.payload("disconnect", now, more)


def transfer_complete(call: CallFacts, now: datetime, cause: str, target: str) -> Payload:
    """Return what asks for the document that follows a transfer, however that went."""
    return call.payload("transferComplete", now, {"cause": cause, "transferTo": target})


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """What a recording's webhooks say of it.

    Attributes:
        recording_id: Its id.
        started: When it began.
        duration_s: How long it got.
    """

    recording_id: str
    started: datetime
    duration_s: float


def record_complete(call: CallFacts, recording: RecordingFacts, now: datetime) -> Payload:
    """Return what asks for the document that follows a recording."""
    return call.payload("recordComplete", now, _recording(call, recording, now))


def recording_available(call: CallFacts, recording: RecordingFacts, now: datetime) -> Payload:
    """Return what tells that a recording can be had."""
    more = _recording(call, recording, now) | {"status": "complete"}
    return call.payload("recordingAvailable", now, more)


def _recording(call: CallFacts, recording: RecordingFacts, now: datetime) -> Payload:
    place = f"{VOICE_URL}/accounts/{call.account_id}/calls/{call.call_id}/recordings/{recording.recording_id}"
    return {
        "recordingId": recording.recording_id,
        "mediaUrl": f"{place}/media",
        "startTime": timestamp(recording.started),
        "endTime": timestamp(now),
        "duration": f"PT{recording.duration_s:.3f}S",
        "fileFormat": "wav",
        "channels": 1,
    }


def media_stream_started(call: CallFacts, stream: StreamFacts, now: datetime) -> Payload:
    """Return what tells that a stream runs."""
    return call.payload("mediaStreamStarted", now, {"mediaStream": stream.fields()})


def media_stream_rejected(
    call: CallFacts, stream: StreamFacts, now: datetime, cause: str, original: StreamFacts | None = None
) -> Payload:
    """Return what tells that a stream did not come about.

    Args:
        call: The call.
        stream: The stream that was asked for.
        now: When.
        cause: `connection-error`, `duplicate`, `track-limit` or `error`.
        original: The stream that has the name already, where the cause is `duplicate`.
    """
    more: Payload = {
        "cause": cause,
        "errorMessage": f"stream rejected: {cause}",
        "mediaStream": stream.fields(),
    }
    if original is not None:
        more["originalMediaStream"] = original.fields()
    return call.payload("mediaStreamRejected", now, more)


def media_stream_stopped(call: CallFacts, stream: StreamFacts, now: datetime, cause: str) -> Payload:
    """Return what tells that a stream is over; `cause` is `closed`, `connection-error` or `error`."""
    seconds = (now - stream.started).total_seconds()
    more: Payload = {"cause": cause, "mediaStream": stream.fields() | {"duration": f"PT{seconds:.3f}S"}}
    if cause != "closed":
        more["errorMessage"] = f"stream stopped: {cause}"
    return call.payload("mediaStreamStopped", now, more)


def timestamp(moment: datetime) -> str:
    """Return a moment as Bandwidth writes it: ISO 8601, UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
