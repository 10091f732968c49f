"""How a reload reaches the supervisor, and what is said when it does not."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callpipe.pipelines.errors import PipelinesError
from callpipe.pipelines.runners import control
from callpipe.pipelines.runners.control import NoSupervisorError, ReloadError, ask_to_reload, controlled


async def reload(name: str) -> str:
    if name == "slow":
        await asyncio.sleep(60)
    if name != "desk":
        raise PipelinesError(f"no bot is called {name!r} here")
    return "v2"


async def test_a_bot_is_reloaded_and_what_refuses_says_why(tmp_path: Path) -> None:
    async with controlled(tmp_path, tmp_path, reload):
        assert await ask_to_reload(tmp_path, "desk") == "v2"
        with pytest.raises(ReloadError, match="no bot is called 'door' here"):
            await ask_to_reload(tmp_path, "door")
        note = tmp_path / "supervisor"
        assert await asyncio.to_thread(lambda: note.stat().st_mode & 0o077) == 0
    with pytest.raises(NoSupervisorError, match="is CALLPIPE_DATA_DIR the same here"):
        await ask_to_reload(tmp_path, "desk")


async def test_a_bot_that_loads_for_too_long_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controlled(tmp_path, tmp_path, reload):
        monkeypatch.setattr(control, "DEADLINE_S", 0.05)
        asking = asyncio.create_task(ask_to_reload(tmp_path, "slow"))
        with pytest.raises(ReloadError, match=r"it took too long|the supervisor did not answer"):
            await asking
        assert await ask_to_reload(tmp_path, "desk") == "v2"


@asynccontextmanager
async def answering(folder: Path, answer: bytes) -> AsyncGenerator[None]:
    async def connected(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(connected, str(folder / "control"))
    await asyncio.to_thread((folder / "supervisor").write_text, str(folder / "control"))
    try:
        yield
    finally:
        server.close()


@pytest.mark.parametrize("answer", [b"", b"{\n", b"\xff\n"])
async def test_a_supervisor_that_dies_meanwhile_is_said_not_to_have_answered(
    answer: bytes, tmp_path: Path
) -> None:
    async with answering(tmp_path, answer):
        with pytest.raises(ReloadError, match="the supervisor did not answer"):
            await ask_to_reload(tmp_path, "desk")
