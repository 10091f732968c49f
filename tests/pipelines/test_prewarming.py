"""The model is there, and has its first words ready, before the media stream is; in virtual time."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from http import HTTPStatus
from pathlib import Path

import pytest

from callpipe.pipelines import Bot, Call, Parties, Pipeline, answers
from callpipe.pipelines.ongoing import TOKEN_LIFETIME_S
from callpipe.pipelines.records.journal import figures
from callpipe.processors.disk import shared_writer
from callpipe.transports.realtime.emulator.faults import RefuseHandshake, every_session

from .prepared_calls import (
    ANSWERED_S,
    CONNECT_S,
    Desk,
    Media,
    at_desk,
    greeting_bot,
    journal,
    start_message,
    start_stream,
)

STOP = '{"eventType":"stop"}'


@pytest.mark.parametrize("after_s", [ANSWERED_S + 0.1, 3.0, 20.0])
def test_a_greeting_that_waits_goes_out_with_the_start(after_s: float, tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        stream = await desk.initiate()
        assert (desk.switchboard.live_calls, desk.switchboard.prepared_calls) == (0, 1)
        await asyncio.sleep(after_s)
        media = desk.start(stream)
        await asyncio.sleep(0.01)
        assert (desk.switchboard.live_calls, desk.switchboard.prepared_calls) == (1, 0)
        assert media.first_audio_at == pytest.approx(after_s, abs=1e-9)
        await asyncio.sleep(1)
        await desk.end()

    at_desk(tmp_path, test)
    assert shared_writer().wait(5)
    events = journal(tmp_path)
    at = {event["event"]: event["t"] for event in reversed(events)}
    assert at["prepared"] == 0.0
    assert CONNECT_S <= at["session_ready"] < ANSWERED_S < at["media_started"] == pytest.approx(after_s)
    assert at["bot_started_speaking"] == pytest.approx(after_s)
    assert figures(events).answer_to_first_audio_ms == pytest.approx(after_s * 1000)


@pytest.mark.parametrize("after_s", [0.0, CONNECT_S / 2, CONNECT_S + 0.1])
def test_a_stream_that_comes_first_hears_the_greeting_as_soon_as_there_is_one(
    after_s: float, tmp_path: Path
) -> None:
    async def test(desk: Desk) -> None:
        stream = await desk.initiate()
        await asyncio.sleep(after_s)
        media = desk.start(stream)
        await asyncio.sleep(3)
        assert media.first_audio_at == pytest.approx(ANSWERED_S, abs=0.05)
        await desk.end()

    at_desk(tmp_path, test)


def test_a_webhook_asked_twice_prepares_once(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        assert await desk.initiate() == await desk.initiate()
        await asyncio.sleep(1)
        assert len(desk.model.attempts) == 1

    at_desk(tmp_path, test)


@pytest.mark.parametrize("after_s", [0.0, CONNECT_S / 2, CONNECT_S + 0.1, 3.0])
def test_a_call_that_is_over_before_its_stream_leaves_nothing(after_s: float, tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        stream = await desk.initiate()
        await asyncio.sleep(after_s)
        await desk.end()
        await asyncio.sleep(0.5)
        assert desk.switchboard.prepared_calls == 0
        assert desk.model.live_sessions == 0
        assert desk.open_socket(stream) is HTTPStatus.UNAUTHORIZED

    at_desk(tmp_path, test)
    assert shared_writer().wait(5)
    names = [event["event"] for event in journal(tmp_path)]
    assert [name for name in names if name.startswith("media")] == []
    assert names[-2:] == ["generation_ended", "call_ended"]


def test_a_call_whose_stream_does_not_come_is_ended(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        stream = await desk.initiate()
        await asyncio.sleep(TOKEN_LIFETIME_S - 0.1)
        assert desk.model.live_sessions == 1
        await asyncio.sleep(0.5)
        assert desk.switchboard.prepared_calls == 0
        assert desk.model.live_sessions == 0
        assert desk.open_socket(stream) is HTTPStatus.UNAUTHORIZED
        assert start_stream(await desk.proceed())["name"] == "generation-2", "nobody wanted the call to end"

    at_desk(tmp_path, test)
    assert shared_writer().wait(5)
    ended = next(event for event in journal(tmp_path) if event["event"] == "generation_ended")
    assert ended["reason"] == "no media stream"


def test_the_next_generation_is_prepared_as_well(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        media = desk.start(await desk.initiate())
        await asyncio.sleep(2)
        await media.socket.close(1001)
        second = start_stream(await desk.proceed())
        assert second["name"] == "generation-2"
        assert desk.switchboard.prepared_calls == 1
        await asyncio.sleep(2)
        assert desk.switchboard.live_calls == 0
        media = desk.start(second)
        await asyncio.sleep(0.01)
        assert media.first_audio_at == pytest.approx(4, abs=1e-9)
        await desk.end()

    at_desk(tmp_path, test)


def test_a_stream_that_was_rejected_leaves_no_pipeline_waiting(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        await desk.initiate()
        await asyncio.sleep(1)
        second = start_stream(await desk.proceed())
        await asyncio.sleep(1)
        assert desk.switchboard.prepared_calls == 1
        assert desk.model.live_sessions == 1
        media = desk.start(second)
        await asyncio.sleep(0.01)
        assert media.first_audio_at == pytest.approx(2, abs=1e-9)
        await desk.end()

    at_desk(tmp_path, test)


def test_so_many_calls_are_prepared_and_the_others_begin_with_their_stream(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        first, second, third = [await desk.initiate(call_id) for call_id in ("c-1", "c-2", "c-3")]
        await asyncio.sleep(3)
        assert desk.switchboard.prepared_calls == len(desk.model.attempts) == 2
        media = [desk.start(stream) for stream in (third, second, first)]
        await asyncio.sleep(3)
        assert media[0].first_audio_at == pytest.approx(3 + ANSWERED_S, abs=0.05)
        assert [stream.first_audio_at for stream in media[1:]] == pytest.approx([3, 3], abs=1e-9)
        await desk.initiate("c-4")
        assert desk.switchboard.prepared_calls == 1, "the streams that came made room"
        for call_id in ("c-1", "c-2", "c-3", "c-4"):
            await desk.end(call_id)

    at_desk(tmp_path, test, max_prepared=2)


def test_a_bot_that_fails_to_build_apologises_at_once(tmp_path: Path) -> None:
    bot = Bot("broken", apology="We are sorry.")
    built = 0

    @bot.pipeline
    def build(call: Call) -> Pipeline:  # pyright: ignore[reportUnusedFunction]
        nonlocal built
        built += 1
        raise LookupError("on purpose")

    async def test(desk: Desk) -> None:
        for _ in range(2):
            with pytest.raises(AssertionError, match="We are sorry"):
                await desk.initiate()
        assert built == 1
        await desk.end()

    at_desk(tmp_path, test, bot=bot)
    assert shared_writer().wait(5)
    names = [event["event"] for event in journal(tmp_path)]
    assert names == ["call_started", "apologised", "disconnected", "call_ended"]


def test_a_model_that_can_t_be_had_is_apologised_for_when_the_carrier_comes(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        stream = await desk.initiate()
        await asyncio.sleep(3)
        assert desk.switchboard.prepared_calls == 0
        media = desk.start(stream)
        await asyncio.sleep(0.1)
        assert media.closed is not None
        assert media.closed.code == 1000
        assert ET.fromstring(await desk.proceed())[0].text == "Sorry."

    at_desk(tmp_path, test, faults=every_session(RefuseHandshake(401)))


def test_the_longest_duration_counts_from_the_start_of_the_stream(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        stream = await desk.initiate()
        await asyncio.sleep(20)
        media = desk.start(stream)
        await asyncio.sleep(29)
        assert media.closed is None
        await asyncio.sleep(2)
        assert media.closed is not None
        assert await desk.proceed() == answers.hang_up()

    at_desk(tmp_path, test, bot=greeting_bot(max_call_s=30))


def test_a_call_that_ends_between_socket_and_start_is_not_let_in(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        media = desk.open_socket(await desk.initiate())
        assert isinstance(media, Media)
        await asyncio.sleep(0.1)
        await desk.end()
        stream = {"destinationUsername": "c-1.1", "name": "generation-1"}
        media.socket.send(start_message(stream))
        await asyncio.sleep(0.1)
        assert media.closed is not None
        assert media.closed.code == 1008

    at_desk(tmp_path, test)


def test_a_stream_in_another_format_is_apologised_for(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        media = desk.start(await desk.initiate(), encoding="audio/PCMA")
        await asyncio.sleep(1)
        assert media.closed is not None
        assert desk.model.live_sessions == 0
        assert ET.fromstring(await desk.proceed())[0].text == "Sorry."

    at_desk(tmp_path, test)


def test_a_server_that_stops_ends_what_it_has_prepared(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        await desk.initiate()
        await asyncio.sleep(2)
        before = desk.clock()
        await desk.switchboard.close()
        assert desk.clock() - before < 0.5
        assert desk.model.live_sessions == 0
        refusal = await desk.switchboard.initiated(desk.bot.name, "c-2", Parties())
        assert ET.fromstring(refusal)[0].text == "Sorry."
        assert desk.switchboard.prepared_calls == 0

    at_desk(tmp_path, test)


def test_a_stream_that_stops_ends_the_call_as_ever(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        stream = await desk.initiate()
        await asyncio.sleep(2)
        media = desk.start(stream)
        await asyncio.sleep(0.5)
        media.socket.send(STOP)
        await asyncio.sleep(0.5)
        assert desk.switchboard.live_calls == 0
        assert desk.model.live_sessions == 0

    at_desk(tmp_path, test)
