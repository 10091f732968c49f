"""A server that refuses, says anything, dies or does not close."""

from __future__ import annotations

import asyncio
from binascii import a2b_base64
from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
)

from callpipe.processors.errors import (
    ModelSessionRefusedError,
    ModelSocketLostError,
    ModelUnreachableError,
    SessionFailedError,
)
from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.call_events import BotTurnFrame, ModelFaultFrame, SessionReadyFrame
from callpipe.transports.errors import Fault, SocketRefusedError
from callpipe.transports.frames import EncodedAudio, InputEncodedAudioFrame, OutputEncodedAudioFrame
from callpipe.transports.realtime.session import RealtimeSession
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.virtual_time import in_virtual_time
from callpipe.transports.websocket import WebSocket

if TYPE_CHECKING:
    from .conftest import PlaceCall

KEY = "sk-very-secret"
PCMU = RealtimeSettings(audio_format=PCMU_8K)


virtual = in_virtual_time(deadline_s=120)


def pcmu(payload: str = "/////w==") -> InputEncodedAudioFrame:
    return InputEncodedAudioFrame(EncodedAudio(a2b_base64(payload)))


@virtual
async def test_a_server_that_says_anything_is_survived(place_call: PlaceCall) -> None:
    async with place_call() as on:
        for message in ("", "{", '"x"', '{"type":"new.thing"}', '{"type":"response.done"}', "\N{SNOWMAN}"):
            on.model.socket.send(message)
        on.model.socket.send_binary(b"\xff\x00")
        on.model.say("error")
        on.model.begin()
        on.model.speak(PCMU_8K, 100)
        await on.caller_says(pcmu())

        codes = [fault.code for fault in on.behind.all(ModelFaultFrame)]
        assert codes == [
            "malformed_event",
            "malformed_event",
            "unknown_event",
            "malformed_event",
            "invalid_value",
        ]
        assert len(on.behind.all(OutputEncodedAudioFrame)) == 1
        assert "input_audio_buffer.append" in on.model.types()
        assert on.errors == []


@pytest.mark.parametrize(
    ("status", "fault", "code", "attempts"),
    [
        (401, Fault.OPERATOR, "unauthorized", 1),
        (403, Fault.OPERATOR, "unauthorized", 1),
        (404, Fault.BOT_AUTHOR, "model_unknown", 1),
        (429, Fault.OPERATOR, "rate_limited", 5),
        (503, Fault.MODEL, "server_error", 5),
        (None, Fault.MODEL, "unreachable", 5),
    ],
)
@virtual
async def test_a_connection_that_stays_refused_ends_the_call_with_one_error(
    place_call: PlaceCall, status: int | None, fault: Fault, code: str, attempts: int
) -> None:
    async with place_call(refusal=SocketRefusedError("refused", status)) as on:
        await on.is_over(within_s=10)

        (error,) = on.errors
        assert isinstance(error.exception, ModelUnreachableError)
        assert (error.exception.status, error.exception.fault) == (status, fault)
        assert [one.code for one in on.behind.all(ModelFaultFrame)] == [code] * attempts
        assert not on.llm.is_usable


@virtual
async def test_refused_settings_end_the_call_with_the_servers_words(place_call: PlaceCall) -> None:
    async with place_call(confirms=False, lasts_s=0.5) as on:
        on.model.say("error")
        await on.is_over(within_s=2)

        (error,) = on.errors
        assert isinstance(error.exception, ModelSessionRefusedError)
        assert (error.exception.code, error.exception.fault) == ("invalid_value", Fault.BOT_AUTHOR)
        assert "purple" in error.error


@virtual
async def test_settings_that_are_never_confirmed_end_the_call(place_call: PlaceCall) -> None:
    async with place_call(confirms=False) as on:
        await on.is_over(within_s=30)

        (error,) = on.errors
        assert isinstance(error.exception, ModelSessionRefusedError)
        assert (error.exception.code, error.exception.fault) == ("timeout", Fault.MODEL)
        assert asyncio.get_running_loop().time() < 30


