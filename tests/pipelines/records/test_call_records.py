"""What is done with a call's files when it is over."""

import asyncio
import json
import wave
from pathlib import Path

import pytest

from callpipe.pipelines.bot_profile import BotProfile
from callpipe.pipelines.ongoing import OngoingCall
from callpipe.pipelines.parties import Parties
from callpipe.pipelines.records.call_index import CallIndex
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.processors.disk import shared_writer
from callpipe.processors.wav import StereoWavWriter

BEGAN = 1_800_000_000.0
STARTED, STOPPED, DIED = "media_started", "media_stopped", "runner_died"


CALL = OngoingCall("c-1", "desk", Parties(), 0.0)


def recorded(records: CallRecords, *events: tuple[str, float]) -> Path:
    """Leave a second of recording, and a journal with events at so many seconds of the call."""
    records.begin(BotProfile("desk", "v1", ()), CALL, recorded=True).close()
    assert shared_writer().wait(5.0)
    folder = records.folder("c-1")
    writer = StereoWavWriter(folder / "recording.wav", BEGAN)
    writer.write(0, bytes(4 * 8_000))
    writer.close()
    told = [
        {"t": after_s, "time": f"2027-01-15T08:00:{after_s:06.3f}+00:00", "event": event, "call_id": "c-1"}
        for event, after_s in events
    ]
    (folder / "journal.jsonl").write_text("".join(json.dumps(each) + "\n" for each in told))
    return folder


def length_s(path: Path) -> float:
    with wave.open(str(path)) as reading:
        return reading.getnframes() / 8_000


@pytest.mark.parametrize(
    ("events", "expected_s"),
    [
        ([(STARTED, 0.0), (DIED, 1.25), (DIED, 9.0)], 1.25),
        ([(STARTED, 0.0), (DIED, 1.25), (STARTED, 2.0), (STOPPED, 5.0), (DIED, 9.0)], 1.0),
        ([(STARTED, 0.0), (STOPPED, 5.0)], 1.0),
        ([(DIED, 5.0)], 1.0),
    ],
)
def test_a_recording_whose_writer_was_killed_lasts_as_long_as_its_stream(
    tmp_path: Path, events: list[tuple[str, float]], expected_s: float
) -> None:
    records = CallRecords(tmp_path)
    folder = recorded(records, *events)
    asyncio.run(records.sum_up(CALL, "hangup"))
    assert length_s(folder / "recording.wav") == expected_s


def test_a_call_that_was_not_recorded_gets_no_recording(tmp_path: Path) -> None:
    records = CallRecords(tmp_path)
    folder = recorded(records, (STARTED, 0.0), (DIED, 1.25))
    (folder / "recording.wav").unlink()
    asyncio.run(records.sum_up(CALL, "hangup"))
    assert not (folder / "recording.wav").exists()


@pytest.mark.parametrize(("told", "version"), [(True, "v1"), (False, "unknown")])
def test_a_call_whose_server_died_before_it_was_entered_is_entered_at_its_end(
    tmp_path: Path, told: bool, version: str
) -> None:
    records = CallRecords(tmp_path)
    journal = records.begin(BotProfile("desk", "v1", ()), CALL, recorded=True)
    assert shared_writer().wait(5.0)
    CallIndex(tmp_path / "calls.sqlite").forget("c-1")
    journal_file = records.folder("c-1") / "journal.jsonl"
    if not told:
        journal_file.write_text("")

    asyncio.run(records.end(CALL, journal, "hangup"))

    (row,) = records.today()
    assert (row.call_id, row.bot, row.bot_version, row.reason) == ("c-1", "desk", version, "hangup")
    assert row.ended_at is not None
    assert row.started_at <= row.ended_at
    assert (row.recording, row.journal) == (None, str(journal_file))


def test_a_note_is_in_the_journal_once_the_disk_has_done_what_it_was_asked(tmp_path: Path) -> None:
    records = CallRecords(tmp_path)
    records.begin(BotProfile("desk", "v1", ()), CALL, recorded=False).close()
    for number in range(20):
        records.note("c-1", "fallback_transfer", cause=f"cause {number}")
    records.note("c-2", "fallback_transfer", cause="of a call without a journal")

    assert shared_writer().wait(5.0)

    told = [json.loads(line) for line in (records.folder("c-1") / "journal.jsonl").read_text().splitlines()]
    assert [event.get("cause") for event in told] == [None, *(f"cause {number}" for number in range(20))]
    assert not records.folder("c-2").exists()
