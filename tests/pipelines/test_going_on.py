"""A call whose media stream was lost goes on in another with its conversation; in virtual time."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from callpipe.pipelines import Bot, Call, Pipeline, passthrough_call, realtime_call
from callpipe.processors import (
    MulawDecoder,
    MulawEncoder,
    RealtimeLLM,
    Resampler,
    prerecorded,
)
from callpipe.processors.disk import shared_writer
from callpipe.processors.realtime import SORRY_ONE_MOMENT
from callpipe.processors.tools import Tool, ToolRouter, tool
from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.audio.g711 import encode_mulaw
from callpipe.transports.realtime import RealtimeSettings
from callpipe.transports.realtime.emulator import SessionLog
from callpipe.transports.restored import UNKNOWN_OUTCOME
from callpipe.transports.speech.interfaces import CallTool, Heard, Say, ToolOutput
from callpipe.transports.speech.tones import ToneVoice

from .prepared_calls import ANSWERED_S, Desk, Media, at_desk, journal, start_stream
from .virtual_call import Reciter

GREETING = "Hello, this is a greeting that lasts for quite a while, so that it can break off."
LASTS_S = len(b"".join(ToneVoice(8_000).speak(GREETING))) / 16_000
PHRASE = prerecorded(SORRY_ONE_MOMENT, PCMU_8K)
QUESTION = encode_mulaw(b"".join(ToneVoice(8_000).speak("QUESTION")))
ran: list[str] = []


@tool(timeout_s=60)
async def book() -> str:
    """Book a table."""
    ran.append("book")
    await asyncio.sleep(30)
    return "booked"


@tool(timeout_s=60, side_effects=False)
async def look_up() -> str:
    """Look something up."""
    ran.append("look_up")
    await asyncio.sleep(0 if ran.count("look_up") > 1 else 30)
    return "found"


class Calling(Reciter):
    """Greets, and answers every turn with a tool call, and every output with words."""

    def __init__(self, tool_name: str) -> None:
        super().__init__([GREETING])
        self._tool_name = tool_name

    def answer(
        self,
        instructions: str,
        tools: Sequence[Mapping[str, object]],
        history: Sequence[Heard | Say | CallTool | ToolOutput],
    ) -> list[Say | CallTool]:
        if isinstance(history[-1], Heard) and "broke off" not in instructions:
            return [CallTool(self._tool_name, {})]
        return [Say("Here it is.")]


Make = Callable[..., Pipeline]


def by_hand(call: Call, *, tools: Sequence[Tool] = (), greeting: str, instructions: str) -> Pipeline:
    router = ToolRouter(tools)
    model = RealtimeLLM(
        settings=RealtimeSettings(instructions=instructions),
        tools=router.tools,
        api_key="key",
        greeting=greeting,
        connect=call.connect,
        clock=call.clock,
    )
    return Pipeline(
        [
            call.transport.input(), MulawDecoder(), Resampler(24_000), model, router,
            Resampler(8_000), MulawEncoder(), call.transport.output(),
        ]
    )  # fmt: skip


def bot_of(make: Make = passthrough_call, tools: Sequence[Tool] = (), **more: Any) -> Bot:
    bot = Bot("greeter", apology="Sorry.")

    @bot.pipeline
    def build(call: Call) -> Pipeline:  # pyright: ignore[reportUnusedFunction]
        return make(call, instructions="Be brief.", greeting=GREETING, tools=tools, **more)

    return bot


def items(log: SessionLog) -> list[dict[str, Any]]:
    return [
        json.loads(json.dumps(sent.event["item"])) for sent in log.client_events("conversation.item.create")
    ]


def told(log: SessionLog) -> list[tuple[str, str]]:
    """Who said what, as a session was told."""
    return [
        (item["role"], item["content"][0]["text"]) if item["type"] == "message" else (item["type"], "")
        for item in items(log)
    ]


def asked(log: SessionLog) -> list[str]:
    """The instructions of the responses a session was asked for."""
    responses = [
        json.loads(json.dumps(sent.event["response"])) for sent in log.client_events("response.create")
    ]
    return [response.get("instructions", "") for response in responses]


def heard(media: Media) -> bytes:
    """Return what was sent to the caller, PCMU."""
    return b"".join(
        base64.b64decode(message["media"]["payload"])
        for _, message in media.sent
        if message["eventType"] == "playAudio"
    )


async def speak(media: Media, pcmu: bytes = QUESTION, then_s: float = 1.0) -> None:
    """Say something, and be silent for a while."""
    said = pcmu + b"\xff" * int(then_s * 8_000)
    for start in range(0, len(said), 160):
        payload = base64.b64encode(said[start : start + 160].ljust(160, b"\xff")).decode()
        media.socket.send(json.dumps({"eventType": "media", "track": "inbound", "payload": payload}))
        await asyncio.sleep(0.02)


async def lose(desk: Desk, media: Media, generation: int = 1) -> Media:
    """Break a media stream, and start the next when the model has had time to be there."""
    media.socket.abort()
    await asyncio.sleep(0.35)
    stream = start_stream(await desk.proceed(generation=generation))
    await asyncio.sleep(0.2)
    return desk.start(stream)


@pytest.mark.parametrize("make", [passthrough_call, realtime_call, by_hand])
def test_it_says_a_phrase_at_once_and_goes_on_instead_of_greeting(make: Make, tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        stream = await desk.initiate()
        await asyncio.sleep(ANSWERED_S)
        media = desk.start(stream)
        await asyncio.sleep(1.6)
        media = await lose(desk, media)
        began_at = desk.clock()
        await asyncio.sleep(4)
        assert media.first_audio_at == pytest.approx(began_at, abs=0.021)
        if make is passthrough_call:
            assert heard(media).startswith(PHRASE.audio)
        log = desk.model.logs[1]
        ((role, words),) = told(log)
        assert role == "assistant"
        assert words
        assert GREETING.startswith(words)
        heard_s = len(words) / len(GREETING) * LASTS_S
        assert 0.6 <= heard_s <= 1.7, "within a second of what was heard"
        (instructions,) = asked(log)
        assert instructions.startswith("Be brief.\n\nThe line broke off")
        assert "go on where your last words end" in instructions
        assert log.server_events("error") == []
        assert len(heard(media)) > len(PHRASE.audio) + 8_000, "the model went on"
        await desk.end()

    at_desk(tmp_path, test, bot=bot_of(make), brain=lambda: Reciter([GREETING]))


def test_the_caller_is_heard_while_it_goes_on(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        media = desk.start(await desk.initiate())
        await asyncio.sleep(8)
        media.socket.abort()
        await asyncio.sleep(0.35)
        media = desk.start(start_stream(await desk.proceed()))
        await speak(media, then_s=3)
        assert "input_audio_buffer.committed" in [
            sent.type for sent in desk.model.logs[1].server_events("input_audio_buffer.committed")
        ]
        await desk.end()

    at_desk(tmp_path, test, bot=bot_of(), brain=lambda: Reciter([GREETING]))


def lost_while_running(tmp_path: Path, one: Tool) -> SessionLog:
    """Let a media stream be lost while a tool runs; return the log of the next session."""
    ran.clear()
    logs: list[SessionLog] = []

    async def test(desk: Desk) -> None:
        media = desk.start(await desk.initiate())
        await asyncio.sleep(6)
        await speak(media)
        assert ran == [one.name]
        await lose(desk, media)
        await asyncio.sleep(6)
        logs.append(desk.model.logs[1])
        await desk.end()

    at_desk(tmp_path, test, bot=bot_of(tools=[one]), brain=lambda: Calling(one.name))
    return logs[0]


def test_a_tool_with_side_effects_is_not_repeated_and_the_model_knows(tmp_path: Path) -> None:
    log = lost_while_running(tmp_path, book)
    assert ran == ["book"]
    call, output = (item for item in items(log) if item["type"] != "message")
    assert (call["type"], call["name"]) == ("function_call", "book")
    assert (output["call_id"], output["output"]) == (call["call_id"], UNKNOWN_OUTCOME)
    (instructions,) = asked(log)
    assert "What a tool did is unknown" in instructions
    assert log.server_events("error") == []


def test_a_tool_without_side_effects_is_run_again_and_answered(tmp_path: Path) -> None:
    log = lost_while_running(tmp_path, look_up)
    assert ran == ["look_up", "look_up"]
    call, output = (item for item in items(log) if item["type"] != "message")
    assert json.loads(output["output"]) == {"result": "found"}
    assert call["call_id"] == output["call_id"]
    assert asked(log) == [""], "it goes on when the output is there"
    assert log.server_events("error") == []


def test_what_the_author_told_and_changed_goes_on(tmp_path: Path) -> None:
    calls: list[Call] = []

    async def test(desk: Desk) -> None:
        media = desk.start(await desk.initiate())
        await asyncio.sleep(6)
        await calls[0].tell("The caller is a regular.")
        await calls[0].change(instructions="Be verbose.", tools=[look_up])
        media = await lose(desk, media)
        await asyncio.sleep(1)
        log = desk.model.logs[1]
        assert ("system", "The caller is a regular.") in told(log)
        update = json.loads(json.dumps(log.client_events("session.update")[-1].event["session"]))
        assert update["instructions"] == "Be verbose."
        assert [one["name"] for one in update["tools"]] == ["look_up"]
        assert asked(log)[0].startswith("Be verbose.")
        restored = calls[1].restored
        assert restored is not None
        assert calls[0].restored is None
        assert restored.messages()[-1] == {"role": "system", "content": "The caller is a regular."}
        await calls[1].end()
        await asyncio.sleep(0.5)
        media = await lose(desk, media, 2)
        await asyncio.sleep(8)
        assert "say goodbye" in asked(desk.model.logs[2])[0]
        assert media.closed is not None, "the call ends after the goodbye"
        await desk.end()

    bot = Bot("greeter", apology="Sorry.")

    @bot.pipeline
    def build(call: Call) -> Pipeline:  # pyright: ignore[reportUnusedFunction]
        calls.append(call)
        return passthrough_call(call, instructions="Be brief.", greeting=GREETING, tools=[book, look_up])

    at_desk(tmp_path, test, bot=bot, brain=lambda: Reciter([GREETING]))


def test_the_phrase_may_be_another_or_none(tmp_path: Path) -> None:
    other = encode_mulaw(b"".join(ToneVoice(8_000).speak("ATTENDEZ")))

    async def test(desk: Desk) -> None:
        media = desk.start(await desk.initiate())
        await asyncio.sleep(6)
        media = await lose(desk, media)
        await asyncio.sleep(0.2)
        assert heard(media)[:800] == other[:800]
        await desk.end()

    at_desk(tmp_path / "other", test, bot=bot_of(resuming_phrase=other))

    async def silent(desk: Desk) -> None:
        media = desk.start(await desk.initiate())
        await asyncio.sleep(6)
        media = await lose(desk, media)
        await asyncio.sleep(0.1)
        assert heard(media) == b""
        await desk.end()

    at_desk(tmp_path / "none", silent, bot=bot_of(resuming_phrase=None))


def test_progress_is_journaled_about_once_a_second_while_the_bot_speaks(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        desk.start(await desk.initiate())
        await asyncio.sleep(10)
        await desk.end()

    at_desk(tmp_path, test, bot=bot_of(), brain=lambda: Reciter([GREETING]))
    assert shared_writer().wait(5)
    spoke = [one for one in journal(tmp_path) if one["event"] == "bot_speaking"]
    assert len(spoke) == pytest.approx(LASTS_S, abs=1)
    for one in spoke:
        assert GREETING.startswith(one["heard_text"])
    heard_ms = [one["heard_ms"] for one in spoke]
    assert heard_ms == sorted(heard_ms)
