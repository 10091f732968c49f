"""A caller whose bot can't talk to them gets a sentence, a person or a voicemail, as its author wished."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from callpipe.pipelines import (
    Bot,
    Call,
    LetRing,
    Parties,
    Pipeline,
    SaySentence,
    TransferTo,
    Voicemail,
    answers,
)
from callpipe.pipelines.bot_profile import BotProfile
from callpipe.pipelines.fallback import Step, chain
from callpipe.pipelines.ongoing import OngoingCall
from callpipe.pipelines.server import create_app
from callpipe.processors.disk import shared_writer
from callpipe.transports.bandwidth.emulator import (
    Caller,
    CallReport,
    Carrier,
    CarrierFaults,
    DoubleWebhook,
    TransferTarget,
    bxml_interpreter,
    parse_script,
    verbs,
)
from callpipe.transports.realtime.emulator import EmulatedEndpoint
from callpipe.transports.speech.tones import ToneVoice
from callpipe.transports.virtual_time import run_virtual

from .prepared_calls import SETTINGS, Desk, journal
from .virtual_call import Reciter

HUMAN = "+15555550123"
STEPS: tuple[Step, ...] = (
    SaySentence("I'll put you through <to> & colleague."),
    TransferTo(HUMAN, ring_s=20),
    Voicemail("Leave a message.", max_s=60, silence_s=4),
)


def broken_bot(**fallback: Any) -> Bot:
    bot = Bot("greeter", **fallback)

    @bot.pipeline
    def build(call: Call) -> Pipeline:  # pyright: ignore[reportUnusedFunction]
        raise RuntimeError("no luck")

    return bot


def kinds(document: str) -> list[str]:
    return [type(verb).__name__ for verb in bxml_interpreter.parse_bxml(document.encode())]


def test_without_a_server_the_whole_chain_is_one_document() -> None:
    said, transfer, prompt, record, end = bxml_interpreter.parse_bxml(answers.fallback(STEPS).encode())
    assert said == verbs.SpeakSentence("I'll put you through <to> & colleague.")
    assert transfer == verbs.Transfer((HUMAN,), call_timeout_s=20)
    assert prompt == verbs.SpeakSentence("Leave a message.")
    assert record == verbs.Record(60, 4)
    assert end == verbs.Hangup()


def test_with_one_the_carrier_asks_what_follows_a_transfer() -> None:
    told = answers.told_of(SETTINGS.serving(), "greeter", "fallback")
    _, transfer = bxml_interpreter.parse_bxml(answers.fallback(STEPS, told).encode())
    assert isinstance(transfer, verbs.Transfer)
    assert transfer.complete is not None
    assert transfer.complete.url == "https://bots.example/bandwidth/greeter/fallback/1"
    assert transfer.complete.credentials == verbs.Credentials("carrier", "long enough")
    assert kinds(answers.fallback(STEPS, told, first=2)) == ["SpeakSentence", "Record", "Hangup"]
    assert kinds(answers.fallback(STEPS, told, first=3)) == ["Hangup"]


def test_a_line_that_rings_first_is_not_answered() -> None:
    assert 'answerCall="false"' in answers.fallback(chain([LetRing(20), "Sorry."]))
    assert 'answerCall="true"' in answers.fallback(chain(["Sorry.", LetRing(20)]))


@pytest.mark.parametrize(
    ("wrong", "explanation"),
    [
        (lambda: chain([]), "at least one step"),
        (lambda: chain("  "), "characters"),
        (lambda: chain("a" * 3_000), "3000"),
        (lambda: chain("bell \x07"), "can't be spoken"),
        (lambda: TransferTo("555-0123"), r"\+15555550123"),
        (lambda: TransferTo("sip:a b"), "SIP"),
        (lambda: TransferTo(HUMAN, ring_s=0), "ring_s"),
        (lambda: LetRing(0), "duration_s"),
        (lambda: Voicemail(max_s=20_000), "max_s"),
        (lambda: Voicemail(prompt=""), "characters"),
        (lambda: Bot("greeter", fallback=[]), "at least one step"),
        (lambda: Bot("greeter", apology="\x00"), "can't be spoken"),
    ],
)
def test_what_can_not_be_done_is_refused_when_the_bot_is_written(wrong: Any, explanation: str) -> None:
    with pytest.raises(ValueError, match=explanation):
        wrong()


def test_a_bot_without_any_says_its_apology_and_a_caller_too_many_gets_the_same() -> None:
    plain = Bot("greeter", apology="Sorry.")
    assert plain.fallback == plain.busy == (SaySentence("Sorry."),)
    both = Bot("greeter", fallback=["Sorry.", Voicemail()], busy=[LetRing(20)])
    assert both.fallback == (SaySentence("Sorry."), Voicemail())
    assert both.profile.busy == (LetRing(20),)


def test_a_profile_crosses_to_another_process() -> None:
    profile = Bot("greeter", fallback=list(STEPS), busy=LetRing(20)).profile
    adapter = TypeAdapter(BotProfile)
    assert adapter.validate_json(adapter.dump_json(profile)) == profile
    assert HUMAN not in repr(profile)


def place(folder: Path, bot: Bot, script: str, *, draining: bool = False, **carrier: Any) -> CallReport:
    """Place a call to a server in virtual time, as far as webhooks go."""

    async def main() -> CallReport:
        desk = Desk(folder, bot, EmulatedEndpoint(lambda: Reciter(["Hello."])))
        if draining:
            desk.switchboard.drain()
        app = create_app(desk.switchboard, SETTINGS)
        placed = Carrier(
            initiate_url="https://bots.example/bandwidth/greeter/initiate",
            status_url="https://bots.example/bandwidth/greeter/disconnect",
            username="carrier",
            password="long enough",
            http=httpx.AsyncClient(transport=httpx.ASGITransport(app)),
            connect=desk.model.connect,
            run_blocking=_at_once,
            clock=desk.clock,
            **carrier,
        )
        report = await placed.place_call(Caller(parse_script(script), ToneVoice()))
        await desk.switchboard.close()
        return report

    report = run_virtual(main())
    assert shared_writer().wait(5)
    return report


async def _at_once(function: Any, /) -> Any:
    return function()


def events(folder: Path, report: CallReport) -> dict[str, dict[str, Any]]:
    return {event["event"]: event for event in journal(folder, report.call_id)}


def done(report: CallReport) -> Sequence[str]:
    return [event.detail.split()[0] for event in report.named("verb")]


def test_nobody_answers_so_a_voicemail_is_left_and_its_id_is_journaled(tmp_path: Path) -> None:
    script = "steps: [{silence: {ms: 26000}}, {say: MESSAGE}, {silence: {ms: 500}}, hang_up]"
    report = place(tmp_path, broken_bot(fallback=STEPS), script)
    assert done(report) == ["SpeakSentence", "Transfer", "SpeakSentence", "Record"]
    assert len(report.recorded) == 1
    told = events(tmp_path, report)
    assert told["fallback_transfer"]["cause"] == "timeout"
    assert told["voicemail"]["recording_id"].startswith("r-")
    assert told["voicemail"]["status"] == "complete"
    assert HUMAN not in str(told)
    assert report.protocol_errors == []


def test_whoever_has_talked_to_a_person_leaves_no_message(tmp_path: Path) -> None:
    report = place(
        tmp_path,
        broken_bot(fallback=STEPS),
        "steps: [{silence: {ms: 60000}}]",
        transfer_targets={HUMAN: TransferTarget(after_s=3, talks_s=10)},
    )
    assert done(report) == ["SpeakSentence", "Transfer", "Hangup"]
    assert report.ending.ended_by == "bot"
    assert events(tmp_path, report)["fallback_transfer"]["cause"] == "hangup"


def test_a_caller_who_is_silent_at_the_voicemail_is_let_go(tmp_path: Path) -> None:
    bot = broken_bot(fallback=[Voicemail("Leave a message.", silence_s=3)])
    report = place(tmp_path, bot, "steps: [{silence: {ms: 60000}}]")
    assert done(report) == ["SpeakSentence", "Record", "Hangup"]


def test_a_caller_too_many_gets_the_busy_chain(tmp_path: Path) -> None:
    bot = broken_bot(fallback=STEPS, busy=["All lines are busy.", LetRing(5)])
    report = place(tmp_path, bot, "steps: [{silence: {ms: 60000}}]", draining=True)
    assert done(report) == ["SpeakSentence", "Ring", "Hangup"]
    assert events(tmp_path, report)["apologised"]["reason"] == "stopping"


def test_a_step_that_is_told_of_twice_is_followed_by_the_same(tmp_path: Path) -> None:
    doubled = CarrierFaults([DoubleWebhook()])
    report = place(tmp_path, broken_bot(fallback=STEPS), "steps: [{silence: {ms: 60000}}]", faults=doubled)
    assert done(report) == ["SpeakSentence", "Transfer", "SpeakSentence", "Record", "Hangup"]
    assert report.protocol_errors == []


async def test_only_the_carrier_may_say_what_became_of_a_step(tmp_path: Path) -> None:
    desk = Desk(tmp_path, broken_bot(fallback=STEPS), EmulatedEndpoint(lambda: Reciter(["Hello."])))
    transport = httpx.ASGITransport(create_app(desk.switchboard, SETTINGS))
    told = {"eventType": "transferComplete", "accountId": "1", "callId": "c-1", "cause": "timeout"}
    async with httpx.AsyncClient(transport=transport, base_url="https://bots.example") as http:
        url = "/bandwidth/greeter/fallback/1"
        assert (await http.post(url, json=told, auth=("carrier", "wrong"))).status_code == 401
        right = ("carrier", "long enough")
        follows = await http.post(url, json=told, auth=right)
        assert kinds(follows.text) == ["SpeakSentence", "Record", "Hangup"]
        for wrong in ("fallback/-1", "fallback/x", "other/1"):
            answer = await http.post(f"/bandwidth/greeter/{wrong}", json=told, auth=right)
            assert answer.status_code == 422
    await desk.switchboard.close()
    assert not await asyncio.to_thread((tmp_path / "calls" / "c-1").exists), (
        "nothing is written of a call that is not there"
    )


def test_the_stream_names_the_document_on_another_host() -> None:
    settings = SETTINGS.model_copy(update={"fallback_url": "https://static.example/bots"})
    ongoing = OngoingCall("c-1", "greeter", Parties(), 0.0)
    document = answers.stream(settings.serving(), ongoing, ongoing.open_generation(0.0))
    *_, redirect = bxml_interpreter.parse_bxml(document.encode())
    assert isinstance(redirect, verbs.Redirect)
    assert redirect.fallback_url == "https://static.example/bots/greeter.xml"
    assert redirect.fallback_method == "GET"


def test_the_command_prints_what_to_put_there(tmp_path: Path) -> None:
    path = tmp_path / "desk.py"
    path.write_text(
        "from callpipe.pipelines import Bot, TransferTo, Voicemail\n"
        f"bot = Bot('desk', fallback=['One moment.', TransferTo('{HUMAN}'), Voicemail()])\n"
    )
    command = [str(Path(sys.executable).parent / "callpipe"), "fallback-bxml", str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert kinds(printed) == ["SpeakSentence", "Transfer", "SpeakSentence", "Record", "Hangup"]