@pytest.mark.parametrize(
    ("code", "told"),
    [(1000, "socket_closed"), (1001, "socket_closed"), (1006, "socket_lost"), (1008, "socket_closed")],
)
@virtual
async def test_a_socket_that_dies_is_followed_by_another(place_call: PlaceCall, code: int, told: str) -> None:
    async with place_call() as on:
        on.model.begin()
        on.model.speak(PCMU_8K, 500)
        await on.model.socket.close(code, "gone")
        await asyncio.sleep(0.3)

        assert len(on.model.urls) == 2
        assert [one.code for one in on.behind.all(ModelFaultFrame)] == [told]
        assert len(on.behind.all(SessionReadyFrame)) == 2
        assert on.errors == []


@virtual
async def test_sockets_that_keep_dying_end_the_call_with_one_error(place_call: PlaceCall) -> None:
    async with place_call() as on:
        for _ in range(5):
            await on.model.socket.close(1011, "gone")
            await asyncio.sleep(0.3)
        await on.is_over(within_s=2)

        (error,) = on.errors
        assert isinstance(error.exception, ModelSocketLostError)
        assert error.exception.close_code == 1011
        assert len(on.model.urls) == 5


@virtual
async def test_a_defect_of_ours_ends_the_call_and_names_no_content(
    place_call: PlaceCall, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    def defect(*_: object) -> None:
        raise LookupError("my secret")

    async with place_call() as on:
        monkeypatch.setattr(RealtimeSession, "receive", defect)
        on.model.begin()
        await on.is_over(within_s=2)

        (error,) = on.errors
        assert isinstance(error.exception, SessionFailedError)
        assert isinstance(error.exception.failure, LookupError)
    assert not any("my secret" in message for message in logged)


@virtual
async def test_a_cancelled_call_closes_its_socket_and_tells_what_was_heard(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.begin()
        on.model.speak(PCMU_8K, 2000)
        await asyncio.sleep(0.5)
        await on.worker.cancel()
        await on.run

        assert on.model.closed is not None
        assert [round(turn.heard_ms) for turn in on.behind.all(BotTurnFrame)] == [500]
        assert len(on.behind.all(CancelFrame)) == 1


@virtual
async def test_a_call_cancelled_while_connecting_is_over_at_once(place_call: PlaceCall) -> None:
    async with place_call(lasts_s=0.05) as on:
        began = asyncio.get_running_loop().time()
        await on.worker.cancel()
        await on.run

        assert asyncio.get_running_loop().time() - began < 2


class DeafSocket:
    """Wraps a socket whose peer never answers a close."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.send = socket.send
        self.receive = socket.receive

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        await asyncio.sleep(3600)


@virtual
async def test_a_server_that_does_not_close_is_waited_for_two_seconds(
    place_call: PlaceCall,
) -> None:
    async with place_call(wrap=DeafSocket) as on:
        began = asyncio.get_running_loop().time()
        await on.worker.queue_frame(EndFrame())
        await on.is_over(within_s=2.5)

        assert asyncio.get_running_loop().time() - began >= 1


@virtual
async def test_no_word_of_the_call_and_no_key_is_logged(place_call: PlaceCall, logged: list[str]) -> None:
    async with place_call(greeting="Good morning, Ada.") as on:
        on.model.say("input_audio_buffer.committed")
        on.model.say("conversation.item.input_audio_transcription.completed")
        on.model.begin()
        on.model.say("response.output_audio_transcript.done", item_id="item_1")
        on.model.speak(PCMU_8K, 200)
        on.model.say("response.function_call_arguments.done")
        on.model.end()
        await on.answers("call_1")
        await on.line.finish()
        assert len(on.behind.all(BotTurnFrame)) == 1

    content = ("table for two", "gladly", "2026-12-01", "Ada", KEY)
    assert len(logged) > 10
    assert [message for message in logged if any(words in message for words in content)] == []
