from __future__ import annotations

import array
import asyncio
import base64
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from callpipe.transports.audio.g711 import decode_mulaw, encode_mulaw
from callpipe.transports.bandwidth.emulator.caller import Caller
from callpipe.transports.bandwidth.emulator.line import Line
from callpipe.transports.bandwidth.emulator.report import CallReport, CarrierEvent
from callpipe.transports.bandwidth.emulator.script import parse_script
from callpipe.transports.virtual_time import run_virtual

from .conftest import basic, silent_bot

if TYPE_CHECKING:
    from .conftest import BotSocket, Kit

HANG_UP_AFTER_A_SECOND = "steps: [{silence: {ms: 1000}}, hang_up]"
STAY = "steps: [{silence: {ms: 60000}}]"


def sounding(pcm: bytes) -> list[int]:
    return [position for position, sample in enumerate(array.array("h", pcm)) if sample]


def test_a_whole_call(kit: Kit) -> None:
    greeting = kit.tone(1_000)

    async def bot(socket: BotSocket) -> None:
        start = await socket.next()
        assert start["eventType"] == "start"
        socket.play(greeting)
        await socket.until_speech()
        await socket.until_silence()
        socket.play(kit.tone(500))
        await socket.until_closed()

    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, bot)
    script = (
        "steps: [{wait_for_bot: {quiet_ms: 500}}, {say: question}, {wait_for_bot: {quiet_ms: 500}}, hang_up]"
    )
    report = kit.place(server, script)

    assert server.events() == ["initiate", "mediaStreamStarted", "mediaStreamStopped", "disconnect"]
    assert server.webhooks[0].authorization == basic("bandwidth", "secret")
    assert server.webhook("disconnect").authorization == basic("bandwidth", "secret")
    assert server.webhook("disconnect").payload["cause"] == report.cause == "hangup"
    assert server.webhook("mediaStreamStopped").payload["cause"] == "closed"
    assert server.handshakes == [("wss://bot.example/media", {"Authorization": basic("u", "p")})]
    messages = [message for _, message in server.sockets[0].received]
    assert messages[0]["metadata"]["callId"] == report.call_id
    assert messages[-1]["eventType"] == "stop"

    assert report.ending.ended_by == "caller"
    assert report.protocol_errors == []
    assert [burst.heard_ms for burst in report.bursts] == [pytest.approx(1_000), pytest.approx(500)]
    assert report.first_audio_ms == pytest.approx(0)
    assert report.answer_ms == pytest.approx(0)
    assert decode_mulaw(encode_mulaw(greeting)) in report.heard
    assert report.gave_up is None
    assert [event.detail for event in report.named("bot quiet")] == ["after 1000 ms", "after 500 ms"]
    names = [event.name for event in report.events]
    assert [name for name in names if name.startswith(("bot", "caller"))] == [
        "bot speaks",
        "bot quiet",
        "caller says",
        "bot speaks",
        "bot quiet",
        "caller hangs up",
    ]


def test_the_server_gets_every_packet_when_it_is_due_and_what_the_caller_said(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, silent_bot)
    report = kit.place(server, "steps: [{silence: {ms: 100}}, {say: abcd}, {silence: {ms: 100}}, hang_up]")
    media = server.sockets[0].media()
    assert [at for at, _ in media] == [pytest.approx(0.02 * (n + 1)) for n in range(20)]
    assert [message["sequenceNumber"] for _, message in media] == [str(n + 1) for n in range(20)]
    payload = b"".join(base64.b64decode(message["payload"]) for _, message in media)
    assert decode_mulaw(payload) == report.said
    assert len(report.heard) == len(report.said) == 400 * 16
    assert sounding(report.said) == list(range(800, 2_400))


def test_webhooks_tell_when_they_were_sent_by_the_calls_clock(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, silent_bot)
    report = kit.place(server, HANG_UP_AFTER_A_SECOND)
    times = {
        name: datetime.fromisoformat(server.webhook("disconnect").payload[name]).timestamp()
        for name in ("startTime", "answerTime", "eventTime", "endTime")
    }
    assert times["answerTime"] == times["startTime"]
    assert times["eventTime"] == times["endTime"] == pytest.approx(times["startTime"] + 1.02, abs=0.03)
    assert report.worst_packet_ms == pytest.approx(0, abs=1)


