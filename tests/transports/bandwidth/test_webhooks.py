"""Webhooks, by golden packets and by what may be wrong with them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.transports.bandwidth.errors import MalformedWebhookError
from callpipe.transports.bandwidth.webhooks import (
    AnswerWebhook,
    DisconnectWebhook,
    DtmfWebhook,
    GatherWebhook,
    InitiateWebhook,
    MachineDetectionCompleteWebhook,
    MediaStreamWebhook,
    RecordingWebhook,
    RedirectWebhook,
    TransferWebhook,
    Webhook,
    parse_webhook,
)

PACKETS = Path(__file__).parents[2] / "packets" / "bandwidth"


def body(name: str, **other: Any) -> bytes:
    fields = json.loads((PACKETS / f"webhook_{name}.json").read_text())
    return json.dumps(fields | other).encode()


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("initiate", InitiateWebhook),
        ("answer", AnswerWebhook),
        ("disconnect", DisconnectWebhook),
        ("redirect", RedirectWebhook),
        ("gather", GatherWebhook),
        ("dtmf", DtmfWebhook),
        ("machine_detection_complete", MachineDetectionCompleteWebhook),
        ("transfer_complete", TransferWebhook),
        ("media_stream_started", MediaStreamWebhook),
        ("media_stream_rejected", MediaStreamWebhook),
        ("media_stream_stopped", MediaStreamWebhook),
        ("recording_available", RecordingWebhook),
    ],
)
def test_every_event_has_its_model(name: str, model: type[Webhook]) -> None:
    webhook = parse_webhook(body(name))
    assert type(webhook) is model
    assert (webhook.account_id, webhook.call_id) == ("9900000", "c-93d6f3c0-1")
    assert (webhook.from_, webhook.to, webhook.direction) == ("+15551230001", "+15551230002", "inbound")
    assert webhook.start_time == datetime(2026, 11, 20, 4, 59, 59, tzinfo=UTC)


def test_initiate_tells_where_the_call_comes_from() -> None:
    webhook = parse_webhook(body("initiate"))
    assert isinstance(webhook, InitiateWebhook)
    assert webhook.diversion is not None
    assert webhook.stir_shaken is not None
    assert (webhook.diversion.reason, webhook.diversion.orig_to) == ("user-busy", "+15551230003")
    assert webhook.stir_shaken.attestation_indicator == "A"
    assert webhook.sip_headers == {"x-order": "7"}


def test_digits() -> None:
    gathered, pressed = parse_webhook(body("gather")), parse_webhook(body("dtmf"))
    assert isinstance(gathered, GatherWebhook)
    assert isinstance(pressed, DtmfWebhook)
    assert (gathered.digits, gathered.terminating_digit, pressed.digit) == ("12345", "#", "5")


def test_a_rejected_stream_is_told_under_either_name() -> None:
    rejected = parse_webhook(body("media_stream_rejected"))
    as_documented = parse_webhook(body("media_stream_rejected_as_documented"))
    assert (rejected.event_type, rejected.cause) == ("mediaStreamRejected", "duplicate")
    assert (as_documented.event_type, as_documented.cause) == ("mediaStreamRejected", "connection-error")
    assert isinstance(rejected, MediaStreamWebhook)
    assert rejected.original_media_stream is not None
    assert rejected.original_media_stream.id == "s-1"
    assert parse_webhook(body("media_stream_started")).event_type == "mediaStreamStarted"


def test_a_stopped_stream_tells_cause_and_duration() -> None:
    webhook = parse_webhook(body("media_stream_stopped"))
    assert isinstance(webhook, MediaStreamWebhook)
    assert webhook.media_stream is not None
    assert (webhook.cause, webhook.media_stream.duration) == ("closed", "PT42.5S")


def test_what_is_unknown_is_tolerated() -> None:
    webhook = parse_webhook(
        body("initiate", eventType="realTimeTranscriptionStarted", novelty={"deep": [1]}, cause="a-new-cause")
    )
    assert type(webhook) is Webhook
    assert (webhook.event_type, webhook.cause) == ("realTimeTranscriptionStarted", "a-new-cause")
    disconnected = parse_webhook(body("disconnect", cause="never heard of", direction="sideways"))
    assert disconnected.cause == "never heard of"


def test_numbers_for_texts_and_unreadable_times_are_tolerated() -> None:
    webhook = parse_webhook(body("initiate", accountId=9900000, startTime="yesterday", eventTime=None))
    assert webhook.account_id == "9900000"
    assert webhook.start_time is None


def test_an_event_of_a_conference_has_no_call() -> None:
    fields = json.loads(body("initiate", eventType="conferenceCreated"))
    del fields["callId"]
    assert parse_webhook(json.dumps(fields).encode()).call_id == ""


def test_no_number_nor_digit_is_in_a_repr() -> None:
    for name in ("initiate", "gather", "dtmf", "transfer_complete"):
        told = repr(parse_webhook(body(name)))
        assert "+1555" not in told
        assert "12345" not in told
        assert "digit='5'" not in told


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"secret",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"eventType":"initiate","callId":"secret"',
        b"[" * 100_000,
        b'{"x":' * 100_000,
        b'{"eventType":7}',
        b'{"eventType":"initiate"}',
        body("initiate", callId=""),
        body("initiate", callId=None),
        body("initiate", callId={"secret": 1}),
        body("initiate", accountId=None),
        body("initiate", sipHeaders={"secret": ["x"]}),
        body("initiate", diversion="secret"),
        body("dtmf", digit=["secret"]),
        body("machine_detection_complete", machineDetectionResult={}),
    ],
)
def test_a_wrong_body_raises_the_one_error_and_is_not_repeated(wrong: bytes) -> None:
    with pytest.raises(MalformedWebhookError) as caught:
        parse_webhook(wrong)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted({field for name in PACKETS.glob("webhook_*.json") for field in json.loads(name.read_text())})
EVENTS = st.sampled_from(["initiate", "gather", "mediaStreamStarted", "transferAnswer", "x"]) | JSON


@settings(max_examples=400, deadline=None)
@given(
    fields=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8),
    event=EVENTS,
    name=st.sampled_from(["initiate", "gather", "media_stream_rejected"]),
)
def test_any_fields_make_a_webhook_or_the_one_error(fields: dict[str, Any], event: Any, name: str) -> None:
    whole = json.loads(body(name))
    for made in ({"eventType": event} | fields, whole | fields, whole | {"eventType": event} | fields):
        try:
            webhook = parse_webhook(json.dumps(made).encode())
        except MalformedWebhookError:
            continue
        assert webhook.account_id is not None


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_make_the_one_error(garbage: bytes) -> None:
    with pytest.raises(MalformedWebhookError):
        parse_webhook(garbage)
