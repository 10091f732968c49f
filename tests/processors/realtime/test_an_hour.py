"""More than an hour on one call: the session that would expire is left in time, and nobody notices."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest

from callpipe.transports import websocket
from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.audio.g711 import MULAW_SILENCE, encode_mulaw
from callpipe.transports.call_events import ModelFaultFrame, SessionReadyFrame
from callpipe.transports.frames import EncodedAudio, InputEncodedAudioFrame
from callpipe.transports.realtime.emulator import EmulatedEndpoint, RealtimeEmulatorServer, SessionLog
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.speech.interfaces import CallTool, Ear, Heard, Say, ToolOutput, Voice
from callpipe.transports.speech.tones import ToneDetector, ToneVoice
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket import Connect, WebSocket

if TYPE_CHECKING:
    from .conftest import Call, PlaceCall

PCMU = RealtimeSettings(audio_format=PCMU_8K)

PACKETS_PER_MINUTE = 60 * 50
TURN_EVERY_S = 20
PACKET_BYTES = 160
DIGITS = 10


class Deaf:
    def hear(self, pcm: bytes, sample_rate: int) -> str:
        del pcm, sample_rate
        return "yes"


class Terse:
    """Answers every turn with one word."""

    def __init__(self) -> None:
        self.voice: Voice = ToneVoice()
        self.ear: Ear = Deaf()

    def detector(self) -> ToneDetector:
        return ToneDetector(silence_ms=100)

    def greet(self, instructions: str) -> list[Say | CallTool]:
        return [Say(instructions[-5:])]

    def answer(
        self,
        instructions: str,
        tools: Sequence[Mapping[str, object]],
        history: Sequence[Heard | Say | CallTool | ToolOutput],
    ) -> list[Say | CallTool]:
        del instructions, tools
        return [Say(f"{sum(isinstance(entry, Heard) for entry in history):04d}")]


class Tapped:
    """Keeps the numbers of the packets that go to a session."""

    def __init__(self, socket: WebSocket, numbers: list[int]) -> None:
        self._socket = socket
        self._numbers = numbers
        self.receive = socket.receive
        self.close = socket.close

    def send(self, message: bytes | str) -> None:
        event = json.loads(message)
        if event["type"] == "input_audio_buffer.append":
            audio = base64.b64decode(event["audio"])
            packets = (audio[place : place + PACKET_BYTES] for place in range(0, len(audio), PACKET_BYTES))
            self._numbers.extend(map(number_of, packets))
        self._socket.send(message)


def numbered(number: int, audio: bytes) -> bytes:
    """Write a packet's number into its first samples, too softly to be heard."""
    digits = bytes(0xFF - (number >> 2 * place & 3) for place in range(DIGITS))
    return digits + audio[DIGITS:]


def number_of(audio: bytes) -> int:
    return sum((0xFF - digit) << 2 * place for place, digit in enumerate(audio[:DIGITS]))


def test_no_packet_of_an_hours_call_is_lost_or_sent_twice(place_call: PlaceCall) -> None:
    async def hold() -> None:
        endpoint = EmulatedEndpoint(Terse)
        calling = place_call(PCMU, greeting="Hello", connect=tapped(endpoint.connect, sessions))
        await talk(calling, minutes=62)
        check(endpoint.logs, minutes=62)

    sessions: list[list[int]] = []
    run_virtual(hold())
    first, second = sessions
    assert [*first, *second] == list(range(62 * PACKETS_PER_MINUTE))
    assert 54.9 * PACKETS_PER_MINUTE < len(first) < 56 * PACKETS_PER_MINUTE


@pytest.mark.long
@pytest.mark.timeout(700)
async def test_nor_of_ten_minutes_in_real_time_over_real_sockets(place_call: PlaceCall) -> None:
    sessions: list[list[int]] = []
    async with RealtimeEmulatorServer(Terse) as server:
        calling = place_call(
            PCMU,
            greeting="Hello",
            base_url=server.url,
            connect=tapped(websocket.connect, sessions),
            rollover_after_s=330,
        )
        await talk(calling, minutes=10)
        check(list(server.logs), minutes=10)
    first, second = sessions
    assert [*first, *second] == list(range(10 * PACKETS_PER_MINUTE))
    assert 5.4 * PACKETS_PER_MINUTE < len(first) < 6.5 * PACKETS_PER_MINUTE


def tapped(connect: Connect, sessions: list[list[int]]) -> Connect:
    """Open sockets whose packets are noted, a list for each socket."""

    async def tap(url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        socket = await connect(url, headers=headers, deadline_s=deadline_s)
        sessions.append([])
        return Tapped(socket, sessions[-1])

    return tap


async def talk(calling: AbstractAsyncContextManager[Call], minutes: int) -> None:
    """Send numbered packets for so long, with a word every 20 s."""
    speech = encode_mulaw(b"".join(ToneVoice().speak("hello")))
    loop = asyncio.get_running_loop()
    async with calling as on:
        began = loop.time()
        for number in range(minutes * PACKETS_PER_MINUTE):
            at = number % (TURN_EVERY_S * 50) * PACKET_BYTES
            audio = speech[at : at + PACKET_BYTES].ljust(PACKET_BYTES, MULAW_SILENCE)
            packet = EncodedAudio(audio=numbered(number, audio))
            on.llm.process_audio(InputEncodedAudioFrame(packet))
            await asyncio.sleep(began + (number + 1) * 0.02 - loop.time())
        await asyncio.sleep(1)
        assert [fault.code for fault in on.behind.all(ModelFaultFrame)] == []
        assert len(on.behind.all(SessionReadyFrame)) == 2


def check(logs: Sequence[SessionLog], minutes: int) -> None:
    """Hold the model to having answered every turn, and to having been told them all once."""
    turns = sum(len(log.server_events("input_audio_buffer.committed")) for log in logs)
    answers = sum(len(log.server_events("response.done")) for log in logs)
    assert turns == minutes * 60 // TURN_EVERY_S
    assert answers == turns + 1
    assert not [error for log in logs for error in log.server_events("error")]
    replayed = logs[1].client_events("conversation.item.create")
    turns_before = len(logs[0].server_events("input_audio_buffer.committed"))
    assert len(replayed) == 2 * turns_before + 1
