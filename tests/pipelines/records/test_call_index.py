"""The index knows every call once, for all processes, and says so when it is too new."""

import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from callpipe.pipelines.errors import UnknownCallError
from callpipe.pipelines.records.call_index import CallIndex, IndexedCall, IndexVersionError
from callpipe.pipelines.records.journal import CallFigures

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIGURES = CallFigures(
    duration_s=61.5,
    answer_to_first_audio_ms=750.0,
    turns=4,
    tool_calls=2,
    barge_ins=(1_240.0, 300.0),
    response_ms=(400.0,),
    cost_usd=0.125,
    unpriced=(),
)


@pytest.fixture
def index(tmp_path: Path) -> CallIndex:
    return CallIndex(tmp_path / "data" / "calls.sqlite")


def start(index: CallIndex, call_id: str, started_at: datetime = NOON, bot: str = "clinic") -> None:
    index.started(call_id, bot=bot, bot_version="abc", direction="inbound", started_at=started_at)


def ids(calls: list[IndexedCall]) -> list[str]:
    return [call.call_id for call in calls]


def test_a_call_is_entered_at_its_start_and_completed_at_its_end(index: CallIndex, tmp_path: Path) -> None:
    index.started(
        "c-1",
        bot="clinic",
        bot_version="abc",
        direction="outbound",
        started_at=NOON.astimezone(timezone(timedelta(hours=2))),
        recording=tmp_path / "call.wav",
        journal=tmp_path / "journal.jsonl",
    )
    (running,) = index.recent()
    assert (running.ended_at, running.reason, running.turns) == (None, None, None)
    index.ended("c-1", ended_at=NOON + timedelta(seconds=61.5), reason="hangup", figures=FIGURES)
    assert index.recent() == [
        IndexedCall(
            call_id="c-1",
            bot="clinic",
            bot_version="abc",
            direction="outbound",
            started_at="2026-01-01T12:00:00.000+00:00",
            ended_at="2026-01-01T12:01:01.500+00:00",
            duration_s=61.5,
            reason="hangup",
            turns=4,
            tool_calls=2,
            barge_ins=2,
            cost_usd=0.125,
            recording=str(tmp_path / "call.wav"),
            journal=str(tmp_path / "journal.jsonl"),
            transcript=None,
        )
    ]


def test_a_later_generation_is_the_same_call(index: CallIndex) -> None:
    start(index, "c-1")
    start(index, "c-1", NOON + timedelta(seconds=9), bot="another")
    (call,) = index.recent()
    assert (call.bot, call.started_at) == ("clinic", "2026-01-01T12:00:00.000+00:00")


def test_the_latest_calls_come_first(index: CallIndex) -> None:
    for number in (2, 5, 1, 4, 3):
        start(index, f"c-{number}", NOON + timedelta(milliseconds=number))
    assert ids(index.recent(3)) == ["c-5", "c-4", "c-3"]


def test_calls_are_found_by_how_their_id_begins(index: CallIndex) -> None:
    for call_id in ("c-12", "c-123", "c-2", "C-12", "c_12", "%"):
        start(index, call_id)
    assert ids(index.find("c-12")) == ["c-12", "c-123"]
    assert ids(index.find("c_")) == ["c_12"]
    assert ids(index.find("%")) == ["%"]
    assert index.find("d") == []
    assert len(index.find("", limit=4)) == 4


def test_the_end_of_an_unknown_call_is_refused(index: CallIndex) -> None:
    with pytest.raises(UnknownCallError):
        index.ended("c-1", ended_at=NOON, reason="hangup", figures=FIGURES)
    assert index.recent() == []


def test_a_time_without_a_zone_is_refused(index: CallIndex) -> None:
    with pytest.raises(ValueError, match="time zone"):
        start(index, "c-1", datetime(2026, 1, 1))  # noqa: DTZ001  the point of this test
    assert index.recent() == []


def test_only_the_owner_may_read_it(index: CallIndex) -> None:
    start(index, "c-1")
    connection = sqlite3.connect(index.path)
    connection.execute("BEGIN IMMEDIATE")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in index.path.parent.iterdir()}
    connection.close()
    assert modes == {"calls.sqlite": 0o600, "calls.sqlite-wal": 0o600, "calls.sqlite-shm": 0o600}
    assert stat.S_IMODE(index.path.parent.stat().st_mode) == 0o700


def test_an_index_of_a_newer_callpipe_is_left_alone(index: CallIndex) -> None:
    start(index, "c-1")
    connection = sqlite3.connect(index.path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(IndexVersionError, match="schema version 7, and this callpipe knows 1") as refusal:
        index.recent()
    assert refusal.value.found == 7
    with pytest.raises(IndexVersionError):
        start(index, "c-2")


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from callpipe.pipelines.records.call_index import CallIndex
from callpipe.pipelines.records.journal import figures
index = CallIndex(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(100):
    call_id = f"{sys.argv[2]}-{number}"
    now = datetime.now(UTC)
    index.started(call_id, bot="b", bot_version="v", direction="inbound", started_at=now)
    index.ended(call_id, ended_at=now, reason="hangup", figures=figures([]))
"""


def test_processes_write_at_the_same_time_from_the_first_moment_on(index: CallIndex) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WRITER, str(index.path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    told = [writer.communicate(timeout=60)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], told
    assert len(index.recent(1_000)) == 200


@pytest.mark.parametrize("attempt", range(5))
def test_threads_may_make_the_index_at_the_same_time(index: CallIndex, attempt: int) -> None:
    del attempt

    def enter(number: int) -> None:
        start(index, f"c-{number}")

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(enter, range(64)))
    assert len(index.recent(100)) == 64
    assert [file.name for file in index.path.parent.iterdir()] == ["calls.sqlite"]
