"""The carrier and the transport read Bandwidth's pages on their own; where they differ, one is wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from bandwidth.models.bxml import (  # pyright: ignore[reportMissingTypeStubs]
    Hangup,
    Pause,
    Redirect,
    SpeakSentence,
    StartStream,
    StopStream,
    StreamParam,
)

from callpipe.transports.audio.formats import PCM_8K, PCM_16K, PCM_24K, PCMU_8K, AudioFormat
from callpipe.transports.bandwidth import bxml, messages
from callpipe.transports.bandwidth import webhooks as transports_webhooks
from callpipe.transports.bandwidth.emulator import media_messages, webhooks
from callpipe.transports.bandwidth.emulator import verbs as emulators
from callpipe.transports.bandwidth.emulator.bxml_interpreter import parse_bxml
from callpipe.transports.bandwidth.emulator.webhooks import CallFacts, Payload, StreamFacts

NOW = datetime(2026, 11, 20, 4, 30, 0, 123_000, UTC)
CALL = CallFacts("5500001", "app", "c-1", "+15555550100", "+15555550199", NOW, NOW, "blue")
STREAM = StreamFacts("s-1", "main", "wss://bot.example/m", NOW, ("inbound",))


def test_the_transport_reads_the_carriers_messages() -> None:
    description = media_messages.StreamDescription("5500001", "c-1", "s-1", "main", ("inbound",))
    start = messages.parse(media_messages.start_message(description, {"token": "t"}))
    assert isinstance(start, messages.StartMessage)
    assert (start.account_id, start.call_id, start.stream_id) == ("5500001", "c-1", "s-1")
    assert (start.stream_name, start.params) == ("main", {"token": "t"})
    assert [track.name for track in start.tracks] == ["inbound"]
    media = messages.parse(media_messages.media_message("inbound", b"\x01\x02", 3))
    assert isinstance(media, messages.MediaMessage)
    assert (media.track, media.sequence) == ("inbound", 3)
    assert media.audio == b"\x01\x02"
    stop = messages.parse(media_messages.stop_message(description))
    assert isinstance(stop, messages.StopMessage)
    assert stop.stream_id == "s-1"


@pytest.mark.parametrize("audio_format", [PCMU_8K, PCM_8K, PCM_16K, PCM_24K])
def test_the_carrier_reads_the_transports_messages(audio_format: AudioFormat) -> None:
    sent = messages.play_audio(b"\x01\x02", audio_format).decode()
    assert media_messages.parse_server_message(sent) == media_messages.PlayAudio(b"\x01\x02", audio_format)
    assert media_messages.parse_server_message(messages.CLEAR.decode()) == media_messages.Clear()


def test_the_carrier_runs_the_transports_bxml() -> None:
    document = bxml.to_bxml(
        [
            StartStream(
                destination="wss://bot.example/media?a=1&b=2",
                destination_username="u",
                destination_password='p"<&',
                stream_params=[StreamParam(name="token", value="<&>")],
                name="c-1.1",
                mode="bidirectional",
                stream_event_url="https://bot.example/stream",
                username="eu",
                password="ep",
            ),
            StopStream(name="c-1.1", wait=True),
            Pause(duration=2),
            SpeakSentence("Bobby </SpeakSentence><Hangup/> & sons"),
            Redirect(redirect_url="https://bot.example/continue?a=1&b=2", username="ru", password="rp"),
            Hangup(),
        ]
    )
    assert parse_bxml(document.encode()) == [
        emulators.StartStream(
            "wss://bot.example/media?a=1&b=2",
            name="c-1.1",
            bidirectional=True,
            credentials=emulators.Credentials("u", 'p"<&'),
            event_url="https://bot.example/stream",
            event_credentials=emulators.Credentials("eu", "ep"),
            params={"token": "<&>"},
        ),
        emulators.StopStream("c-1.1", wait=True),
        emulators.Pause(2),
        emulators.SpeakSentence("Bobby </SpeakSentence><Hangup/> & sons"),
        emulators.Redirect(
            "https://bot.example/continue?a=1&b=2", credentials=emulators.Credentials("ru", "rp")
        ),
        emulators.Hangup(),
    ]


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (webhooks.initiate(CALL, NOW), transports_webhooks.InitiateWebhook),
        (webhooks.redirect(CALL, NOW), transports_webhooks.RedirectWebhook),
        (webhooks.disconnect(CALL, NOW, "hangup"), transports_webhooks.DisconnectWebhook),
        (webhooks.media_stream_started(CALL, STREAM, NOW), transports_webhooks.MediaStreamWebhook),
        (
            webhooks.media_stream_rejected(CALL, STREAM, NOW, "duplicate", STREAM),
            transports_webhooks.MediaStreamWebhook,
        ),
        (webhooks.media_stream_stopped(CALL, STREAM, NOW, "closed"), transports_webhooks.MediaStreamWebhook),
    ],
)
def test_the_transport_reads_the_carriers_webhooks(
    payload: Payload, kind: type[transports_webhooks.Webhook]
) -> None:
    webhook = transports_webhooks.parse_webhook(json.dumps(payload).encode())
    assert type(webhook) is kind
    assert webhook.event_type == payload["eventType"]
    assert (webhook.call_id, webhook.account_id, webhook.tag) == ("c-1", "5500001", "blue")
    assert (webhook.from_, webhook.to) == ("+15555550100", "+15555550199")
    assert webhook.event_time == webhook.start_time == webhook.answer_time == NOW
    assert webhook.cause == payload.get("cause")
    if isinstance(webhook, transports_webhooks.MediaStreamWebhook):
        assert webhook.media_stream is not None
        assert (webhook.media_stream.id, webhook.media_stream.name) == ("s-1", "main")
