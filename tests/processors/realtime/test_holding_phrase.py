"""What the caller hears while there is no session, and what is noticed of them meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from callpipe.processors import RealtimeLLM
from callpipe.transports.audio.formats import PCM_24K, PCMU_8K
from callpipe.transports.call_events import ModelFaultFrame
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.frames import EncodedAudio, InputEncodedAudioFrame, OutputEncodedAudioFrame
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from .conftest import Call, PlaceCall

PHRASE = EncodedAudio(audio=b"\x7f" * 8_000)
LOUD, QUIET = bytes([0x0F, 0x8F] * 80), b"\xff" * 160
MANUAL = RealtimeSettings(audio_format=PCMU_8K, turn_detection=None)

virtual = in_virtual_time(deadline_s=120)


async def says(on: Call, *packets: bytes) -> None:
    for packet in packets:
        await on.before.queue_frame(InputEncodedAudioFrame(EncodedAudio(audio=packet)))
        await asyncio.sleep(0.02)


@virtual
async def test_a_phrase_covers_a_silence_in_which_an_answer_is_owed(place_call: PlaceCall) -> None:
    async with place_call(holding_phrase=PHRASE) as on:
        on.model.begin()
        await asyncio.sleep(0.01)
        on.model.takes_s = 3.0
        on.model.socket.abort()
        await asyncio.sleep(0.75)
        assert on.behind.all(OutputEncodedAudioFrame) == []
        await asyncio.sleep(0.1)
        (covering,) = on.behind.all(OutputEncodedAudioFrame)
        assert (covering.encoded, covering.context_id) == (PHRASE, None)
        await asyncio.sleep(1.7)
        assert len(on.behind.all(OutputEncodedAudioFrame)) == 1  # it lasts 1 s, and then 0.8 s may be silent
        await asyncio.sleep(0.2)
        assert len(on.behind.all(OutputEncodedAudioFrame)) == 2
        await asyncio.sleep(4)

        assert len(on.behind.all(OutputEncodedAudioFrame)) == 2
        assert "conversation.item.create" not in on.model.types()


@virtual
async def test_what_the_caller_says_while_there_is_no_session_is_owed_an_answer(place_call: PlaceCall) -> None:
    async with place_call(holding_phrase=PHRASE) as on:
        on.model.takes_s = 4.0
        on.model.socket.abort()
        await says(on, *[LOUD] * 25, *[QUIET] * 65)

        assert len(on.behind.all(OutputEncodedAudioFrame)) == 1


@virtual
async def test_no_phrase_is_played_when_nothing_is_owed(place_call: PlaceCall) -> None:
    async with place_call(holding_phrase=PHRASE) as on:
        on.model.takes_s = 3.0
        on.model.socket.abort()
        await asyncio.sleep(4)

        assert on.behind.all(OutputEncodedAudioFrame) == []


def test_a_phrase_in_another_format_is_refused() -> None:
    with pytest.raises(FormatMismatchError):
        RealtimeLLM(settings=RealtimeSettings(audio_format=PCM_24K), api_key="key", holding_phrase=PHRASE)


@virtual
async def test_a_server_that_says_nothing_of_a_caller_who_speaks_is_left(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.falls_silent()
        await says(on, *[LOUD] * 100)
        assert [fault.code for fault in on.behind.all(ModelFaultFrame)] == ["silent"]
        assert len(on.model.sockets) == 2


@virtual
async def test_a_server_is_not_asked_sooner_while_the_line_is_quiet(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.falls_silent()
        await says(on, *[QUIET] * 100)
        assert on.behind.all(ModelFaultFrame) == []
        assert len(on.model.sockets) == 1


@virtual
async def test_nor_when_it_has_no_turns_to_find(place_call: PlaceCall) -> None:
    async with place_call(MANUAL) as on:
        on.model.falls_silent()
        await says(on, *[LOUD] * 100)
        assert len(on.model.sockets) == 1
