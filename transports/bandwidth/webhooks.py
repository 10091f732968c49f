"""Bandwidth's webhooks: what the carrier tells about calls and media streams.

Source: dev.bandwidth.com/docs/voice/programmable-voice/webhooks and the models of Bandwidth's SDK. Those refuse
values they don't know; these pass over unknown fields and take unknown events as plain `Webhook`s.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic.alias_generators import to_camel

from .errors import MalformedWebhookError


def _or_none(value: Any, parse: ValidatorFunctionWrapHandler) -> Any:
    try:
        return parse(value)
    except ValidationError:
        return None


Time = Annotated[datetime | None, WrapValidator(_or_none)]
"""A time that is informative only: None when it is missing or can't be read."""


class _FromBandwidth(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, coerce_numbers_to_str=True, frozen=True
    )


class Diversion(_FromBandwidth):
    """Where a call was forwarded from.

    Attributes:
        reason: Why, such as ``user-busy``.
        privacy: Whether the number is withheld.
        screen: Whether the number was screened.
        counter: How often the call was forwarded.
        limit: How often it may be.
        unknown: The header's other parameters.
        orig_to: The number that was called first.
    """

    reason: str | None = None
    privacy: str | None = None
    screen: str | None = None
    counter: str | None = None
    limit: str | None = None
    unknown: str | None = Field(None, repr=False)
    orig_to: str | None = Field(None, repr=False)


class StirShaken(_FromBandwidth):
    """How far the caller's number is attested.

    Attributes:
        verstat: The verification's outcome, such as ``TN-Validation-Passed``.
        attestation_indicator: ``A``, ``B`` or ``C``.
        originating_id: The originating carrier's id of the call's origin.
    """

    verstat: str | None = None
    attestation_indicator: str | None = None
    originating_id: str | None = None


class MachineDetectionResult(_FromBandwidth):
    """Who has answered an outgoing call.

    Attributes:
        value: ``human``, ``answering-machine``, ``silence``, ``timeout`` or ``error``.
        duration: How long it took to tell, ISO 8601.
    """

    value: str
    duration: str | None = None


class MediaStreamFacts(_FromBandwidth):
    """What is told of a media stream.

    Attributes:
        id: The stream's id.
        name: Its name.
        destination: The WebSocket's URL.
        start_time: When it began.
        duration: How long it lasted, ISO 8601.
    """

    id: str | None = None
    name: str | None = None
    destination: str | None = None
    start_time: Time = None
    duration: str | None = None


class Webhook(_FromBandwidth):
    """What every webhook tells.

    Attributes:
        event_type: The event.
        account_id: The Bandwidth account.
        application_id: The voice application.
        call_id: The call; empty where the event is of no call, as with conferences.
        from_: The caller's number (E.164) or SIP URI.
        to: The called number or SIP URI.
        direction: ``inbound`` or ``outbound``.
        call_url: The call in the Voice API. Not to be followed: it comes from outside.
        event_time: When the event happened.
        start_time: When the call began.
        answer_time: When it was answered.
        tag: The tag that was set on the call.
        cause: Why it happened, on events that tell.
        error_message: The cause in words.
        error_id: Bandwidth's id of the error.
    """

    event_type: str
    account_id: str
    application_id: str | None = None
    call_id: str = ""
    from_: str | None = Field(None, alias="from", repr=False)
    to: str | None = Field(None, repr=False)
    direction: str | None = None
    call_url: str | None = Field(None, repr=False)
    event_time: Time = None
    start_time: Time = None
    answer_time: Time = None
    tag: str | None = Field(None, repr=False)
    cause: str | None = None
    error_message: str | None = Field(None, repr=False)
    error_id: str | None = None


class InitiateWebhook(Webhook):
    """A call comes in and asks for BXML.

    Attributes:
        diversion: Where it was forwarded from.
        stir_shaken: How far the caller's number is attested.
        uui: User-to-user information (RFC 7433).
        sip_call_id: The SIP dialogue's Call-ID.
        sip_headers: The ``X-`` headers of a call to a SIP URI, names in lower case.
    """

    diversion: Diversion | None = None
    stir_shaken: StirShaken | None = None
    uui: str | None = Field(None, repr=False)
    sip_call_id: str | None = None
    sip_headers: dict[str, str] | None = Field(None, repr=False)


class AnswerWebhook(Webhook):
    """An outgoing call was answered and asks for BXML.

    Attributes:
        machine_detection_result: Who answered, when that was to be told at once.
    """

    machine_detection_result: MachineDetectionResult | None = None


