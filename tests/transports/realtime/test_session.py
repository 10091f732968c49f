"""How a session is set up, speaks, and survives what is wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from callpipe.transports.audio.formats import PCM_24K, PCMU_8K
from callpipe.transports.call_events import ModelFaultFrame, SessionReadyFrame, TurnLatencyFrame, UsageFrame
from callpipe.transports.frames import EncodedAudio
from callpipe.transports.realtime.events import parse
from callpipe.transports.realtime.happenings import (
    BotAudio,
    BotStopped,
    Happening,
)
from callpipe.transports.realtime.opening import Opened
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.steering import ChangeFrame

if TYPE_CHECKING:
    from .conftest import Serve


def kinds(happened: Sequence[Happening]) -> list[str]:
    return [type(one).__name__ for one in happened]


def packet(ms: float = 20) -> EncodedAudio:
    return EncodedAudio(audio=bytes(PCM_24K.size(ms)), audio_format=PCM_24K)


# Setting up.


def test_nothing_is_sent_before_the_session_is_set_up(serve: Serve) -> None:
    server = serve(greeting="Good morning.", ready=False)
    for _ in range(5):
        server.session.caller_audio(packet(), server.now)

    assert server.sent_types() == []


def test_settings_that_changed_while_the_session_was_set_up_are_told(serve: Serve) -> None:
    server = serve(ready=False)
    opened = Opened("m", asked_for="m", set_up=server.session.set_up("m"))
    server.session.steer(ChangeFrame(instructions="Be kind."), server.now)

    server.session.opened(opened, server.now)

    (update,) = server.sent()
    assert (update["type"], update["session"]["instructions"]) == ("session.update", "Be kind.")


def test_held_audio_follows_the_greeting_in_order(serve: Serve) -> None:
    server = serve(greeting="Good morning.", ready=False)
    for number in range(5):
        audio = (1_000 * number).to_bytes(2, "little") * 480
        server.session.caller_audio(EncodedAudio(audio=audio, audio_format=PCM_24K), server.now)

    happened = server.opens()

    sent = server.sent()
    assert sent[0]["type"] == "response.create"
    assert "Good morning." in sent[0]["response"]["instructions"]
    told = b"".join(base64.b64decode(message["audio"]) for message in sent[1:])
    assert len(told) == 5 * 960
    middles = [told[960 * number + 480 :][:2] for number in range(5)]
    assert [round(int.from_bytes(middle, "little") / 1_000) for middle in middles] == list(range(5))
    ready = happened[0]
    assert isinstance(ready, SessionReadyFrame)
    assert (ready.model, round(ready.connect_ms)) == ("gpt-realtime-2.1", 200)


def test_audio_waits_for_half_a_minute_and_the_oldest_is_dropped(serve: Serve) -> None:
    server = serve(ready=False)
    for _ in range(1_600):
        server.session.caller_audio(packet(20), server.now)

    happened = server.opens()

    assert server.sent_audio_ms() == 30_000
    faults = [one for one in happened if isinstance(one, ModelFaultFrame)]
    assert [(fault.code, fault.explanation[:4]) for fault in faults] == [("caller_audio_dropped", "2,00")]


def test_without_a_greeting_the_caller_begins(serve: Serve) -> None:
    assert serve().sent() == []


# Speaking.


def test_audio_is_passed_on_with_its_item(serve: Serve) -> None:
    server = serve()
    server.begins()

    first, second = server.audio(), server.audio()
    done = server.says("response.output_audio.done")

    assert kinds(first) == ["BotStarted", "BotAudio"]
    assert kinds(second) == ["BotAudio"]
    assert done == [BotStopped("item_bot_1")]


def test_pcmu_payloads_are_untouched(serve: Serve) -> None:
    server = serve(RealtimeSettings(audio_format=PCMU_8K))
    server.begins()

    happened = server.says("response.output_audio.delta", delta="/3//")

    audio = happened[1]
    assert isinstance(audio, BotAudio)
    assert (audio.encoded.payload, audio.encoded.audio_format) == ("/3//", PCMU_8K)


@pytest.mark.parametrize("delta", ["AAA", "not base64!", "AA==", "é"])
def test_broken_audio_is_a_fault_and_the_next_piece_arrives(serve: Serve, delta: str) -> None:
    server = serve()
    server.begins()

    assert kinds(server.says("response.output_audio.delta", delta=delta)) == ["ModelFaultFrame"]
    assert kinds(server.audio()) == ["BotStarted", "BotAudio"]


def test_a_repeated_event_is_passed_on_once(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.says("response.output_audio.delta", event_id="event_x")

    assert server.says("response.output_audio.delta", event_id="event_x") == []


def test_audio_after_the_end_of_its_item_or_response_is_dropped(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.spoken("item_bot_1", 400)

    assert server.audio("item_bot_1") == []
    server.ends()
    assert server.audio("item_bot_2") == []


def test_audio_of_a_response_nobody_announced_is_passed_on(serve: Serve) -> None:
    server = serve()

    assert kinds(server.audio(response_id="resp_9")) == ["BotStarted", "BotAudio"]


def test_the_wait_for_an_answer_is_measured_once(serve: Serve) -> None:
    server = serve()
    server.caller_speaks()
    server.caller_stops()
    server.begins()
    server.now += 0.6

    first, second = server.audio(), server.audio()

    sent_at, heard_at = server.now + 0.01, server.now + 0.09
    [told] = server.session.playout_started("item_bot_1", sent_at, heard_at)
    assert isinstance(told, TurnLatencyFrame)
    waited = (told.response_ms, told.wire_ms, told.heard_ms)
    assert waited == (pytest.approx(600), pytest.approx(10), pytest.approx(80))
    assert [*kinds(first), *kinds(second)] == ["BotStarted", "BotAudio", "BotAudio"]
    assert server.session.playout_started("item_bot_1", sent_at, heard_at) == []


# One request at a time.


def test_a_refused_request_is_made_again_after_the_live_response(serve: Serve) -> None:
    server = serve(greeting="Good morning.")
    asked = server.sent()[0]

    refusal = {"code": "conversation_already_has_active_response", "event_id": asked["event_id"]}
    assert server.says("error", error=refusal) == []
    assert server.sent() == []

    server.ends("resp_0")
    again = server.sent()
    said = [message["response"]["instructions"] for message in again]
    assert said == [asked["response"]["instructions"]]


def test_errors_are_survived_and_reported_ever_more_seldom(serve: Serve) -> None:
    server = serve()

    faults = [fault for _ in range(100) for fault in server.says("error")]

    assert len(faults) == 7
    fault = faults[0]
    assert isinstance(fault, ModelFaultFrame)
    assert fault.code == "invalid_value"
    assert server.session.faults.counts["invalid_value"] == 100
    server.begins()
    assert kinds(server.audio()) == ["BotStarted", "BotAudio"]


def test_harmless_errors_are_only_counted(serve: Serve) -> None:
    server = serve()

    assert server.says("error", error={"code": "response_cancel_not_active"}) == []
    assert server.session.faults.counts["response_cancel_not_active"] == 1


def test_unknown_events_are_reported_once_a_type(serve: Serve) -> None:
    server = serve()
    happened = [
        fault
        for number in range(20)
        for fault in server.session.receive(parse(json.dumps({"type": f"new.{number % 2}"})), server.now)
    ]

    assert [one.explanation for one in happened if isinstance(one, ModelFaultFrame)] == ["new.0", "new.1"]


def test_a_failed_response_is_a_fault_with_the_servers_code(serve: Serve) -> None:
    server = serve()
    server.begins()

    happened = server.says(
        "response.done",
        response={
            "status": "failed",
            "usage": None,
            "output": [],
            "status_details": {
                "type": "failed",
                "error": {"type": "server_error", "code": "rate_limit_exceeded"},
            },
        },
    )

    assert [one.code for one in happened if isinstance(one, ModelFaultFrame)] == ["rate_limit_exceeded"]


def test_usage_is_priced_once_a_response(serve: Serve) -> None:
    server = serve()
    server.begins()

    used = [one for _ in range(2) for one in server.says("response.done") if isinstance(one, UsageFrame)]

    assert [(one.model, one.tokens["audio_out"]) for one in used] == [("gpt-realtime-2.1", 80)]
    assert used[0].cost_usd == pytest.approx(0.0075, rel=0.1)


def test_a_transcription_is_priced_by_its_own_model(serve: Serve) -> None:
    happened = serve().says("conversation.item.input_audio_transcription.completed")

    used = [one for one in happened if isinstance(one, UsageFrame)]
    assert [(one.model, one.tokens) for one in used] == [("gpt-transcribe", {"transcribed_ms": 2000})]


def test_a_new_response_ends_one_whose_end_was_lost(serve: Serve) -> None:
    server = serve()
    server.begins("resp_1")
    server.audio(response_id="resp_1")

    server.begins("resp_2")

    assert server.audio("item_2", response_id="resp_1") == []
    assert kinds(server.audio("item_3", response_id="resp_2")) == ["BotStarted", "BotAudio"]


def test_a_call_that_has_ended_leaves_nothing_to_send(serve: Serve) -> None:
    server = serve()
    server.session.end()

    server.session.caller_audio(packet(), server.now)

    assert server.sent() == []


def test_a_request_that_is_not_answered_is_given_up_after_five_seconds(serve: Serve) -> None:
    server = serve(greeting="Good morning.")
    server.sent()
    server.says("response.created", response={"id": "resp_0", "metadata": None})
    server.calls("call_1", "resp_0")
    server.ends("resp_0")
    server.answers("call_1")
    assert server.sent_types() == ["conversation.item.create"]

    server.now += 5 - 0.01
    server.session.due(server.now)
    assert "response.create" not in server.sent_types()
    server.now += 0.01
    server.session.due(server.now)

    assert "response.create" in server.sent_types()
