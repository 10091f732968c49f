"""A call's folder is one process's at a time, and a dead process has none."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from callpipe.pipelines.runners.ownership import CallTakenError, Ownership

HOLD = """
import asyncio, sys, time
from pathlib import Path
from callpipe.pipelines.runners.ownership import Ownership
asyncio.run(Ownership().take(Path(sys.argv[1])))
print("taken", flush=True)
time.sleep(60)
"""


async def other_process(folder: Path) -> asyncio.subprocess.Process:
    environment = {**os.environ, "LOGURU_AUTOINIT": "0"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(folder), stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"taken\n"
    return process


async def test_what_another_process_has_is_taken_when_it_dies(tmp_path: Path) -> None:
    folder = tmp_path / "c-1"
    other = await other_process(folder)
    owned = Ownership()
    try:
        with pytest.raises(CallTakenError, match="c-1"):
            await owned.take(folder, patience_s=0.1)
        taking = asyncio.create_task(owned.take(folder, patience_s=20))
        await asyncio.sleep(0.1)
        assert not taking.done()
        other.send_signal(signal.SIGKILL)
        await asyncio.wait_for(taking, 10)
    finally:
        if other.returncode is None:
            other.kill()
        await other.wait()
        owned.release(folder)


async def test_a_folder_let_go_is_anothers(tmp_path: Path) -> None:
    one, other = Ownership(), Ownership()
    await one.take(tmp_path / "c-1")
    await one.take(tmp_path / "c-1")
    with pytest.raises(CallTakenError):
        await other.take(tmp_path / "c-1", patience_s=0.05)
    await other.take(tmp_path / "c-2", patience_s=0.05)
    one.release(tmp_path / "c-1")
    await other.take(tmp_path / "c-1", patience_s=0.05)
    for folder in ("c-1", "c-2"):
        other.release(tmp_path / folder)
    one.release(tmp_path / "c-1")


async def test_the_journal_is_its_owners_alone(tmp_path: Path) -> None:
    owned = Ownership()
    await owned.take(tmp_path / "c-1")
    journal = await asyncio.to_thread((tmp_path / "c-1" / "journal.jsonl").stat)
    assert journal.st_mode & 0o777 == 0o600
    owned.release(tmp_path / "c-1")


async def test_a_disk_that_lets_nobody_write_is_an_os_error(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "file").write_text, "")
    with pytest.raises(OSError, match="file"):
        await Ownership().take(tmp_path / "file" / "c-1")