class DisconnectWebhook(Webhook):
    """A call is over; `cause` says why.

    Attributes:
        end_time: When.
        sip_response_code: The SIP answer behind the cause.
    """

    end_time: Time = None
    sip_response_code: str | None = None


class RedirectWebhook(Webhook):
    """A `Redirect` verb asks for BXML.

    Attributes:
        parent_call_id: The call this one was transferred from.
        transfer_caller_id: The caller's number as the transfer shows it.
        transfer_to: The number transferred to.
    """

    parent_call_id: str | None = None
    transfer_caller_id: str | None = Field(None, repr=False)
    transfer_to: str | None = Field(None, repr=False)


class GatherWebhook(Webhook):
    """A `Gather` verb has ended and asks for BXML.

    Attributes:
        digits: The keys that were pressed.
        terminating_digit: The key that ended it, empty when none did.
    """

    digits: str = Field("", repr=False)
    terminating_digit: str = Field("", repr=False)


class DtmfWebhook(Webhook):
    """A key was pressed while a `StartGather` is in force.

    Attributes:
        digit: The key.
    """

    digit: str = Field(repr=False)


class MachineDetectionCompleteWebhook(Webhook):
    """It is known who has answered.

    Attributes:
        machine_detection_result: Who.
    """

    machine_detection_result: MachineDetectionResult


class TransferWebhook(RedirectWebhook):
    """A leg of a transfer was answered or has ended, or the transfer is complete; see `event_type`."""


class MediaStreamWebhook(Webhook):
    """A media stream started, was rejected (`cause` says why) or stopped; see `event_type`.

    Attributes:
        media_stream: The stream.
        original_media_stream: On a rejection for its name: the stream that has the name.
    """

    media_stream: MediaStreamFacts | None = None
    original_media_stream: MediaStreamFacts | None = None


class RecordingWebhook(Webhook):
    """A recording is complete or available.

    Attributes:
        recording_id: Its id.
        duration: How long it is, ISO 8601.
        file_format: ``wav`` or ``mp3``.
        channels: 1 or 2.
        status: ``processing``, ``partial``, ``complete``, ``deleted`` or ``error``.
    """

    recording_id: str | None = None
    duration: str | None = None
    file_format: str | None = None
    channels: int | None = None
    status: str | None = None


_WEBHOOKS: dict[str, type[Webhook]] = {
    "initiate": InitiateWebhook,
    "answer": AnswerWebhook,
    "disconnect": DisconnectWebhook,
    "redirect": RedirectWebhook,
    "gather": GatherWebhook,
    "dtmf": DtmfWebhook,
    "machineDetectionComplete": MachineDetectionCompleteWebhook,
    "transferAnswer": TransferWebhook,
    "transferComplete": TransferWebhook,
    "transferDisconnect": TransferWebhook,
    "mediaStreamStarted": MediaStreamWebhook,
    "mediaStreamRejected": MediaStreamWebhook,
    "mediaStreamStopped": MediaStreamWebhook,
    "recordComplete": RecordingWebhook,
    "recordingComplete": RecordingWebhook,
    "recordingAvailable": RecordingWebhook,
}


def parse_webhook(body: bytes) -> Webhook:
    """Return what a webhook tells, as the model of its event, or as a plain `Webhook` of an unknown one.

    Bandwidth's documentation prints ``mediaStreamStarted`` for a rejected stream, too; with a cause it is taken
    for ``mediaStreamRejected``.

    Args:
        body: The request's body, JSON.

    Raises:
        MalformedWebhookError: It is no webhook, or lacks what its event needs.
    """
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise MalformedWebhookError("not a JSON object") from None
    event_type = fields.get("eventType")
    if not isinstance(event_type, str):
        raise MalformedWebhookError("no eventType")
    if event_type == "mediaStreamStarted" and fields.get("cause"):
        fields["eventType"] = "mediaStreamRejected"
    try:
        webhook = _WEBHOOKS.get(event_type, Webhook).model_validate(fields)
    except ValidationError as invalid:
        wrong = sorted({str(error["loc"][0]) for error in invalid.errors() if error["loc"]})
        raise MalformedWebhookError(f"missing or of a wrong type: {', '.join(wrong)}") from None
    if not webhook.call_id and not event_type.startswith("conference"):
        raise MalformedWebhookError("missing or of a wrong type: callId")
    return webhook
