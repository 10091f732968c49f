from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from callpipe.transports.bandwidth.emulator import webhooks
from callpipe.transports.bandwidth.emulator.webhooks import CallFacts, StreamFacts

STARTED = datetime(2026, 11, 20, 4, 30, 0, 123_456, UTC)
NOW = STARTED + timedelta(seconds=2.5)
STREAM = StreamFacts("s-1", "main", "wss://bot.example/m", STARTED, ("inbound",))
COMMON = {
    "eventTime": "2026-11-20T04:30:02.623Z",
    "accountId": "5500001",
    "applicationId": "app",
    "from": "+15555550100",
    "to": "+15555550199",
    "direction": "inbound",
    "callId": "c-1",
    "callUrl": "https://voice.bandwidth.com/api/v2/accounts/5500001/calls/c-1",
    "startTime": "2026-11-20T04:30:00.123Z",
}
ANSWERED = COMMON | {"answerTime": "2026-11-20T04:30:02.623Z"}
STREAM_FIELDS = {
    "id": "s-1",
    "name": "main",
    "destination": "wss://bot.example/m",
    "startTime": "2026-11-20T04:30:00.123Z",
    "tracks": ["inbound"],
    "type": "WebSocket",
}


def call(answered: datetime | None = None, tag: str | None = None) -> CallFacts:
    return CallFacts("5500001", "app", "c-1", "+15555550100", "+15555550199", STARTED, answered, tag)


def test_initiate_has_no_answer_time_yet() -> None:
    assert webhooks.initiate(call(), NOW) == COMMON | {"eventType": "initiate"}


def test_redirect_carries_the_tag_once_there_is_one() -> None:
    assert webhooks.redirect(call(NOW), NOW) == ANSWERED | {"eventType": "redirect"}
    assert webhooks.redirect(call(NOW, "blue"), NOW)["tag"] == "blue"
    assert "tag" not in webhooks.redirect(call(NOW, ""), NOW)


def test_disconnect_says_why() -> None:
    end = {"eventType": "disconnect", "endTime": "2026-11-20T04:30:02.623Z"}
    assert webhooks.disconnect(call(NOW), NOW, "hangup") == ANSWERED | end | {"cause": "hangup"}
    failed = webhooks.disconnect(call(), NOW, "invalid-bxml", "no root")
    assert failed == COMMON | end | {"cause": "invalid-bxml", "errorMessage": "no root"}


def test_stream_events_describe_the_stream() -> None:
    started = webhooks.media_stream_started(call(NOW), STREAM, NOW)
    assert started == ANSWERED | {"eventType": "mediaStreamStarted", "mediaStream": STREAM_FIELDS}
    stopped = webhooks.media_stream_stopped(call(NOW), STREAM, NOW, "closed")
    assert stopped["mediaStream"] == STREAM_FIELDS | {"duration": "PT2.500S"}
    assert (stopped["cause"], "errorMessage" in stopped) == ("closed", False)
    assert "errorMessage" in webhooks.media_stream_stopped(call(NOW), STREAM, NOW, "connection-error")


def test_a_rejection_names_the_original_of_a_duplicate() -> None:
    rejected = webhooks.media_stream_rejected(call(NOW), STREAM, NOW, "duplicate", STREAM)
    assert rejected["eventType"] == "mediaStreamRejected"
    assert rejected["originalMediaStream"] == STREAM_FIELDS
    assert "originalMediaStream" not in webhooks.media_stream_rejected(call(NOW), STREAM, NOW, "track-limit")


def test_times_are_utc() -> None:
    assert webhooks.timestamp(STARTED.astimezone(timezone(timedelta(hours=5)))) == "2026-11-20T04:30:00.123Z"


def test_numbers_are_not_shown() -> None:
    assert "+1555" not in repr(call(NOW))