def test_what_the_caller_heard_of_an_answer_they_cut_into(kit: Kit) -> None:
    async def bot(socket: BotSocket) -> None:
        await socket.next()
        socket.play(kit.tone(5_000, 24_000), 24_000)
        await socket.until_speech()
        await asyncio.sleep(0.05)
        socket.clear()
        await socket.until_closed()

    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, bot)
    report = kit.place(server, "steps: [{cut_in: {after_ms: 1200, say: stop}}, hang_up]")
    (cut,) = report.cuts
    # The caller decides at 1200 ms, their first packet is complete 20 ms later, the bot takes 50 ms.
    assert cut.heard_ms == pytest.approx(1_270, abs=0.2)
    assert cut.heard_ms + cut.dropped_ms == pytest.approx(5_000)
    assert sounding(report.heard)[-1] / 8 == pytest.approx(1_270, abs=0.2)
    assert report.named("cut")[0].detail == "1270 ms heard, 3730 ms dropped"


@pytest.mark.parametrize(("one_way_ms", "prebuffer_ms"), [(0, 0), (80, 0), (150, 60)])
def test_a_line_delays_both_directions(kit: Kit, one_way_ms: float, prebuffer_ms: float) -> None:
    async def bot(socket: BotSocket) -> None:
        await socket.next()
        socket.play(kit.tone(40))
        await socket.until_closed()

    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, bot)
    line = Line(one_way_ms=one_way_ms, prebuffer_ms=prebuffer_ms)
    report = kit.place(server, HANG_UP_AFTER_A_SECOND, line)
    assert report.first_audio_ms == pytest.approx(2 * one_way_ms + prebuffer_ms, abs=0.2)
    assert server.sockets[0].media()[0][0] == pytest.approx(0.02 + one_way_ms / 1000)


def test_jitter_bunches_packets_but_loses_and_swaps_none(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, silent_bot)
    kit.place(server, HANG_UP_AFTER_A_SECOND, Line(jitter_ms=30, seed=5))
    media = server.sockets[0].media()
    assert [int(message["sequenceNumber"]) for _, message in media] == list(range(1, 51))
    delays = [at - 0.02 * (n + 1) for n, (at, _) in enumerate(media)]
    assert min(delays) >= -1e-9
    assert 0.02 < max(delays) <= 0.03


def test_lost_packets_are_gaps_in_the_sequence(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, silent_bot)
    kit.place(server, "steps: [{silence: {ms: 20000}}, hang_up]", Line(loss=0.1, seed=1))
    numbers = [int(message["sequenceNumber"]) for _, message in server.sockets[0].media()]
    assert 800 < len(numbers) < 970
    assert numbers == sorted(set(numbers))
    assert all(
        at >= number * 0.02 - 1e-6
        for at, number in zip((at for at, _ in server.sockets[0].media()), numbers, strict=True)
    )


@pytest.mark.parametrize("drift_ppm", [-100, 100])
def test_the_carriers_clock_drifts(kit: Kit, drift_ppm: float) -> None:
    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, silent_bot)
    report = kit.place(server, "steps: [{silence: {ms: 200000}}, hang_up]", Line(drift_ppm=drift_ppm))
    at, last = server.sockets[0].media()[-1]
    assert last["sequenceNumber"] == "10000"
    assert at == pytest.approx(200 / (1 + drift_ppm / 1e6), abs=1e-6)
    assert len(report.heard) == len(report.said)


