"""More than an hour on one call: the session that would expire is left in time, and nobody notices."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.audio.g711 import MULAW_SILENCE, encode_mulaw
from callpipe.transports.frames import (
    EncodedAudio,
    InputEncodedAudioFrame,
    ModelFaultFrame,
    SessionReadyFrame,
)
from callpipe.transports.realtime.emulator import EmulatedEndpoint
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.speech.interfaces import CallTool, Ear, Heard, Say, ToolOutput, Voice
from callpipe.transports.speech.tones import ToneDetector, ToneVoice
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket import WebSocket

if TYPE_CHECKING:
    from .conftest import PlaceCall

MINUTES = 62
PACKETS = MINUTES * 60 * 50
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
            self._numbers.append(number_of(base64.b64decode(event["audio"])))
        self._socket.send(message)


def numbered(number: int, audio: bytes) -> bytes:
    """Write a packet's number into its first samples, too softly to be heard."""
    digits = bytes(0xFF - (number >> 2 * place & 3) for place in range(DIGITS))
    return digits + audio[DIGITS:]


def number_of(audio: bytes) -> int:
    return sum((0xFF - digit) << 2 * place for place, digit in enumerate(audio[:DIGITS]))


def test_no_packet_of_an_hours_call_is_lost_or_sent_twice(place_call: PlaceCall) -> None:
    run_virtual(_hold(place_call))


async def _hold(place_call: PlaceCall) -> None:
    endpoint = EmulatedEndpoint(Terse)
    sessions: list[list[int]] = []

    async def connect(url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        socket = await endpoint.connect(url, headers=headers, deadline_s=deadline_s)
        sessions.append([])
        return Tapped(socket, sessions[-1])

    speech = encode_mulaw(b"".join(ToneVoice().speak("hello")))
    loop = asyncio.get_running_loop()
    async with place_call(RealtimeSettings(audio_format=PCMU_8K), greeting="Hello", connect=connect) as on:
        began = loop.time()
        for number in range(PACKETS):
            at = number % (TURN_EVERY_S * 50) * PACKET_BYTES
            audio = speech[at : at + PACKET_BYTES].ljust(PACKET_BYTES, MULAW_SILENCE)
            packet = EncodedAudio(audio=numbered(number, audio))
            on.llm.process_audio(InputEncodedAudioFrame(packet))
            await asyncio.sleep(began + (number + 1) * 0.02 - loop.time())
        await asyncio.sleep(1)

        told = [fault.code for fault in on.behind.all(ModelFaultFrame)]
        ready = len(on.behind.all(SessionReadyFrame))
    first, second = sessions
    assert [*first, *second] == list(range(PACKETS))
    assert 54.9 * 60 * 50 < len(first) < 56 * 60 * 50
    assert (told, ready) == ([], 2)
    turns = sum(len(log.server_events("input_audio_buffer.committed")) for log in endpoint.logs)
    answers = sum(len(log.server_events("response.done")) for log in endpoint.logs)
    assert turns == PACKETS // (TURN_EVERY_S * 50)
    assert answers == turns + 1
    assert not [error for log in endpoint.logs for error in log.server_events("error")]
    replayed = endpoint.logs[1].client_events("conversation.item.create")
    turns_before = len(endpoint.logs[0].server_events("input_audio_buffer.committed"))
    assert len(replayed) == 2 * turns_before + 1
