"""What a supervisor does about processes that load for too long, die or are told to load anew."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from callpipe.pipelines.errors import PipelinesError
from callpipe.pipelines.runners import supervisor as module
from callpipe.pipelines.runners.children import WARM, BotFile, Expected, RunnerChild, ServerChild
from callpipe.pipelines.runners.control import ask_to_reload
from callpipe.pipelines.runners.supervisor import Supervisor
from callpipe.pipelines.settings import Settings

SETTINGS = Settings.model_validate({
    "public_url": "https://bots.example",
    "webhook_username": "carrier",
    "webhook_password": "long-enough",
    "openai_api_key": "k",
    "drain_s": 0.1,
})  # fmt: skip


Said = list[str | None]
"""What the runners of a bot say one after the other: None says nothing, an empty line that it has died."""


class Process:
    """A process that does nothing and dies of any signal."""

    pid = 4711

    def __init__(self) -> None:
        self.returncode: int | None = None
        self._gone = asyncio.Event()

    def exit(self, code: int) -> None:
        self.returncode = code
        self._gone.set()

    def send_signal(self, number: int) -> None:
        self.exit(-number)

    async def wait(self) -> int:
        await self._gone.wait()
        assert self.returncode is not None
        return self.returncode


class Server(ServerChild):
    """A server's process that notes whom it is to meet."""

    expected: Expected | None = None

    def begin(self, expected: Expected) -> None:
        self.expected = expected


class Children:
    """Starts processes that are none; each loading of a bot goes as was said, the last for all that follow."""

    def __init__(self, loading: dict[str, Said]) -> None:
        self.loading = loading
        self.runners: list[RunnerChild] = []
        self.servers: list[Server] = []

    async def start_runner(self, bot_file: BotFile, revision: int, _socket: Path) -> RunnerChild:
        loop = asyncio.get_running_loop()
        said = self.loading[bot_file.path.stem]
        line = said.pop(0) if len(said) > 1 else said[0]
        process = Process()
        warm: asyncio.Future[str] = loop.create_future()
        if line is not None:
            warm.set_result(line)
            if not line.startswith(WARM):
                process.exit(1)
        runner = RunnerChild(cast("asyncio.subprocess.Process", process), loop.time(), bot_file, revision, warm)
        self.runners.append(runner)
        return runner

    async def start_server(self, _listener: int, _runners: int) -> ServerChild:
        process = cast("asyncio.subprocess.Process", Process())
        server = Server(process, asyncio.get_running_loop().time())
        self.servers.append(server)
        return server

    @property
    def begun(self) -> list[Server]:
        """The servers that were let begin."""
        return [each for each in self.servers if each.expected is not None]

    def alive(self, name: str) -> list[RunnerChild]:
        return [each for each in self.runners if each.bot_file.path.stem == name and each.is_alive]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(module, "WARM_DEADLINE_S", 0.05)
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Running]:
    def run(**loading: Said) -> Running:
        children = Children(loading)
        monkeypatch.setattr(module, "start_runner", children.start_runner)
        monkeypatch.setattr(module, "start_server", children.start_server)
        settings = SETTINGS.model_copy(update={"data_dir": folder})
        return Running([BotFile(Path(f"{name}.py")) for name in loading], settings, children)

    return run


class Running:
    """A supervisor that runs until it is told to stop."""

    def __init__(self, bot_files: list[BotFile], settings: Settings, children: Children) -> None:
        self.children = children
        self._listener = socket.socket()
        self._supervisor = Supervisor(bot_files, settings, self._listener)

    async def __aenter__(self) -> Children:
        self._task = asyncio.create_task(self._supervisor.run())
        await eventually(lambda: self._task.done() or self.children.begun)
        if self._task.done():
            await self.__aexit__()
        return self.children

    async def __aexit__(self, *_: object) -> None:
        if not self._task.done():
            signal.raise_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._task, 20)
        finally:
            self._listener.close()
        assert not any(each.is_alive for each in (*self.children.runners, *self.children.servers))


async def eventually(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not happened():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, r"desk\.py: loading takes longer than 0\.05 s"),
        ("", r"desk\.py: the process that loaded it died"),
        ("refused desk.py:3: ZeroDivisionError", r"^desk\.py:3: ZeroDivisionError$"),
    ],
)
async def test_a_bot_that_can_not_be_loaded_is_refused_and_nothing_is_left(
    said: str | None, why: str, run: Callable[..., Running]
) -> None:
    running = await asyncio.to_thread(run, desk=[said])
    with pytest.raises(PipelinesError, match=why):
        async with running:
            pass
    assert running.children.runners


async def test_a_bot_that_could_not_be_loaded_is_tried_again_while_another_serves(
    run: Callable[..., Running], logged: list[str]
) -> None:
    async with await asyncio.to_thread(
        run, desk=["warm desk v1"], door=["refused no", "warm door v1"]
    ) as children:
        assert children.begun[0].expected is not None
        assert children.begun[0].expected.bots == ("desk",)
        await eventually(lambda: len(children.alive("door")) == 2)
        assert len(children.alive("desk")) == 2, "one takes calls, one is kept warm"
    assert "ERROR no" in "".join(logged)
    assert "door can be loaded by now" in "".join(logged)


async def test_a_runner_that_dies_again_and_again_is_started_anew(run: Callable[..., Running]) -> None:
    async with await asyncio.to_thread(run, desk=["warm desk v1"]) as children:
        for _ in range(3):
            await eventually(lambda: len(children.alive("desk")) == 2)
            for each in children.alive("desk"):
                each.signal(signal.SIGKILL)
        await eventually(lambda: len(children.alive("desk")) == 2)


async def test_a_server_that_dies_is_followed_by_the_spare_one_and_that_by_another(
    run: Callable[..., Running],
) -> None:
    async with await asyncio.to_thread(run, desk=["warm desk v1"]) as children:
        await eventually(lambda: len(children.servers) == 2)
        children.servers[0].signal(signal.SIGKILL)
        await eventually(lambda: len(children.begun) == 2)
        assert children.begun[1] is children.servers[1]
        await eventually(lambda: len(children.servers) == 3)
        children.servers[2].signal(signal.SIGKILL)
        await eventually(lambda: len(children.servers) == 4)
        assert len(children.begun) == 2, "a spare one that dies is replaced, and nothing else"


async def test_a_reload_is_of_the_bot_that_is_named_or_of_all_and_a_failed_one_changes_nothing(
    run: Callable[..., Running], folder: Path, logged: list[str]
) -> None:
    said: Said = ["warm desk v1", "warm desk v1", "warm desk v2", "warm desk v2", "refused desk.py:1: no"]
    async with await asyncio.to_thread(run, desk=said) as children:
        await eventually(lambda: len(children.alive("desk")) == 2)
        await eventually(lambda: len(children.servers) == 2)
        with pytest.raises(PipelinesError, match="no bot is called 'door' here; there are: desk"):
            await ask_to_reload(folder, "door")
        assert await ask_to_reload(folder, "desk") == "v2"
        await eventually(lambda: [each.revision for each in children.alive("desk")] == [1, 1, 2, 2])
        signal.raise_signal(signal.SIGHUP)
        await eventually(lambda: "desk goes on as it is: desk.py:1: no" in "".join(logged))
        assert [each.revision for each in children.alive("desk")] == [1, 1, 2, 2]
