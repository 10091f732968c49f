"""What goes wrong with a carrier on demand: webhooks, media sockets, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from callpipe.transports.bandwidth.emulator import (
    BreakStream,
    CarrierDelays,
    CarrierFaults,
    DelayWebhook,
    DoubleWebhook,
    LoseWebhook,
)

from .conftest import silent_bot

if TYPE_CHECKING:
    from .conftest import BotSocket, Kit

STAY = "steps: [{silence: {ms: 60000}}]"
SHORT = "steps: [{silence: {ms: 4000}}, hang_up]"
TWO_STREAMS = (
    '<StartStream name="{0}" mode="bidirectional" destination="wss://bot.example/media" streamEventUrl="/s"/>'
    '<StopStream name="{0}" wait="true"/>{1}'
)


def two_streams(kit: Kit) -> dict[str, object]:
    """Documents of a call whose second media stream follows its first."""
    return {
        "/initiate": kit.bxml(TWO_STREAMS.format("one", '<Redirect redirectUrl="/continue"/>')),
        "/continue": kit.bxml(TWO_STREAMS.format("two", "")),
    }


def test_a_lost_webhook_is_never_seen_and_the_carrier_waits_for_it_in_vain(kit: Kit) -> None:
    documents = {
        "/initiate": kit.bxml('<Redirect redirectUrl="/c" redirectFallbackUrl="/f"/>'),
        "/f": kit.bxml("<Pause/>"),
    }
    server = kit.server(documents)
    report = kit.place(server, STAY, faults=CarrierFaults([LoseWebhook(event_type="redirect", times=1)]))
    assert [webhook.path for webhook in server.webhooks] == ["/initiate", "/f", "/status"]
    assert report.ended_at - report.started_at == pytest.approx(16.0, abs=0.01), "15 s, and the Pause"


def test_an_event_that_is_lost_is_not_sent_again_for_nobody_knows(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml("<Pause/>")})
    kit.place(server, STAY, faults=CarrierFaults([LoseWebhook(event_type="disconnect")]))
    assert server.events() == ["initiate"]


def test_a_doubled_webhook_is_answered_twice_and_should_be_alike(kit: Kit) -> None:
    answers = iter(["<Response><Pause/></Response>", "<Response/>"])

    async def fickle() -> str:
        return next(answers)

    faults = CarrierFaults([DoubleWebhook(event_type="initiate")])
    report = kit.place(kit.server({"/initiate": fickle}), STAY, faults=faults)
    assert report.protocol_errors == ["the initiate webhook, asked twice, was answered differently"]
    assert [event.detail for event in report.named("verb")] == ["Pause 1 s", "Hangup at the document's end"]
    constant = kit.server({"/initiate": kit.bxml("<Pause/>")})
    assert kit.place(constant, STAY, faults=CarrierFaults([DoubleWebhook()])).protocol_errors == []
    assert constant.events() == ["initiate", "initiate", "disconnect", "disconnect"]


def test_a_late_webhook_arrives_late(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml("<Pause/>")})
    faults = CarrierFaults([DelayWebhook(event_type="initiate", late_ms=2_500)])
    assert kit.place(server, STAY, faults=faults).answer_ms == pytest.approx(2_500)


def test_chance_is_repeatable_and_about_as_likely_as_asked() -> None:
    def hits(seed: int) -> list[bool]:
        faults = CarrierFaults([LoseWebhook(probability=0.3)], seed=seed)
        return [bool(faults.hitting("redirect")) for _ in range(1_000)]

    assert hits(1) == hits(1) != hits(2)
    assert 250 < sum(hits(1)) < 350


def test_a_carrier_takes_no_time_unless_it_is_some_way_off() -> None:
    here, away = CarrierDelays(), CarrierDelays.realistic()
    assert (here.notice_close_ms, here.webhook_ms, here.connect_ms) == (0, 0, 0)
    assert min(away.notice_close_ms, away.webhook_ms, away.connect_ms) >= 100
    assert max(away.notice_close_ms, away.webhook_ms, away.connect_ms) <= 300


def test_a_fault_strikes_each_webhook_and_any_stream_unless_it_says_which() -> None:
    faults = CarrierFaults([LoseWebhook(), BreakStream(1.0)])
    assert [len(faults.hitting("redirect")) for _ in range(100)] == [1] * 100
    broken = faults.breaking("two")
    assert broken == BreakStream(1.0, None, abruptly=True)
    assert faults.breaking("two") is None


def test_faults_may_be_added_while_calls_go_on() -> None:
    faults = CarrierFaults()
    assert faults.hitting("redirect") == []
    lost = LoseWebhook(event_type="redirect", times=2)
    faults.add(lost)
    assert faults.hitting("initiate") == []
    assert [faults.hitting("redirect") for _ in range(3)] == [[lost], [lost], []]


@pytest.mark.parametrize(("abruptly", "code"), [(True, 1006), (False, 1001)])
def test_a_media_socket_breaks_without_a_stop(kit: Kit, abruptly: bool, code: int) -> None:
    codes: list[int] = []

    async def bot(socket: BotSocket) -> None:
        codes.append(await socket.until_closed())

    server = kit.server(two_streams(kit), bot)
    report = kit.place(server, SHORT, faults=CarrierFaults([BreakStream(1.0, abruptly=abruptly)]))
    assert codes[0] == code
    assert "stop" not in [message["eventType"] for _, message in server.sockets[0].received]
    stopped = server.webhook("mediaStreamStopped").payload
    assert stopped["cause"] == ("connection-error" if abruptly else "closed")
    assert len(report.streams_started_at) == 2
    assert report.streams_lost_at == ([pytest.approx(report.started_at + 1.0)] if abruptly else [])
    assert report.protocol_errors == []


def test_a_carrier_takes_its_time_when_it_is_told_to(kit: Kit) -> None:
    async def bot(socket: BotSocket) -> None:
        await socket.next()
        if len(server.sockets) == 1:
            socket.play(kit.tone(5_000))
            await socket.until_speech()
        else:
            socket.play(kit.tone(300))
            await socket.until_closed()

    server = kit.server(two_streams(kit), bot)
    script = "steps: [{silence: {ms: 2000}}, {say: a}, {silence: {ms: 2000}}, hang_up]"
    report = kit.place(server, script, delays=CarrierDelays.realistic())
    first, second = report.streams_started_at
    assert report.answer_ms == pytest.approx(150)
    assert report.answered_at is not None
    assert first - report.answered_at == pytest.approx(0.2, abs=0.001)
    closed_at = first + 2.0 - 0.2 + 0.02  # the caller speaks two seconds after the answer
    assert second - closed_at == pytest.approx(0.2 + 0.15 + 0.2, abs=0.021)
    assert report.bursts[0].heard_ms == pytest.approx(2_020, abs=21), "it plays on until it notices"


def test_how_long_the_caller_heard_nothing_after_a_loss(kit: Kit) -> None:
    async def bot(socket: BotSocket) -> None:
        await socket.next()
        if len(server.sockets) == 1:
            socket.play(kit.tone(10_000))
        else:
            await socket.until_speech()
            socket.play(kit.tone(500))
        await socket.until_closed()

    server = kit.server(two_streams(kit), bot)
    script = "steps: [{silence: {ms: 4000}}, {say: abc}, {silence: {ms: 4000}}, hang_up]"
    faults = CarrierFaults([BreakStream(1.5)])
    report = kit.place(server, script, faults=faults, delays=CarrierDelays(notice_close_ms=200))
    (resumption,) = report.resumptions
    assert report.answered_at is not None
    assert resumption.lost_at == pytest.approx(report.answered_at + 1.5)
    assert resumption.silent_from == pytest.approx(report.answered_at + 1.7, abs=0.021)
    assert resumption.heard_at == pytest.approx(report.answered_at + 4.02, abs=0.021)
    assert resumption.silence_ms == pytest.approx(2_320, abs=25)
    longest = report.longest_silence_ms()
    assert longest == pytest.approx(8_160 - 4_520, abs=45), "after the last words"
    assert report.longest_silence_ms(until=report.answered_at + 4.5) == pytest.approx(2_300, abs=45)


def test_a_caller_who_never_hears_anything_again(kit: Kit) -> None:
    server = kit.server(two_streams(kit), silent_bot)
    report = kit.place(server, SHORT, faults=CarrierFaults([BreakStream(1.0)]))
    (resumption,) = report.resumptions
    assert (resumption.heard_at, resumption.silence_ms) == (None, None)
    assert report.longest_silence_ms() == pytest.approx(4_000, abs=21)


def test_a_caller_whose_bot_is_cut_off_waits_for_it_to_go_on(kit: Kit) -> None:
    async def bot(socket: BotSocket) -> None:
        await socket.next()
        if len(server.sockets) == 1:
            socket.play(kit.tone(10_000))
        else:
            await socket.until_packets(100)
            socket.play(kit.tone(1_000))
        await socket.until_closed()

    server = kit.server(two_streams(kit), bot)
    script = "steps: [{wait_for_bot: {quiet_ms: 700}}, {say: question}, hang_up]"
    report = kit.place(server, script, faults=CarrierFaults([BreakStream(1.5)]))
    names = [event.name for event in report.events if event.name.startswith(("bot", "caller", "stream l"))]
    assert names == [
        "bot speaks", "stream lost", "caller waits", "bot quiet",
        "bot speaks", "bot quiet", "caller says", "caller hangs up",
    ]  # fmt: skip
    assert report.gave_up is None


def test_a_call_whose_first_document_comes_from_the_fallback_url(kit: Kit) -> None:
    server = kit.server({"/initiate": httpx.ConnectError("refused"), "/spare": kit.bxml("<Pause/>")})
    report = kit.place(server, STAY, initiate_fallback_url="https://other.example/spare")
    assert [webhook.path for webhook in server.webhooks] == ["/initiate", "/spare", "/status"]
    assert report.cause == "hangup"
