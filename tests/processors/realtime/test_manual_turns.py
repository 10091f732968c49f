"""Turns that the pipeline finds: the caller's audio is committed and answered when they have finished."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest
from pipecat.frames.frames import InterruptionFrame, UserStoppedSpeakingFrame

from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.call_events import CallerTurnFrame, TurnLatencyFrame
from callpipe.transports.frames import EncodedAudio, InputEncodedAudioFrame
from callpipe.transports.realtime.settings import RealtimeSettings, ServerVad
from callpipe.transports.virtual_time import run_virtual

if TYPE_CHECKING:
    from .conftest import Call, PlaceCall

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


def told(on: Call) -> list[dict[str, Any]]:
    """What the last session was sent, but for its settings."""
    return [event for event in on.model.since_opened() if event["type"] != "session.update"]


def roles(on: Call) -> list[str]:
    return [event.get("item", {}).get("role") or event["type"] for event in told(on)]


async def speaks(on: Call, packets: int = 10) -> None:
    for _ in range(packets):
        on.llm.process_audio(InputEncodedAudioFrame(PACKET))
    await asyncio.sleep(0.02)


async def loses_its_session(on: Call, for_s: float) -> None:
    on.model.takes_s = for_s
    on.model.socket.abort()
    await asyncio.sleep(0.05)


def test_a_turn_that_ends_while_there_is_no_session_is_told_to_the_next_and_answered(
    place_call: PlaceCall,
) -> None:
    async def hold() -> None:
        async with place_call(MANUAL) as on:
            await speaks(on, 5)
            await loses_its_session(on, 1.0)
            await speaks(on, 5)
            await on.caller_says(UserStoppedSpeakingFrame())
            await speaks(on, 3)
            await asyncio.sleep(2)

            assert roles(on) == ["user", "response.create", "input_audio_buffer.append"]
            assert on.model.heard_since_opened() == 3 * PACKET.audio
            (part,) = told(on)[0]["item"]["content"]
            assert len(base64.b64decode(part["audio"])) == 10 * len(PACKET.audio)
            assert [turn.text for turn in on.behind.all(CallerTurnFrame)] == [""]

    run_virtual(hold())


def test_every_turn_that_ends_while_there_is_no_session_is_told_and_one_answer_is_asked_for(
    place_call: PlaceCall,
) -> None:
    async def hold() -> None:
        async with place_call(MANUAL) as on:
            await loses_its_session(on, 1.0)
            for _ in range(2):
                await speaks(on)
                await on.caller_says(UserStoppedSpeakingFrame())
            await asyncio.sleep(2)

            assert roles(on) == ["user", "user", "response.create"]

    run_virtual(hold())


def test_a_turn_whose_commit_nobody_confirmed_is_told_to_the_next_session(place_call: PlaceCall) -> None:
    async def hold() -> None:
        async with place_call(MANUAL) as on:
            await speaks(on)
            await on.caller_says(UserStoppedSpeakingFrame())
            await loses_its_session(on, 0.1)
            await asyncio.sleep(1)

            assert roles(on) == ["user", "response.create"]

    run_virtual(hold())


def test_a_turn_that_was_confirmed_is_told_once(place_call: PlaceCall) -> None:
    async def hold() -> None:
        async with place_call(MANUAL) as on:
            await speaks(on)
            await on.caller_says(UserStoppedSpeakingFrame())
            await speaks(on, 2)
            on.model.say("input_audio_buffer.committed")
            await asyncio.sleep(0.01)
            await loses_its_session(on, 0.1)
            await asyncio.sleep(1)

            assert roles(on) == ["user", "response.create", "input_audio_buffer.append"]
            assert on.model.heard_since_opened() == 2 * PACKET.audio

    run_virtual(hold())


def test_a_turn_that_is_too_short_for_the_server_belongs_to_the_next(place_call: PlaceCall) -> None:
    async def hold() -> None:
        async with place_call(MANUAL) as on:
            await speaks(on, 2)
            await on.caller_says(UserStoppedSpeakingFrame())
            on.model.say("error", error={"code": "input_audio_buffer_commit_empty", "message": "too small"})
            await asyncio.sleep(0.01)
            await speaks(on, 8)
            await on.caller_says(UserStoppedSpeakingFrame())
            await loses_its_session(on, 0.1)
            await asyncio.sleep(1)

            (part,) = told(on)[0]["item"]["content"]
            assert len(base64.b64decode(part["audio"])) == 10 * len(PACKET.audio)

    run_virtual(hold())


def test_a_turn_without_a_sound_is_not_told(place_call: PlaceCall) -> None:
    async def hold() -> None:
        async with place_call(MANUAL) as on:
            await loses_its_session(on, 1.0)
            await on.caller_says(UserStoppedSpeakingFrame())
            await asyncio.sleep(2)

            assert roles(on) == ["response.create"]

    run_virtual(hold())


def test_the_rest_of_a_turn_follows_to_the_next_session_when_the_first_is_left(place_call: PlaceCall) -> None:
    async def hold() -> None:
        async with place_call(MANUAL, rollover_after_s=3.0) as on:
            quiet = InputEncodedAudioFrame(EncodedAudio(audio=b"\xff" * 160))
            await speaks(on, 10)
            for _ in range(200):
                on.llm.process_audio(quiet)
                await asyncio.sleep(0.02)

            assert len(on.model.sockets) == 2
            heard = on.model.heard_since_opened()
            assert heard.count(PACKET.audio) == 10
            assert len(heard) >= 210 * len(PACKET.audio)

    run_virtual(hold())


def test_how_long_the_caller_waited_is_told_for_such_a_turn_as_well(place_call: PlaceCall) -> None:
    async def hold() -> None:
        async with place_call(MANUAL) as on:
            await speaks(on)
            await on.caller_says(UserStoppedSpeakingFrame())
            on.model.begin_what_was_asked_for()
            await asyncio.sleep(0.5)
            on.model.speak(PCMU_8K, 500)
            await asyncio.sleep(0.1)

            (latency,) = on.behind.all(TurnLatencyFrame)
            assert latency.measured_from == "notice"
            assert 500 <= latency.response_ms <= 550

    run_virtual(hold())
