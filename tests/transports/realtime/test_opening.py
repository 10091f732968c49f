"""What a server says while a session is set up: settings confirmed, refused, or nothing to the point."""

import json

import pytest

from callpipe.transports.realtime.events import parse
from callpipe.transports.realtime.opening import Refused, answer


def error(**given: str) -> bytes:
    return json.dumps({"type": "error", "error": given}).encode()


@pytest.mark.parametrize(
    ("given", "code", "lasting"),
    [
        ({"type": "invalid_request_error", "code": "invalid_value"}, "invalid_value", True),
        ({"type": "invalid_request_error"}, "invalid_request_error", True),
        ({}, "error", True),
        ({"type": "server_error"}, "server_error", False),
        ({"type": "server_error", "code": "internal"}, "internal", False),
        ({"type": "error", "code": "rate_limit_exceeded"}, "rate_limit_exceeded", False),
    ],
)
def test_a_refusal_lasts_unless_the_server_may_get_over_it(
    given: dict[str, str], code: str, lasting: bool
) -> None:
    assert answer(parse(error(message="why", **given))) == Refused(code, "why", lasting)


def test_a_refusal_may_come_without_a_word() -> None:
    assert answer(parse(error(type="server_error"))) == Refused("server_error", "", False)


def test_settings_are_confirmed_and_other_events_do_not_matter() -> None:
    confirmed = parse(b'{"type": "session.updated", "session": {}}')
    assert answer(confirmed) is confirmed
    assert answer(parse(b'{"type": "input_audio_buffer.speech_started", "item_id": "i"}')) is None
