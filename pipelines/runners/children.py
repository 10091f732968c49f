"""The processes that a supervisor starts: how each is begun, and how it says that it is there."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SettingsError

WARM = "warm"
REFUSED = "refused"
"""How a runner's first line begins: the bot's name and version follow, or why it can't be used."""

PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class BotFile:
    """A bot file and how many runners take its calls.

    Attributes:
        path: The file.
        workers: Runners that take calls; one more is kept warm.
    """

    path: Path
    workers: int = 1


def with_workers(paths: Sequence[Path], options: Sequence[str]) -> list[BotFile]:
    """Return bot files with the numbers of runners that options such as ``a=2`` give them.

    Args:
        paths: The files.
        options: Each a file, or its name without ``.py``, and a number.

    Raises:
        SettingsError: An option names no file of these, or gives no number.
    """
    numbers: dict[Path, int] = {}
    for option in options:
        name, _, number = option.partition("=")
        found = [path for path in paths if name in (str(path), path.name, path.stem)]
        if len(found) != 1 or not number.isdecimal() or int(number) < 1:
            names = ", ".join(f"{path.stem}=2" for path in paths)
            raise SettingsError(f"--workers has {option!r}; it takes a bot file and a number, such as {names}")
        numbers[found[0]] = int(number)
    return [BotFile(path, numbers.get(path, 1)) for path in paths]


@dataclass(eq=False)
class Child:
    """A process of this supervisor's.

    Attributes:
        process: The process.
        began_at: When it was started, the event loop's time.
    """

    process: Process
    began_at: float

    @property
    def is_alive(self) -> bool:
        """Whether it has not exited."""
        return self.process.returncode is None

    def signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


@dataclass(eq=False)
class RunnerChild(Child):
    """A runner's process.

    Attributes:
        bot_file: What it loads.
        revision: Which load of the file it is.
        warm: Its first line, see `WARM`; empty when it died before.
    """

    bot_file: BotFile
    revision: int
    warm: asyncio.Future[str] = field(repr=False)

    @property
    def is_warm(self) -> bool:
        """Whether it has loaded its bot and runs."""
        return self.is_alive and self.warm.done() and self.warm.result().startswith(WARM)


@dataclass(frozen=True, slots=True)
class Expected:
    """Whom a server that begins will meet.

    Attributes:
        runners: The process ids of the runners that are there.
        bots: The names of their bots.
    """

    runners: tuple[int, ...]
    bots: tuple[str, ...]

    def written(self) -> str:
        """Return it as a line."""
        return json.dumps({"runners": self.runners, "bots": self.bots})

    @classmethod
    def read(cls, line: str) -> Expected:
        """Return what a line says."""
        told = json.loads(line)
        return cls(tuple(told["runners"]), tuple(told["bots"]))


class ServerChild(Child):
    """A server's process: imports everything, and waits to be let begin."""

    def begin(self, expected: Expected) -> None:
        """Let it answer the carrier, and say who is there."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{expected.written()}\n".encode())
        self.process.stdin.close()


async def start_runner(bot_file: BotFile, revision: int, socket_path: Path) -> RunnerChild:
    """Start a runner's process."""
    reading, writing = os.pipe()
    arguments = {
        "--bot": bot_file.path,
        "--socket": socket_path,
        "--revision": revision,
        "--workers": bot_file.workers,
        "--parent": os.getpid(),
        "--warm": writing,
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    try:
        process = await _start("runner_process", words, descriptors=[writing])
    finally:
        os.close(writing)
    loop = asyncio.get_running_loop()
    warm = loop.create_future()
    loop.add_reader(reading, _first_line, reading, warm)
    return RunnerChild(process, loop.time(), bot_file, revision, warm)


async def start_server(listener: int, runners: int) -> ServerChild:
    """Start a server's process, which inherits the sockets where the carrier and the runners connect."""
    words = ["--listener", str(listener), "--runners", str(runners)]
    process = await _start("server_process", words, descriptors=[listener, runners])
    return ServerChild(process, asyncio.get_running_loop().time())


async def _start(module: str, words: Sequence[str], *, descriptors: Sequence[int]) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"{PACKAGE}.{module}",
        *words,
        stdin=asyncio.subprocess.PIPE,
        pass_fds=descriptors,
        start_new_session=True,  # a terminal's Ctrl-C is the supervisor's to act on
        env={"LOGURU_AUTOINIT": "0", **os.environ},
    )


def _first_line(reading: int, warm: asyncio.Future[str]) -> None:
    line = os.read(reading, 4096)
    asyncio.get_running_loop().remove_reader(reading)
    os.close(reading)
    if not warm.done():
        warm.set_result(line.decode(errors="replace").strip())
