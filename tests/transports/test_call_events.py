"""What the journal is told of an event, and what of it is withheld."""

import pytest

from callpipe.transports.call_events import (
    REDACTED,
    BargeInFrame,
    BotTurnFrame,
    CallerTurnFrame,
    CallEventFrame,
    CarrierFaultFrame,
    MediaStartedFrame,
    MediaStoppedFrame,
    ModelFaultFrame,
    SessionReadyFrame,
    ToolCalledFrame,
    UsageFrame,
)

BOT_TURN = BotTurnFrame(
    at=12.0,
    item_id="item-1",
    text="all of it",
    heard_text="all",
    generated_ms=900.0,
    heard_ms=300.0,
    interrupted=True,
    began_at=10.0,
)


def test_an_event_tells_its_own_fields_only() -> None:
    told: list[tuple[type[CallEventFrame], dict[str, object]]] = [
        (MediaStartedFrame, {"stream_id": "s-1", "stream_name": "one", "call_id": "c-1"}),
        (MediaStoppedFrame, {"cause": "stop", "counts": {"packets": 2}}),
        (CarrierFaultFrame, {"kind": "lost", "explanation": "2 packets"}),
        (SessionReadyFrame, {"model": "gpt-realtime-2.1", "connect_ms": 200.0, "socket_ms": None}),
        (ModelFaultFrame, {"code": "server_error", "explanation": "no idea"}),
        (UsageFrame, {"model": "gpt-realtime-2.1", "tokens": {"input": 3}, "cost_usd": None}),
    ]
    for event, fields in told:
        assert event(at=1.0, **fields).fields() == fields


def test_content_is_withheld_and_the_rest_is_told() -> None:
    assert BOT_TURN.redacted_fields() == {
        "item_id": "item-1",
        "text": REDACTED,
        "heard_text": REDACTED,
        "generated_ms": 900.0,
        "heard_ms": 300.0,
        "interrupted": True,
        "redacted": True,
    }


def test_an_event_without_content_is_told_as_it_is() -> None:
    event = BargeInFrame(at=1.0, item_id="item-1", believed_ms=1.0, generated_ms=2.0)
    assert event.redacted_fields() == event.fields()


def tool_called(duration_ms: float) -> ToolCalledFrame:
    return ToolCalledFrame(
        at=12.0,
        call_id="t-1",
        tool_name="book",
        arguments="{}",
        output="{}",
        outcome="ok",
        duration_ms=duration_ms,
    )


@pytest.mark.parametrize(
    ("event", "since"),
    [
        (BOT_TURN, 10.0),
        (tool_called(1_500.0), 10.5),
        (BargeInFrame(at=12.0, item_id="item-1", believed_ms=1.0, generated_ms=2.0), 12.0),
        (CallerTurnFrame(at=12.0, item_id="item-2", text="hello", began_at=11.0), 11.0),
    ],
)
def test_what_began_earlier_is_told_to_have_begun_then(event: CallEventFrame, since: float) -> None:
    assert event.since == since
