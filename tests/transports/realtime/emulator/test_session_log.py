"""What is kept of a session's events."""

from __future__ import annotations

import json

from callpipe.transports.realtime.emulator.session_log import SessionLog


def test_events_of_both_sides_are_kept_with_their_time_and_without_audio() -> None:
    log = SessionLog()
    log.received(json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "e"}), 1.0)
    log.received(b'{"type": "response.create"}', 2.0)
    log.sent({"type": "response.output_audio.delta", "delta": "AAAAAAAA"}, 3.0)

    appended, asked = log.client_events()
    assert (appended.at, appended.event) == (1.0, {"type": "input_audio_buffer.append", "event_id": "e"})
    assert (asked.at, asked.type, asked.audio_bytes) == (2.0, "response.create", 0)
    assert log.client_events("response.create") == [asked]
    assert [one.audio_bytes for one in (appended, *log.server_events())] == [4, 8]
    assert log.server_events("response.create") == []
    assert (log.caller_audio_ms, log.ended) == (0, False)


def test_what_is_no_event_is_kept_as_nothing_more() -> None:
    log = SessionLog()
    for message in ("{", "[1]", '{"type": "input_audio_buffer.append", "audio": 7}', '{"audio": "AAAA"}'):
        log.received(message, 1.0)

    assert [(one.type, one.audio_bytes) for one in log.client_events()] == [
        ("", 0),
        ("", 0),
        ("input_audio_buffer.append", 0),
        ("", 0),
    ]