def test_when_the_bot_closes_its_stream_the_next_verbs_run(kit: Kit) -> None:
    async def bot(socket: BotSocket) -> None:
        await socket.next()
        socket.play(kit.tone(2_000))
        await asyncio.sleep(0.5)

    server = kit.server(
        {
            "/initiate": kit.bxml(
                "<Tag>blue</Tag>",
                kit.stream_and_wait,
                '<Redirect redirectUrl="continue?n=2" username="u2" password="p2"/>',
                "<SpeakSentence>never</SpeakSentence>",
            ),
            "/continue": kit.bxml(
                "<SpeakSentence>Twenty characters, ok</SpeakSentence>", "<Pause duration='2'/>"
            ),
        },
        bot,
    )
    report = kit.place(server, STAY, announcer=kit.voice())
    assert report.ending.ended_by == "bot"
    redirect = server.webhook("redirect")
    assert (redirect.authorization, redirect.payload["tag"]) == (basic("u2", "p2"), "blue")
    assert server.webhook("mediaStreamStarted").authorization is None
    # What the bot had not been heard with when it closed the stream is lost.
    assert [burst.heard_ms for burst in report.bursts] == [pytest.approx(500), pytest.approx(21 * 50)]
    assert report.cuts == []
    assert report.named("unheard")[0].detail == "1500 ms when the stream ended"
    assert [event.words for event in report.named("carrier speaks")] == ["Twenty characters, ok"]
    assert report.ended_at == pytest.approx(0.5 + 21 * 0.05 + 2, abs=0.05)
    verbs = [event.detail for event in report.named("verb")]
    assert verbs == [
        "Tag", "StartStream one", "StopStream one, waiting", "Redirect", "SpeakSentence", "Pause 2 s",
        "Hangup at the document's end",
    ]  # fmt: skip


def test_without_an_announcer_sentences_are_silence_of_their_length(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml("<SpeakSentence>0123456789</SpeakSentence>")})
    report = kit.place(server, STAY)
    assert report.ended_at - report.started_at == pytest.approx(0.6, abs=0.05)
    assert not any(report.heard)


def test_bad_bxml_ends_the_call(kit: Kit) -> None:
    server = kit.server({"/initiate": "<Response><Nonsense/></Response>"})
    report = kit.place(server, STAY)
    assert report.cause == server.webhook("disconnect").payload["cause"] == "invalid-bxml"


def test_redirects_without_end_end_the_call(kit: Kit) -> None:
    documents = {"/initiate": kit.bxml('<Redirect redirectUrl="/initiate"/>')}
    report = kit.place(kit.server(documents), STAY)
    assert report.cause == "application-error"


def test_a_call_lasts_no_longer_than_the_carrier_allows(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, silent_bot)
    report = kit.place(server, STAY, max_call_s=3.0)
    assert report.ending.ended_by == "carrier"
    assert len(server.sockets[0].media()) in (149, 150)


def test_a_caller_who_is_not_answered_gives_up(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, silent_bot)
    report = kit.place(server, "steps: [{wait_for_bot: {deadline_s: 2}}, {say: x}]")
    assert report.gave_up == "step 1, wait_for_bot"
    assert report.ending.ended_by == "caller"


def test_everything_is_shown_at_once_and_nothing_said_is_in_a_repr(kit: Kit) -> None:
    async def main() -> tuple[CallReport, list[CarrierEvent]]:
        server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, silent_bot)
        seen: list[CarrierEvent] = []
        caller = Caller(parse_script("steps: [{say: confidential}, hang_up]"), kit.voice())
        report = await server.carrier().place_call(caller, from_="+15555550123", on_event=seen.append)
        return report, seen

    report, seen = run_virtual(main())
    assert seen == report.events
    assert report.named("caller says")[0].words == "confidential"
    assert "confidential" not in repr(report)
    assert "+1555555" not in repr(report)


def test_a_cancelled_call_closes_its_socket(kit: Kit) -> None:
    async def main() -> int:
        closed = asyncio.get_running_loop().create_future()

        async def bot(socket: BotSocket) -> None:
            closed.set_result(await socket.until_closed())

        server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, bot)
        call = asyncio.create_task(server.carrier().place_call(Caller(parse_script(STAY))))
        await asyncio.sleep(2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len(asyncio.all_tasks()) <= 2
        return await asyncio.wait_for(closed, 5)

    assert run_virtual(main()) == 1000


def test_many_calls_at_once_do_not_touch_each_other(kit: Kit) -> None:
    async def main() -> list[CallReport]:
        lengths_ms = iter(range(10, 210, 10))

        async def bot(socket: BotSocket) -> None:
            socket.play(kit.tone(next(lengths_ms)))
            await socket.until_closed()

        server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, bot)
        carrier = server.carrier()
        caller = Caller(parse_script(HANG_UP_AFTER_A_SECOND))
        return await asyncio.gather(*(carrier.place_call(caller) for _ in range(20)))

    reports = run_virtual(main())
    assert len({report.call_id for report in reports}) == 20
    heard_ms = sorted(round(burst.heard_ms) for report in reports for burst in report.bursts)
    assert heard_ms == list(range(10, 210, 10))
