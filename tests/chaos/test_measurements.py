"""The measurements find what is wrong, and run."""

import asyncio
import json
import random
import subprocess
import sys
import wave
from collections import Counter
from pathlib import Path

import pytest
from callers import CallResult
from chaos import Outcome, Plan, findings
from records import Record, Records
from scenarios import CALLER, FALLBACK, GOODBYE, conversation, ending_of
from share import Outcome as Shared
from share import Plan as SharePlan
from share import findings as share_findings
from soak import Held
from soak import Outcome as Soaked
from soak import Plan as SoakPlan
from soak import findings as soak_findings

from callpipe.transports.bandwidth.emulator import CallReport, CarrierEvent, Ending

RIGHT = CallResult("c-1", "drilled", GOODBYE, media_from=10.0, media_until=20.0)


def broken(result: CallResult, record: Record | None) -> list[str]:
    """Return the promises that one call with such a record breaks."""
    records = {} if record is None else {result.call_id: record}
    return [each.what for each in findings(Plan(1.0), Outcome([result], records)).promises if not each.kept]


def test_a_call_as_it_should_be_keeps_all_promises() -> None:
    assert broken(RIGHT, Record(1, True, 10.09)) == []


@pytest.mark.parametrize(
    ("result", "record", "promise"),
    [
        (CallResult("c-1", "drilled", "ended by the carrier"), Record(1, True, None), "calls lost"),
        (RIGHT, Record(0, True, 10.0), "records without an end"),
        (RIGHT, Record(2, True, 10.0), "records without an end"),
        (RIGHT, Record(1, False, 10.0), "records without an end"),
        (RIGHT, Record(1, True, 9.89), "recordings more than 100 ms off"),
        (
            CallResult("c-1", "drilled", GOODBYE, protocol_errors=["answered differently"]),
            Record(1, True, None),
            "protocol errors",
        ),
    ],
)
def test_what_is_wrong_with_a_call_breaks_a_promise(result: CallResult, record: Record, promise: str) -> None:
    assert broken(result, record) == [promise]


def test_a_call_without_records_breaks_promises() -> None:
    assert broken(RIGHT, None) == ["records without an end", "recordings more than 100 ms off"]
    unreadable = Record(1, True, None, "no RIFF")
    assert broken(RIGHT, unreadable) == ["recordings that don't open", "recordings more than 100 ms off"]


def test_no_call_at_all_keeps_no_promise() -> None:
    assert not findings(Plan(1.0), Outcome()).kept


def test_records_are_read_from_what_calls_left(tmp_path: Path) -> None:
    folder = tmp_path / "calls" / "c-1"
    folder.mkdir(parents=True)
    ended = {"t": 1.0, "time": "", "event": "call_ended", "reason": "hangup"}
    (folder / "journal.jsonl").write_text(json.dumps(ended) + "\n")
    with wave.open(str(folder / "recording.wav"), "wb") as file:
        file.setparams((2, 2, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(4 * 4_000))
    assert Records(tmp_path).all() == {"c-1": Record(1, False, 0.5)}
    (folder / "recording.wav").write_bytes(b"noise")
    assert Records(tmp_path).all()["c-1"].broken


def ended(by: str, *events: CarrierEvent, cause: str = "hangup", gave_up: str | None = None) -> CallReport:
    return CallReport("c-1", 0.0, Ending(cause, by), events=list(events), gave_up=gave_up)


def test_how_a_call_ended_is_told_by_what_the_caller_saw() -> None:
    goodbye = CarrierEvent(1.0, "caller says", "", "goodbye")
    apology = CarrierEvent(2.0, "carrier speaks", "", "Sorry.")
    assert ending_of(ended("bot", goodbye)) == GOODBYE
    assert ending_of(ended("bot", goodbye, apology)) == FALLBACK
    assert ending_of(ended("bot")) == "the bot hung up before the goodbye"
    assert ending_of(ended("caller", goodbye)) == "ended by the caller"
    assert ending_of(ended("caller"), caller_leaves=True) == CALLER
    assert ending_of(ended("bot", goodbye, gave_up="step 3")) == "the caller gave up at step 3"
    assert ending_of(ended("carrier", cause="callback-error")).startswith("callback-error")


def test_a_conversation_is_a_script() -> None:
    steps = conversation(random.Random(1), "fact123", rounds=2).steps
    assert len(steps) > len(conversation(random.Random(1), "fact123").steps)


def test_a_runner_that_keeps_more_breaks_a_promise() -> None:
    calls = Counter({CALLER: 10})
    before = Held(1, 100 * 2**20, 20, 20)
    plan = SoakPlan(10, 5)
    assert soak_findings(plan, Soaked(before, Held(1, 105 * 2**20, 21, 21), calls, 1.0)).kept
    for after in (Held(1, 106 * 2**20, 20, 20), Held(1, 0, 22, 20), Held(1, 0, 20, 22), Held(2, 0, 0, 0)):
        assert not soak_findings(plan, Soaked(before, after, calls, 1.0)).kept
    assert not soak_findings(plan, Soaked(before, before, Counter({CALLER: 9}), 1.0)).kept


def test_a_server_that_takes_more_than_its_share_breaks_a_promise() -> None:
    well = Counter({GOODBYE: 1})
    assert share_findings(SharePlan(), Shared({"server": 5.0, "runners": 95.0}, well, 1.0)).kept
    assert not share_findings(SharePlan(), Shared({"server": 5.1, "runners": 94.9}, well, 1.0)).kept
    assert not share_findings(SharePlan(), Shared({"server": 1.0, "runners": 99.0}, Counter(lost=1), 1.0)).kept


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "words",
    [
        ("chaos.py", "--minutes", "0.5", "--calls", "3", "--workers", "1", "--every", "10", "--seed", "1"),
        ("soak.py", "--calls", "60", "--warm-up", "30", "--at-a-time", "3"),
        ("share.py", "--calls", "3", "--seconds", "30", "--workers", "1"),
    ],
)
async def test_a_measurement_runs(words: tuple[str, ...], tmp_path: Path) -> None:
    script, *options = words
    found = tmp_path / "found.json"
    run = [sys.executable, str(Path(__file__).with_name(script)), *options, "--json", str(found)]
    done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, check=False)
    told = json.loads(await asyncio.to_thread(found.read_text))
    assert done.returncode == (0 if told["kept"] else 1)
    lost = [each for each in told["promises"] if each["what"].startswith("calls ")]
    assert lost
    assert all(each["kept"] for each in lost), done.stdout + done.stderr
