"""A ready-made bot says something while its model can't be had; in virtual time."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from callpipe.pipelines import Bot, Call, Pipeline, passthrough_call, realtime_call
from callpipe.pipelines.ready_made import ONE_MOMENT_PLEASE
from callpipe.processors import prerecorded
from callpipe.transports.audio.formats import PCM_8K, PCMU_8K
from callpipe.transports.audio.g711 import decode_mulaw
from callpipe.transports.realtime.emulator.faults import RefuseHandshake, first_sessions

from .prepared_calls import GREETING, Desk, Media, at_desk

AWAY_S = 5
LOUD = 300.0

Make = Callable[..., Pipeline]


def holding_bot(make: Make, **speech: Any) -> Bot:
    bot = Bot("greeter", apology="Sorry.")

    @bot.pipeline
    def build(call: Call) -> Pipeline:  # pyright: ignore[reportUnusedFunction]
        return make(call, instructions="Be brief.", greeting=GREETING, **speech)

    return bot


def silences(media: Media, until: float) -> list[float]:
    """Return how long each silence was, in s, from the start of the stream."""
    at, found = 0.0, list[float]()
    for sent_at, message in media.sent:
        if message["eventType"] != "playAudio" or sent_at > until:
            continue
        pcm = decode_mulaw(base64.b64decode(message["media"]["payload"]))
        starts_at = max(at, sent_at)
        if starts_at > at:
            found.append(starts_at - at)
        at = starts_at + PCM_8K.duration_ms(len(pcm)) / 1000
    return found


def hold(tmp_path: Path, bot: Bot) -> list[float]:
    """Return the silences of a call whose model is away for its first seconds."""
    found: list[float] = []

    async def test(desk: Desk) -> None:
        began = asyncio.get_running_loop().time()
        media = desk.start(await desk.initiate())
        await asyncio.sleep(AWAY_S + 2)
        assert desk.model.attempts[1] - began == pytest.approx(AWAY_S)
        found.extend(silences(media, AWAY_S + 2))
        await desk.end()

    at_desk(tmp_path, test, bot=bot, faults=first_sessions(1, RefuseHandshake(429, AWAY_S)))
    return found


@pytest.mark.parametrize("make", [passthrough_call, realtime_call])
def test_no_silence_is_longer_than_a_second_by_default(make: Make, tmp_path: Path) -> None:
    found = hold(tmp_path, holding_bot(make))
    assert len(found) >= 3
    assert 0.75 < max(found) <= 1.0


def test_a_phrase_of_the_authors_own_takes_its_place(tmp_path: Path) -> None:
    found = hold(tmp_path, holding_bot(realtime_call, holding_phrase=b"\x10" * 8_000 * 6))
    assert len(found) == 1


def test_a_bot_may_be_silent(tmp_path: Path) -> None:
    (silence,) = hold(tmp_path, holding_bot(realtime_call, holding_phrase=None))
    assert silence > AWAY_S


def test_the_phrase_is_speech_without_a_pause_to_speak_of() -> None:
    pcm = np.frombuffer(decode_mulaw(prerecorded(ONE_MOMENT_PLEASE, PCMU_8K).audio), "<i2").astype(np.float64)
    loudness = np.sqrt(np.mean(pcm[: len(pcm) // 800 * 800].reshape(-1, 800) ** 2, axis=1))
    assert 1.0 < len(pcm) / 8_000 < 1.5
    assert (loudness > LOUD).mean() > 0.8
    assert 15_000 < np.abs(pcm).max() < 25_000


@pytest.mark.offline
def test_the_phrase_is_understood() -> None:
    from callpipe.transports.speech.whisper_ear import WhisperEar

    heard = WhisperEar().hear(decode_mulaw(prerecorded(ONE_MOMENT_PLEASE, PCMU_8K).audio), 8_000)
    assert heard.strip() == "One moment, please."
