"""What follows a session that is lost, or is about to be: where the next one is opened, and what it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from pipecat.frames.frames import InterruptionFrame

from callpipe.processors.errors import ModelLostError, ModelUnreachableError
from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.call_events import CallerTurnFrame, ModelFaultFrame, SessionReadyFrame
from callpipe.transports.errors import HandshakeLateError, SocketRefusedError
from callpipe.transports.frames import (
    EncodedAudio,
    InputEncodedAudioFrame,
    OutputEncodedAudioFrame,
    ToolCallFrame,
)
from callpipe.transports.realtime.endpoints import Breakers, RealtimeEndpoint
from callpipe.transports.realtime.pace import Pace, Paces
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.virtual_time import in_virtual_time
from callpipe.transports.websocket import Connect, WebSocket

if TYPE_CHECKING:
    from .conftest import Call, Model, PlaceCall

PCMU = RealtimeSettings(audio_format=PCMU_8K)
AZURE = RealtimeEndpoint("https://mine.azure.example/openai/v1", "azure", model="mine", key_header="api-key")
GATEWAY = RealtimeEndpoint("http://gateway.example/v1", "gateway")


virtual = in_virtual_time(deadline_s=120)


class Known(Paces):
    """A process that knows how fast the voice speaks."""

    def __init__(self, character_ms: float) -> None:
        super().__init__()
        self._character_ms = character_ms

    def of(self, settings: RealtimeSettings) -> Pace:
        del settings
        return Pace(self._character_ms)


def pcmu(number: int) -> InputEncodedAudioFrame:
    return InputEncodedAudioFrame(EncodedAudio(audio=bytes([number % 256]) * 160))


def appended(model: Model) -> list[int]:
    """The numbers of the packets that the present session was sent."""
    return list(model.heard_since_opened()[::160])


def told(model: Model) -> list[tuple[str, str]]:
    """What the present session was told of the conversation."""
    items = [event["item"] for event in model.since_opened() if event["type"] == "conversation.item.create"]
    return [
        (item.get("role") or item["type"], json.dumps(item.get("content") or item.get("output")))
        for item in items
    ]


def requests(model: Model) -> list[dict[str, Any]]:
    return [event["response"] for event in model.since_opened() if event["type"] == "response.create"]


async def breaks(on: Call) -> None:
    on.model.socket.abort()
    await asyncio.sleep(0.2)


def says_word_by_word(model: Model, text: str, item_id: str = "item_1", ms_a_word: int = 500) -> None:
    for word in text.split():
        model.say(
            "response.output_audio_transcript.delta", item_id=item_id, response_id="resp_1", delta=f"{word} "
        )
        model.speak(PCMU_8K, ms_a_word, item_id)


@virtual
async def test_the_rest_of_an_answer_is_asked_for_when_it_broke_off(place_call: PlaceCall) -> None:
    async with place_call(paces=Known(115)) as on:
        on.model.begin()
        says_word_by_word(on.model, "one two three four")
        await asyncio.sleep(0.3)
        await breaks(on)

        assert [role for role, _ in told(on.model)] == ["assistant"]
        assert "one two three" in told(on.model)[0][1]
        assert "four" not in told(on.model)[0][1]
        (request,) = requests(on.model)
        assert "Go on exactly where your last words end" in request["instructions"]
        assert [fault.code for fault in on.behind.all(ModelFaultFrame)] == ["socket_lost"]
        assert len(on.behind.all(OutputEncodedAudioFrame)) == 20  # what came is played


@virtual
async def test_the_rest_of_a_greeting_is_dictated(place_call: PlaceCall) -> None:
    async with place_call(greeting="Good morning, this is Hotel Aurora.", paces=Known(95)) as on:
        on.model.begin_what_was_asked_for()
        says_word_by_word(on.model, "Good morning, this")
        await asyncio.sleep(0.3)
        await breaks(on)

        (request,) = requests(on.model)
        assert request["instructions"].endswith("nothing else: this is Hotel Aurora.")


@virtual
async def test_an_answer_that_was_complete_is_not_asked_for_again(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.begin()
        says_word_by_word(on.model, "one two")
        on.model.say("response.output_audio.done", item_id="item_1", response_id="resp_1")
        await asyncio.sleep(0.01)
        await breaks(on)

        assert "one two" in told(on.model)[0][1]
        assert requests(on.model) == []


@virtual
async def test_a_turn_nobody_has_answered_is_answered_by_the_next_session(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.say("input_audio_buffer.speech_started", audio_start_ms=0)
        await on.caller_says(*(pcmu(number) for number in range(50)))
        on.model.say("input_audio_buffer.speech_stopped", audio_end_ms=1_000)
        on.model.say("input_audio_buffer.committed")
        await asyncio.sleep(0.01)
        await breaks(on)

        ((role, content),) = told(on.model)
        assert role == "user"
        assert "input_audio" in content
        assert appended(on.model) == []
        assert requests(on.model) == [{"metadata": requests(on.model)[0]["metadata"]}]
        assert len(on.behind.all(CallerTurnFrame)) == 1


@virtual
async def test_an_utterance_is_sent_again_from_its_start_and_what_was_committed_is_not(
    place_call: PlaceCall,
) -> None:
    async with place_call() as on:
        await on.caller_says(*(pcmu(number) for number in range(50)))
        on.model.say("input_audio_buffer.speech_started", audio_start_ms=200)
        on.model.say("input_audio_buffer.speech_stopped", audio_end_ms=600)
        on.model.say("input_audio_buffer.committed")
        on.model.say("conversation.item.input_audio_transcription.completed", transcript="yes")
        on.model.begin()
        on.model.end()
        on.model.say("input_audio_buffer.speech_started", audio_start_ms=800, item_id="item_2")
        await asyncio.sleep(0.01)
        on.model.socket.abort()
        await on.caller_says(*(pcmu(number) for number in range(50, 60)))
        await asyncio.sleep(0.2)
        await on.caller_says(pcmu(60))

        assert appended(on.model) == list(range(40, 61))
        assert [role for role, _ in told(on.model)] == ["user"]
        assert requests(on.model) == []  # the server answers this turn by itself


@virtual
async def test_a_tool_that_ran_meanwhile_answers_to_the_next_session(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.begin()
        on.model.say("response.function_call_arguments.done", call_id="call_1")
        await asyncio.sleep(0.01)
        on.model.socket.abort()
        await asyncio.sleep(0.02)
        await on.answers("call_1")
        await asyncio.sleep(0.2)

        assert [role for role, _ in told(on.model)] == ["function_call", "function_call_output"]
        assert len(requests(on.model)) == 1
        assert len(on.behind.all(ToolCallFrame)) == 1


@virtual
async def test_a_tool_that_runs_on_answers_to_the_next_session(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.begin()
        on.model.say("response.function_call_arguments.done", call_id="call_1")
        on.model.end()
        await asyncio.sleep(0.01)
        await breaks(on)
        assert [role for role, _ in told(on.model)] == ["function_call"]
        assert requests(on.model) == []

        await on.answers("call_1")

        assert [role for role, _ in told(on.model)] == ["function_call", "function_call_output"]
        assert len(requests(on.model)) == 1


@virtual
async def test_an_item_of_the_lost_session_is_corrected_where_the_next_one_was_told_of_it(
    place_call: PlaceCall,
) -> None:
    async with place_call() as on:
        on.model.begin()
        says_word_by_word(on.model, "one two three four five six")
        on.model.say("response.output_audio.done", item_id="item_1", response_id="resp_1")
        on.model.end()
        await asyncio.sleep(0.5)
        await breaks(on)
        await on.before.push_frame(InterruptionFrame())
        await asyncio.sleep(0.1)

        types = [event["type"] for event in on.model.since_opened()]
        assert "conversation.item.truncate" not in types
        assert types[-2:] == ["conversation.item.delete", "conversation.item.create"]
        assert told(on.model)[-1][0] == "assistant"
        assert "six" in told(on.model)[0][1]
        assert "one" in told(on.model)[1][1]
        assert "six" not in told(on.model)[1][1]


# Half open.


@virtual
async def test_a_server_that_answers_nothing_is_left_when_another_session_is_open(
    place_call: PlaceCall,
) -> None:
    async with place_call() as on:
        on.model.say("input_audio_buffer.speech_started", audio_start_ms=0)
        on.model.say("input_audio_buffer.speech_stopped", audio_end_ms=500)
        on.model.falls_silent()
        await asyncio.sleep(1.3)

        assert [fault.code for fault in on.behind.all(ModelFaultFrame)] == ["silent"]
        assert len(on.behind.all(SessionReadyFrame)) == 2


@virtual
async def test_a_server_that_is_slow_to_answer_is_kept(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.falls_silent()
        await asyncio.sleep(2.65)
        assert len(on.model.urls) == 2
        on.model.begin()
        await asyncio.sleep(2)

        assert len(on.model.ended) == 1
        assert on.behind.all(ModelFaultFrame) == []
        assert len(on.behind.all(SessionReadyFrame)) == 1


@virtual
async def test_an_expired_session_is_left_at_the_servers_word(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.say(
            "error", error={"type": "invalid_request_error", "code": "session_expired", "message": "60"}
        )
        await asyncio.sleep(0.2)

        codes = [fault.code for fault in on.behind.all(ModelFaultFrame)]
        assert codes == ["session_expired"]
        assert len(on.behind.all(SessionReadyFrame)) == 2


# Where the next session is opened.


class Places:
    """Several hosts in front of one model; some refuse."""

    def __init__(self, **refusing: SocketRefusedError) -> None:
        self.refusing = refusing
        self.tried: list[tuple[str, Mapping[str, str]]] = []

    def __call__(self, connect: Connect) -> Connect:
        async def at_a_place(url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
            self.tried.append((url, headers))
            for host, refusal in self.refusing.items():
                if host in (urlsplit(url).hostname or ""):
                    raise refusal
            return await connect(url, headers=headers, deadline_s=deadline_s)

        return at_a_place


@pytest.mark.parametrize("status", [401, 404, 429, 503, None])
@virtual
async def test_the_next_endpoint_is_tried_at_once(place_call: PlaceCall, status: int | None) -> None:
    places = Places(openai=SocketRefusedError("no", status))
    async with place_call(endpoints=[AZURE, GATEWAY], through=places) as on:
        (ready,) = on.behind.all(SessionReadyFrame)
        assert round(ready.connect_ms) == 100
        (_, azure) = places.tried
        assert azure == ("wss://mine.azure.example/openai/v1/realtime?model=mine", {"api-key": "azure"})
        assert on.model.received[0]["session"]["model"] == "mine"
        assert on.errors == []


@virtual
async def test_the_conversation_goes_on_at_the_next_endpoint(place_call: PlaceCall) -> None:
    places = Places()
    async with place_call(endpoints=[AZURE], through=places) as on:
        on.model.say("input_audio_buffer.speech_started")
        on.model.say("input_audio_buffer.speech_stopped")
        on.model.say("conversation.item.input_audio_transcription.completed", transcript="yes")
        await asyncio.sleep(0.01)
        places.refusing["openai"] = SocketRefusedError("no", 503)
        await breaks(on)

        assert places.tried[-1][0].startswith("wss://mine.azure.example")
        assert told(on.model) == [("user", json.dumps([{"type": "input_text", "text": "yes"}]))]
        assert on.errors == []


@virtual
async def test_endpoints_that_all_refuse_for_good_end_the_call_at_once(place_call: PlaceCall) -> None:
    places = Places(openai=SocketRefusedError("no", 401), azure=SocketRefusedError("no", 404))
    async with place_call(endpoints=[AZURE], through=places) as on:
        (error,) = on.errors
        assert isinstance(error.exception, ModelUnreachableError)
        assert len(places.tried) == 2


@virtual
async def test_calls_learn_from_each_other_that_an_endpoint_fails(place_call: PlaceCall) -> None:
    breakers = Breakers()
    tried: list[int] = []
    for _ in range(7):
        places = Places(openai=SocketRefusedError("no", 503))
        async with place_call(endpoints=[AZURE], breakers=breakers, through=places, lasts_s=0.2):
            tried.append(len(places.tried))

    assert tried == [2, 2, 2, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("refusal", "code", "lasting"),
    [
        (SocketRefusedError("no", 401), "unauthorized", True),
        (SocketRefusedError("no", 403), "unauthorized", True),
        (SocketRefusedError("no", 404), "model_unknown", True),
        (SocketRefusedError("no", 418), "handshake_refused", True),
        (SocketRefusedError("no", 429, 1.0), "rate_limited", False),
        (SocketRefusedError("no", 500), "server_error", False),
        (SocketRefusedError("no"), "unreachable", False),
        (HandshakeLateError("no"), "slow_handshake", False),
    ],
)
@virtual
async def test_refusals_are_told_apart(
    place_call: PlaceCall, refusal: SocketRefusedError, code: str, lasting: bool
) -> None:
    async with place_call(refusal=refusal, lasts_s=0.15) as on:
        (fault,) = on.behind.all(ModelFaultFrame)
        assert fault.code == code
        assert bool(on.errors) == lasting
        if lasting:
            assert isinstance(on.errors[0].exception, ModelLostError)


# Before a session expires.


@virtual
async def test_a_session_in_use_is_left_between_two_turns(place_call: PlaceCall) -> None:
    async with place_call(rollover_after_s=60) as on:
        on.model.begin()
        await asyncio.sleep(65)
        await on.caller_says(*(InputEncodedAudioFrame(EncodedAudio(audio=b"\xff" * 160)) for _ in range(30)))
        assert len(on.model.urls) == 2
        assert len(on.behind.all(SessionReadyFrame)) == 1  # an answer is live

        done = {"type": "response.done", "response": {"id": "resp_1", "status": "completed"}}
        on.model.sockets[0].send(json.dumps(done))
        await asyncio.sleep(0.05)
        await on.caller_says(*(InputEncodedAudioFrame(EncodedAudio(audio=b"\xff" * 160)) for _ in range(30)))

        assert len(on.behind.all(SessionReadyFrame)) == 2
        assert on.behind.all(ModelFaultFrame) == []
