"""Transfers, voicemail, and calls that the Voice API reaches into."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from callpipe.transports.audio.g711 import decode_mulaw, encode_mulaw
from callpipe.transports.bandwidth.emulator import (
    Caller,
    CallReport,
    Carrier,
    EmulatedVoiceApi,
    TransferTarget,
    parse_script,
)
from callpipe.transports.bandwidth.voice_api import VoiceApi
from callpipe.transports.virtual_time import run_virtual

from .conftest import basic, silent_bot

if TYPE_CHECKING:
    from .conftest import FakeServer, Kit

STAY = "steps: [{silence: {ms: 60000}}]"
HUMAN, DESK = "+15555550111", "sip:desk@a.example"
TRANSFER = (
    '<Transfer callTimeout="10" transferCompleteUrl="/done" username="u" password="p">'
    f"<PhoneNumber>{HUMAN}</PhoneNumber><SipUri>{DESK}</SipUri></Transfer>"
)


@pytest.mark.parametrize(
    ("targets", "cause", "lasted_s"),
    [
        ({HUMAN: TransferTarget()}, "hangup", 7),
        ({HUMAN: TransferTarget(after_s=3, talks_s=20)}, "hangup", 23),
        ({HUMAN: TransferTarget(after_s=4), DESK: TransferTarget(after_s=1, talks_s=2)}, "hangup", 3),
        ({HUMAN: TransferTarget(after_s=10, talks_s=1)}, "hangup", 11),
        ({HUMAN: TransferTarget(after_s=11)}, "timeout", 10),
        ({}, "timeout", 10),
        ({HUMAN: TransferTarget(1, "busy"), DESK: TransferTarget(2, "rejected")}, "rejected", 2),
        ({HUMAN: TransferTarget(1, "busy")}, "timeout", 10),
    ],
)
def test_a_transfer_rings_all_and_ends_as_the_first_who_answers(
    kit: Kit, targets: dict[str, TransferTarget], cause: str, lasted_s: float
) -> None:
    server = kit.server({"/initiate": kit.bxml(TRANSFER, "<Pause/>"), "/done": kit.bxml()})
    report = kit.place(server, STAY, transfer_targets=targets)
    told = server.webhook("transferComplete")
    assert (told.payload["cause"], told.authorization) == (cause, basic("u", "p"))
    assert report.ended_at - report.started_at == pytest.approx(lasted_s), "nothing runs after a complete URL"
    shown = " ".join(event.detail for event in report.events)
    assert HUMAN not in shown


def test_without_a_url_the_next_verb_runs_after_a_transfer(kit: Kit) -> None:
    transfer = f"<Transfer callTimeout='2'><PhoneNumber>{HUMAN}</PhoneNumber></Transfer><Ring duration='3'/>"
    report = kit.place(kit.server({"/initiate": kit.bxml(transfer)}), STAY)
    assert report.ended_at - report.started_at == pytest.approx(5)
    assert [event.detail for event in report.named("transfer")] == ["rings 1", "complete: timeout"]


RECORD = (
    '<Record maxDuration="20" silenceTimeout="2" recordCompleteUrl="/done" recordingAvailableUrl="/there"'
    ' username="u" password="p"/>'
)


def test_a_recording_ends_when_the_caller_falls_silent(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(RECORD), "/done": kit.bxml("<Hangup/>")})
    report = kit.place(server, "steps: [{silence: {ms: 1000}}, {say: a message}, {silence: {ms: 9000}}]")
    complete, available = server.webhook("recordComplete"), server.webhook("recordingAvailable")
    assert complete.payload["recordingId"] == available.payload["recordingId"]
    assert complete.payload["duration"] == "PT3.460S"
    assert (available.path, available.authorization) == ("/there", basic("u", "p"))
    assert decode_mulaw(encode_mulaw(kit.tone(450)))[:7_000] in report.recorded[0]
    assert report.ending.ended_by == "bot"


def test_a_recording_takes_no_longer_than_it_may(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml("<Record maxDuration='3'/>")})
    report = kit.place(server, STAY)
    assert report.ended_at - report.started_at == pytest.approx(3, abs=0.021)
    assert server.events() == ["initiate", "disconnect"]


def test_a_caller_who_hangs_up_leaves_a_recording_and_nobody_is_asked_what_follows(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(RECORD)})
    report = kit.place(server, "steps: [{say: message}, hang_up]")
    assert sorted(server.events()) == ["disconnect", "initiate", "recordingAvailable"]
    assert len(report.recorded) == 1


def test_a_file_is_noted_and_passed_over(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml("<PlayAudio>https://a.example/wait.wav</PlayAudio>")})
    report = kit.place(server, STAY)
    assert report.ended_at - report.started_at == pytest.approx(1)
    assert report.named("carrier plays")


class Reached:
    """A call that is reached into by the Voice API."""

    def __init__(self, server: FakeServer) -> None:
        clock = asyncio.get_running_loop().time
        emulated = EmulatedVoiceApi(account_id="5500001", client_id="us", client_secret="secret", clock=clock)
        self.voice_api = VoiceApi(
            account_id="5500001",
            client_id="us",
            client_secret="secret",
            voice_url="http://voice/api/v2",
            token_url="http://voice/api/v1/oauth2/token",
            clock=clock,
            http=httpx.AsyncClient(transport=httpx.ASGITransport(emulated.app)),
        )
        self.emulated = emulated
        self.carrier: Carrier = server.carrier(voice_api=emulated)

    async def call(self, kit: Kit, document: str, *, after_s: float, script: str = STAY) -> CallReport:
        """Place a call, and replace its document after some time."""
        placing = asyncio.create_task(self.carrier.place_call(Caller(parse_script(script), kit.voice())))
        await asyncio.sleep(after_s)
        (call_id,) = self.carrier.live
        await self.voice_api.replace_bxml(call_id, document, deadline_s=5)
        report = await placing
        assert self.carrier.live == {}
        assert self.emulated.calls[call_id].state == "disconnected"
        return report


def test_a_document_that_is_brought_interrupts_the_one_that_runs(kit: Kit) -> None:
    async def main() -> None:
        server = kit.server({"/initiate": kit.bxml("<Pause duration='50'/>", "<Hangup/>")})
        report = await Reached(server).call(kit, kit.bxml("<Pause duration='2'/>"), after_s=3)
        assert report.ended_at - report.started_at == pytest.approx(5, abs=0.01)
        assert report.ending.cause == "hangup"

    run_virtual(main())


def test_it_ends_the_wait_for_a_webhook_that_was_lost(kit: Kit) -> None:
    async def hang() -> str:
        await asyncio.sleep(14)
        return "<Response/>"

    async def main() -> None:
        server = kit.server({"/initiate": kit.bxml('<Redirect redirectUrl="/c"/>'), "/c": hang})
        report = await Reached(server).call(kit, kit.bxml(), after_s=1)
        assert report.ended_at - report.started_at == pytest.approx(1, abs=0.01)

    run_virtual(main())


def test_a_stream_goes_on_when_the_document_is_replaced(kit: Kit) -> None:
    async def main() -> None:
        server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, silent_bot)
        wait = kit.bxml('<Pause duration="4"/>')
        report = await Reached(server).call(kit, wait, after_s=1)
        await asyncio.gather(*server.bots)
        assert len(server.sockets[0].media()) == pytest.approx(250, abs=2)
        assert report.protocol_errors == []

    run_virtual(main())


def test_a_document_that_is_brought_and_is_none_ends_the_call(kit: Kit) -> None:
    async def main() -> None:
        server = kit.server({"/initiate": kit.bxml("<Pause duration='50'/>")})
        report = await Reached(server).call(kit, "<Nonsense/>", after_s=1)
        assert report.cause == "invalid-bxml"

    run_virtual(main())


async def reach(carrier: Carrier, kit: Kit, after_s: float) -> asyncio.Task[CallReport]:
    placing = asyncio.create_task(carrier.place_call(Caller(parse_script(STAY), kit.voice())))
    await asyncio.sleep(after_s)
    return placing


def test_a_call_is_sent_elsewhere_completed_or_broken_off_by_whoever_holds_the_carrier(kit: Kit) -> None:
    async def main() -> None:
        server = kit.server(
            {
                "/initiate": kit.bxml(kit.stream_and_wait, "<Pause duration='9'/>"),
                "/else": kit.bxml("<Pause/>"),
            },
            silent_bot,
        )
        carrier = server.carrier()
        placing = await reach(carrier, kit, 1)
        (live,) = carrier.live.values()
        await live.break_stream()
        await asyncio.sleep(1)
        live.redirect({"state": "active", "redirectUrl": "/else", "username": "u", "password": "p"})
        report = await placing
        assert report.ended_at - report.started_at == pytest.approx(3, abs=0.01)
        assert server.webhook("redirect").authorization == basic("u", "p")
        placing = await reach(carrier, kit, 1)
        (live,) = carrier.live.values()
        live.complete()
        report = await placing
        assert (report.cause, report.ending.ended_by) == ("hangup", "bot")
        await asyncio.gather(*server.bots)

    run_virtual(main())
