"""A greeting from a file is heard when the media stream starts, and the model knows of it; in virtual time."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callpipe.pipelines import Bot, Call, Pipeline, passthrough_call, realtime_call
from callpipe.processors import RealtimeLLM, prerecorded
from callpipe.processors.disk import shared_writer
from callpipe.transports.audio.formats import PCM_24K, PCMU_8K
from callpipe.transports.audio.g711 import encode_mulaw
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.realtime.emulator import SessionLog
from callpipe.transports.realtime.emulator.faults import RefuseHandshake, every_session
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.speech.tones import ToneVoice

from .prepared_calls import CONNECT_S, GREETING, Desk, Media, at_desk, journal

SAID = encode_mulaw(b"".join(ToneVoice(8_000).speak(GREETING)))
DURATION_S = len(SAID) / 8_000
PACKET_S = 0.02

Make = Callable[..., Pipeline]


def greeting_bot(make: Make) -> Bot:
    bot = Bot("greeter", apology="Sorry.")

    @bot.pipeline
    def build(call: Call) -> Pipeline:  # pyright: ignore[reportUnusedFunction]
        return make(call, instructions="Be brief.", greeting=GREETING, greeting_audio=SAID)

    return bot


def messages(log: SessionLog) -> list[dict[str, Any]]:
    """What the client put into the conversation."""
    items = [sent.event["item"] for sent in log.client_events("conversation.item.create")]
    return [item for item in items if isinstance(item, dict)]


def words(message: dict[str, Any]) -> str:
    return message["content"][0]["text"]


async def speak(media: Media, pcmu: bytes) -> None:
    """Say something, packet by packet."""
    for start in range(0, len(pcmu), 160):
        payload = base64.b64encode(pcmu[start : start + 160].ljust(160, b"\xff")).decode()
        media.socket.send(json.dumps({"eventType": "media", "track": "inbound", "payload": payload}))
        await asyncio.sleep(PACKET_S)


@pytest.mark.parametrize("after_s", [0.0, CONNECT_S / 2, 3.0])
@pytest.mark.parametrize("make", [passthrough_call, realtime_call])
def test_it_goes_out_with_the_start_and_the_model_is_told(make: Make, after_s: float, tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        stream = await desk.initiate()
        await asyncio.sleep(after_s)
        media = desk.start(stream)
        await asyncio.sleep(DURATION_S + 2)
        assert media.first_audio_at == pytest.approx(after_s, abs=1e-9)
        sent = [len(base64.b64decode(message["media"]["payload"])) for _, message in media.sent]
        assert sum(sent) == pytest.approx(len(SAID), abs=160)
        (message,) = messages(desk.model.logs[0])
        assert (message["role"], words(message)) == ("assistant", GREETING)
        assert desk.model.logs[0].server_events("response.created") == [], "the model greeted as well"
        assert desk.model.logs[0].server_events("error") == []
        await desk.end()

    at_desk(tmp_path, test, bot=greeting_bot(make))
    assert shared_writer().wait(5)
    (turn,) = [event for event in journal(tmp_path) if event["event"] == "bot_turn"]
    assert (turn["text"], turn["heard_text"], turn["interrupted"]) == (GREETING, GREETING, False)


@pytest.mark.parametrize("make", [passthrough_call, realtime_call])
def test_a_caller_who_cuts_in_is_not_held_to_have_heard_the_rest(make: Make, tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        stream = await desk.initiate()
        await asyncio.sleep(2)
        media = desk.start(stream)
        await speak(media, b"\xff" * 4_000)
        await speak(media, encode_mulaw(b"".join(ToneVoice(8_000).speak("stop it now"))))
        await asyncio.sleep(0.2)
        assert "clear" in [message["eventType"] for _, message in media.sent]
        whole, heard = messages(desk.model.logs[0])
        (deleted,) = desk.model.logs[0].client_events("conversation.item.delete")
        assert words(whole) == GREETING
        assert deleted.event["item_id"] == whole["id"]
        assert 0 < len(words(heard)) < len(GREETING)
        assert GREETING.startswith(words(heard))
        assert desk.model.logs[0].server_events("error") == []
        await desk.end()

    at_desk(tmp_path, test, bot=greeting_bot(make))
    assert shared_writer().wait(5)
    events = journal(tmp_path)
    (turn,) = [event for event in events if event["event"] == "bot_turn" and event["text"] == GREETING]
    (barge_in,) = [event for event in events if event["event"] == "barge_in"]
    assert turn["interrupted"]
    assert barge_in["believed_ms"] == turn["heard_ms"]
    assert 500 <= turn["heard_ms"] <= 1_100


def test_it_is_heard_even_when_the_model_can_t_be_had(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        media = desk.start(await desk.initiate())
        await asyncio.sleep(DURATION_S + 2)
        assert media.first_audio_at == 0.0
        sent = [len(base64.b64decode(message["media"]["payload"])) for _, message in media.sent]
        assert sum(sent) == len(SAID)
        assert media.closed is not None
        assert "Sorry." in await desk.proceed()

    refused = every_session(RefuseHandshake(401))
    at_desk(tmp_path, test, bot=greeting_bot(passthrough_call), faults=refused)


def test_its_words_and_its_format_are_asked_for() -> None:
    model = functools.partial(RealtimeLLM, settings=RealtimeSettings(), api_key="")
    with pytest.raises(ValueError, match="words"):
        model(greeting_audio=prerecorded(SAID, PCM_24K))
    with pytest.raises(FormatMismatchError):
        model(greeting=GREETING, greeting_audio=prerecorded(SAID, PCMU_8K))
