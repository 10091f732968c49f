"""Calls that go on outlive the server's process: as they were, of this run of the machine, readable ones."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from callpipe.pipelines.bot_profile import BotProfile
from callpipe.pipelines.ongoing import Apologise, Generation, HangUp, OngoingCall
from callpipe.pipelines.ongoing_store import OngoingStore, boot_id
from callpipe.pipelines.parties import Parties


def call(call_id: str = "c-1") -> OngoingCall:
    generations = [Generation(1, 1.0, started=True, ended_at=9.0, intent=Apologise("x")), Generation(2, 10.0)]
    return OngoingCall(
        call_id, "a", Parties("+15550001111", "", "inbound"), 1.0, generations, {"initiate.1": "<é/>"}
    )


@asynccontextmanager
async def opened(path: Path, boot: str = "this boot") -> AsyncGenerator[OngoingStore]:
    store = await asyncio.to_thread(OngoingStore, path, boot=lambda: boot)
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)


async def loaded(path: Path, boot: str = "this boot") -> list[OngoingCall]:
    async with opened(path, boot) as store:
        return await asyncio.to_thread(lambda: list(store.load()))


async def test_a_call_comes_back_as_it_was_saved_last(tmp_path: Path) -> None:
    path = tmp_path / "ongoing.sqlite"
    saved = call()
    async with opened(path) as store:
        await store.save(saved)
        saved.current.wants(HangUp())
        saved.over = "hangup"
        await store.save(saved)
        await store.save(call("c-2"))
        await store.forget("c-2")
        await store.forget("never there")
    assert await loaded(path) == [saved]
    assert (await asyncio.to_thread(path.stat)).st_mode & 0o777 == 0o600


async def test_calls_of_another_run_of_the_machine_are_over(tmp_path: Path) -> None:
    path = tmp_path / "ongoing.sqlite"
    async with opened(path, "an earlier boot") as store:
        await store.save(call())
    assert await loaded(path) == []
    assert await loaded(path, "an earlier boot") == [], "they are forgotten, not skipped"


async def test_a_row_that_can_not_be_read_takes_no_other_with_it(tmp_path: Path, logged: list[str]) -> None:
    path = tmp_path / "ongoing.sqlite"
    async with opened(path) as store:
        for number in range(4):
            await store.save(call(f"c-{number}"))

    def spoil() -> None:
        database = sqlite3.connect(path)
        with database:
            database.execute("UPDATE ongoing SET call = ? WHERE call_id = 'c-1'", ("{",))
            database.execute(
                "UPDATE ongoing SET call = ? WHERE call_id = 'c-2'", ('{"call_id": "+15550001111"}',)
            )
        database.close()

    await asyncio.to_thread(spoil)
    assert [each.call_id for each in await loaded(path)] == ["c-0", "c-3"]
    assert [message.split()[2] for message in logged] == ["c-1:", "c-2:"]
    assert "555" not in "".join(logged)


async def test_bots_are_remembered_beyond_the_boot(tmp_path: Path) -> None:
    path = tmp_path / "ongoing.sqlite"
    async with opened(path) as store:
        await store.remember(BotProfile("a", "v1", ()))
        await store.remember(BotProfile("a", "v2", (), 3))
    async with opened(path, "the next boot") as store:
        assert await asyncio.to_thread(lambda: list(store.bots())) == [BotProfile("a", "v2", (), 3)]


async def test_a_disk_that_takes_nothing_is_told_and_the_answer_goes_out(
    tmp_path: Path, logged: list[str]
) -> None:
    path = tmp_path / "ongoing.sqlite"
    async with opened(path) as store:
        await store.save(call())

        def drop() -> None:
            database = sqlite3.connect(path)
            with database:
                database.execute("DROP TABLE ongoing")
            database.close()

        await asyncio.to_thread(drop)
        await store.save(call())
        await store.forget("c-1")
    assert len(logged) == 2
    assert all("its state can't be written" in message for message in logged)
    assert "555" not in "".join(logged)


async def test_a_file_that_others_hold_locked_holds_no_answer_up(tmp_path: Path, logged: list[str]) -> None:
    path = tmp_path / "ongoing.sqlite"
    async with opened(path) as store:
        locking = await asyncio.to_thread(sqlite3.connect, path, check_same_thread=False)
        await asyncio.to_thread(locking.execute, "BEGIN EXCLUSIVE")
        began = asyncio.get_running_loop().time()
        saved = call()
        await store.save(saved)
        assert asyncio.get_running_loop().time() - began < 3
        await asyncio.to_thread(locking.rollback)
        await asyncio.to_thread(locking.close)
    assert len(logged) == 1
    assert await loaded(path) == [saved], "what was late is written when the lock is gone"


def test_a_boot_has_one_name() -> None:
    assert boot_id() == boot_id() != ""
