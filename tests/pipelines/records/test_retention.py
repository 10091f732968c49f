"""What is kept of calls goes after so many days: files and index rows, and nothing else."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from callpipe.pipelines.records.call_index import CallIndex, IndexVersionError
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.records.retention import SWEEP_INTERVAL_S, Swept, sweep, sweep_daily
from callpipe.transports.virtual_time import run_virtual

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


def keep(data: Path, call_id: str, days_old: float, *, row: bool = True, files: bool = True) -> Path:
    moment = NOW - timedelta(days=days_old)
    folder = CallRecords(data).folder(call_id)
    if files:
        folder.mkdir(parents=True)
        for name in ("recording.wav", "journal.jsonl", "transcript.txt"):
            (folder / name).write_text("kept")
        for path in (*folder.iterdir(), folder):
            os.utime(path, (moment.timestamp(), moment.timestamp()))
    if row:
        index = CallIndex(data / "calls.sqlite")
        index.started(call_id, bot="b", bot_version="v", direction="inbound", started_at=moment)
    return folder


def ids(data: Path) -> set[str]:
    return {call.call_id for call in CallIndex(data / "calls.sqlite").recent(100)}


def test_old_calls_go_with_their_files_and_rows(tmp_path: Path) -> None:
    old = keep(tmp_path, "c-old", 30.1)
    young = keep(tmp_path, "c-young", 29.9)
    odd = keep(tmp_path, "../../etc", 40)  # an id that is no file name
    assert sweep(tmp_path, 30, NOW) == Swept(2)
    assert (old.exists(), young.exists(), odd.exists()) == (False, True, False)
    assert ids(tmp_path) == {"c-young"}
    assert sweep(tmp_path, 30, NOW) == Swept(0)


def test_a_call_that_is_still_written_stays(tmp_path: Path) -> None:
    folder = keep(tmp_path, "c-long", 3)
    os.utime(folder / "journal.jsonl", (NOW.timestamp(), NOW.timestamp()))
    assert sweep(tmp_path, 1, NOW) == Swept(0)
    assert (folder / "recording.wav").exists()


def test_files_without_a_row_and_rows_without_files_go_too(tmp_path: Path) -> None:
    folder = keep(tmp_path, "c-1", 5, row=False)
    keep(tmp_path, "c-2", 5, files=False)
    assert sweep(tmp_path, 2, NOW) == Swept(2)
    assert not folder.exists()
    assert ids(tmp_path) == set()


def test_nothing_kept_is_nothing_swept_and_nothing_made(tmp_path: Path) -> None:
    assert sweep(tmp_path / "data", 1, NOW) == Swept(0)
    assert not (tmp_path / "data").exists()


def test_what_lies_outside_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("")
    data = tmp_path / "data"
    keep(data, "c-1", 5)
    (data / "calls" / "link").symlink_to(elsewhere)
    for path in (elsewhere / "precious", elsewhere):
        os.utime(path, (0, 0))
    swept = sweep(data, 2, NOW)
    assert swept.calls == 1
    assert (elsewhere / "precious").exists()


def test_what_can_not_be_deleted_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    folder = keep(tmp_path, "c-1", 5)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as context:
        context.setattr("shutil.rmtree", refuse)
        assert sweep(tmp_path, 2, NOW) == Swept(0, failed=1)
    assert ids(tmp_path) == {"c-1"}
    assert "Permission denied" in str(logged)
    assert sweep(tmp_path, 2, NOW) == Swept(1)
    assert not folder.exists()


def test_it_happens_at_once_and_daily_whatever_goes_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    times: list[float] = []

    async def scenario() -> None:
        clock = asyncio.get_running_loop().time

        async def at_once(work: object, *arguments: object) -> Swept:
            times.append(clock())
            if len(times) == 2:
                raise IndexVersionError(tmp_path, 7)
            return Swept(len(times) % 4)

        monkeypatch.setattr(asyncio, "to_thread", at_once)
        began = clock()
        sweeping = asyncio.create_task(sweep_daily(tmp_path, 30, lambda: NOW))
        await asyncio.sleep(3.5 * SWEEP_INTERVAL_S)
        sweeping.cancel()
        assert [time - began for time in times] == [day * SWEEP_INTERVAL_S for day in range(4)]

    run_virtual(scenario())
    assert [message.split(" ", 1)[1].strip() for message in logged if "older" in message] == [
        "1 calls older than 30 days are deleted",
        "3 calls older than 30 days are deleted",
    ]
    assert "schema version 7" in str(logged)
