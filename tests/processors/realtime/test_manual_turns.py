"""Turns that the pipeline finds: the caller's audio is committed and answered when they have finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import InterruptionFrame, UserStoppedSpeakingFrame

from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.frames import EncodedAudio, InputEncodedAudioFrame
from callpipe.transports.realtime.settings import RealtimeSettings, ServerVad
from callpipe.transports.virtual_time import run_virtual

if TYPE_CHECKING:
    from .conftest import PlaceCall

PACKET = EncodedAudio(audio=b"\x55" * 160)
MANUAL = RealtimeSettings(audio_format=PCMU_8K, turn_detection=None)


def test_a_turn_is_committed_and_then_answered(place_call: PlaceCall) -> None:
    async def hold() -> list[str]:
        async with place_call(MANUAL) as on:
            on.llm.process_audio(InputEncodedAudioFrame(PACKET))
            await on.caller_says(UserStoppedSpeakingFrame())
            return on.model.types()

    sent = [sent for sent in run_virtual(hold()) if sent != "session.update"]
    assert sent == ["input_audio_buffer.append", "input_audio_buffer.commit", "response.create"]


def test_an_interruption_from_the_pipeline_cancels_the_answer(place_call: PlaceCall) -> None:
    async def hold() -> list[str]:
        async with place_call(MANUAL) as on:
            await on.caller_says(UserStoppedSpeakingFrame())
            on.model.begin_what_was_asked_for()
            on.model.speak(PCMU_8K, 500)
            await on.caller_says(InterruptionFrame())
            return on.model.types()

    assert "response.cancel" in run_virtual(hold())


@pytest.mark.parametrize("settings", [RealtimeSettings(audio_format=PCMU_8K, turn_detection=ServerVad())])
def test_a_server_that_finds_turns_is_told_of_none(settings: RealtimeSettings, place_call: PlaceCall) -> None:
    async def hold() -> list[str]:
        async with place_call(settings) as on:
            await on.caller_says(UserStoppedSpeakingFrame())
            return on.model.types()

    assert "input_audio_buffer.commit" not in run_virtual(hold())
