"""How the session is opened, and what is taken."""

from __future__ import annotations

import asyncio
from binascii import a2b_base64
from typing import TYPE_CHECKING

import pytest

from callpipe.processors.realtime import RealtimeLLM
from callpipe.transports.audio.formats import PCM_8K, PCM_24K, PCMU_8K, AudioFormat, Tracks
from callpipe.transports.call_events import SessionReadyFrame
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.frames import EncodedAudio, InputEncodedAudioFrame
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from .conftest import PlaceCall

KEY = "sk-very-secret"
PCMU = RealtimeSettings(audio_format=PCMU_8K)


virtual = in_virtual_time(deadline_s=120)


def pcmu(payload: str = "/////w==") -> InputEncodedAudioFrame:
    return InputEncodedAudioFrame(EncodedAudio(a2b_base64(payload)))


@virtual
async def test_the_session_is_opened_with_the_key_in_the_handshake_alone(place_call: PlaceCall) -> None:
    async with place_call() as on:
        assert on.model.urls == ["wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1"]
        assert on.model.headers == {"Authorization": f"Bearer {KEY}"}
        assert on.model.deadline_s == 5
        assert on.model.types() == ["session.update"]
        ready = on.behind.all(SessionReadyFrame)
        assert [(one.model, round(one.connect_ms)) for one in ready] == [("gpt-realtime-2.1", 100)]


@virtual
async def test_caller_audio_waits_for_the_session_and_follows_the_greeting(place_call: PlaceCall) -> None:
    async with place_call(greeting="Good morning.", confirms=False, lasts_s=0.5) as on:
        await on.caller_says(*(pcmu(payload) for payload in ("AAAA", "AQEB", "AgIC")))
        assert on.model.types() == ["session.update"]

        on.model.say("session.updated")
        await asyncio.sleep(0.01)
        await on.caller_says(pcmu("AwMD"))

        assert on.model.types()[1:] == ["response.create"] + ["input_audio_buffer.append"] * 2
        assert [event.get("audio") for event in on.model.received[2:]] == ["AAAAAQEBAgIC", "AwMD"]


@pytest.mark.parametrize("offered", [None, PCM_8K, PCM_24K])
def test_a_session_in_pcmu_takes_pcmu_only(offered: AudioFormat | None) -> None:
    llm = RealtimeLLM(settings=PCMU, api_key=KEY)

    with pytest.raises(FormatMismatchError, match="PCMU 8 kHz is taken"):
        llm.formats(Tracks(caller=offered))


def test_the_callers_audio_ends_here_and_the_bots_begins() -> None:
    llm = RealtimeLLM(settings=RealtimeSettings(), api_key=KEY)

    assert llm.formats(Tracks(caller=PCM_24K)) == Tracks(caller=None, bot=PCM_24K)
