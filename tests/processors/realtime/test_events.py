"""Turns, tools and the end of the call."""

from __future__ import annotations

import asyncio
from binascii import a2b_base64
from typing import TYPE_CHECKING

from pipecat.frames.frames import (
    EndFrame,
    TranscriptionFrame,
)

from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.call_events import BotTurnFrame, CallerTurnFrame, UsageFrame
from callpipe.transports.frames import EncodedAudio, InputEncodedAudioFrame, ToolCallFrame, ToolResultFrame
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
async def test_turns_and_usage_are_told_and_transcripts_serve_stock_processors(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.say("input_audio_buffer.committed")
        on.model.say("conversation.item.input_audio_transcription.completed")
        on.model.begin()
        on.model.say("response.output_audio_transcript.done", item_id="item_1")
        on.model.speak(PCMU_8K, 400)
        on.model.end()
        await on.line.finish()

        assert [turn.text for turn in on.behind.all(CallerTurnFrame)] == ["I would like a table for two."]
        assert [one.text for one in on.behind.all(TranscriptionFrame)] == ["I would like a table for two."]
        (turn,) = on.behind.all(BotTurnFrame)
        assert (turn.heard_text, turn.heard_ms) == ("A table for two, gladly.", 400)
        assert len(on.behind.all(UsageFrame)) == 2


@virtual
async def test_a_tool_call_goes_down_and_its_answer_to_the_model(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.begin()
        on.model.say("response.function_call_arguments.done")
        on.model.end()
        await asyncio.sleep(0.01)
        (tool_call,) = on.behind.all(ToolCallFrame)
        assert (tool_call.call_id, tool_call.tool_name) == ("call_1", "book_table")

        await on.answers("call_1")
        await on.answers("call_1")

        assert on.model.types()[1:] == ["conversation.item.create", "response.create"]
        assert on.model.last("conversation.item.create")["item"]["call_id"] == "call_1"
        assert on.before.all(ToolResultFrame) == []


@virtual
async def test_the_call_ends_when_the_goodbye_was_heard(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.begin()
        on.model.say("response.function_call_arguments.done")
        on.model.end()
        await asyncio.sleep(0.01)
        await on.answers("call_1", ends_call=True)
        on.model.begin("resp_2")
        on.model.speak(PCMU_8K, 900, "item_2", "resp_2")
        on.model.end("resp_2")
        await asyncio.sleep(0.5)
        assert not on.run.done()
        await on.line.finish()

        await on.is_over(within_s=1)
        assert len(on.behind.all(EndFrame)) == 1
        assert on.model.closed is not None


@virtual
async def test_the_call_ends_though_the_goodbye_never_comes(place_call: PlaceCall) -> None:
    async with place_call() as on:
        on.model.begin()
        on.model.say("response.function_call_arguments.done")
        on.model.end()
        await asyncio.sleep(0.01)
        await on.answers("call_1", ends_call=True)

        await asyncio.sleep(19.5)
        assert not on.run.done()
        await on.is_over(within_s=1)
