"""The parent of all: holds the sockets, starts the server and the runners, and starts anew what dies.

It does nothing else, so that it has nothing to die of.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from loguru import logger

from callpipe.transports.errors import Fault

from ..errors import BotLoadError, PipelinesError
from ..settings import Settings
from ..spawned import Spawned
from .children import WARM, BotFile, Child, Expected, RunnerChild, ServerChild, start_runner, start_server
from .control import controlled

WARM_DEADLINE_S = 60.0
"""How long a bot may take to be loaded."""

FIRST_RETRY_S = 0.25
LAST_RETRY_S = 30.0
"""A process that dies before it was of use is started anew after this, doubled each time up to the last."""

USEFUL_S = 5.0
"""A process that lived this long was of use."""

STOP_DEADLINE_S = 15.0
"""How long what was told to stop may take, beyond the time that calls have to end."""


class BotRefusedError(PipelinesError):
    """A runner's process says, in a sentence, why its bot can't be used."""

    fault = Fault.BOT_AUTHOR


@dataclass(eq=False)
class _Place:
    """One bot's runners.

    Attributes:
        bot_file: What they load.
        revision: The load of it that runs.
        name: The bot's name, when it is known.
        failures: How often in a row a runner died before it was of use.
    """

    bot_file: BotFile
    revision: int = 1
    name: str = ""
    failures: int = 0
    runners: list[RunnerChild] = field(default_factory=list[RunnerChild])


class Supervisor:
    """Runs a server and its runners.

    Args:
        bot_files: The bots.
        settings: The operator's settings.
        listener: Where the carrier connects.
    """

    def __init__(self, bot_files: Sequence[BotFile], settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._places = [_Place(bot_file) for bot_file in bot_files]
        self._folder = Path(tempfile.mkdtemp(prefix="callpipe-"))
        self._runners = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server: ServerChild | None = None
        self._spare: ServerChild | None = None
        self._server_failures = 0
        self._stopping = asyncio.Event()
        self._beside = Spawned()

    @property
    def socket_path(self) -> Path:
        """Where runners meet their server."""
        return self._folder / "runners"

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM says stop; a second one stops at once. SIGHUP reloads all bots.

        Raises:
            PipelinesError: No bot can be loaded, or two have one name.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._told_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._spawn_reloads)
        self._runners.bind(str(self.socket_path))
        self._runners.listen(256)
        try:
            await self._begin()
            async with controlled(self._folder, self._settings.data_dir, self.reload):
                await self._stopping.wait()
                await self._stop()
        finally:
            self._stopping.set()
            await self._end_all()
            self._runners.close()
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def reload(self, name: str) -> str:
        """Start runners with the bot file as it is now; new calls go to them, old ones end where they are.

        Returns:
            The version that new calls get.

        Raises:
            PipelinesError: No bot has this name, or the file can't be used; then nothing has changed.
        """
        place = next((each for each in self._places if each.name == name), None)
        if place is None:
            known = ", ".join(each.name for each in self._places if each.name)
            raise PipelinesError(f"no bot is called {name!r} here; there are: {known}")
        warm = await self._warm(place, place.revision + 1)
        place.revision += 1
        self._fill(place)
        return warm.partition(" ")[2]

    # Beginning.

    async def _begin(self) -> None:
        self._spare = await self._start_server()
        refused = [failure for failure in await asyncio.gather(*map(self._first, self._places)) if failure]
        loaded = [place for place in self._places if place.name]
        for number, place in enumerate(loaded):
            if place.name in [other.name for other in loaded[:number]]:
                raise BotLoadError(place.bot_file.path, None, f"another bot is called {place.name!r} too")
        if not loaded:
            raise refused[0]
        for failure in refused:
            logger.error("{}", failure)
        public = self._settings.serving().public_url
        for place in loaded:
            self._fill(place)
            logger.info("{} answers at {}/bandwidth/{}/initiate", place.name, public, place.name)
        await self._let_begin()

    async def _first(self, place: _Place) -> PipelinesError | None:
        try:
            warm = await self._warm(place, place.revision)
        except PipelinesError as failure:
            return failure
        place.name = warm.partition(" ")[0]
        return None

    async def _warm(self, place: _Place, revision: int) -> str:
        """Start a runner and wait until it has loaded its bot; return what it says.

        Raises:
            PipelinesError: It can't.
        """
        runner = await self._start_runner(place, revision)
        path = place.bot_file.path
        try:
            line = await asyncio.wait_for(asyncio.shield(runner.warm), WARM_DEADLINE_S)
        except TimeoutError:
            runner.signal(signal.SIGKILL)
            raise BotLoadError(path, None, f"loading takes longer than {WARM_DEADLINE_S:g} s") from None
        outcome, _, told = line.partition(" ")
        if outcome != WARM:
            raise BotRefusedError(told) if told else BotLoadError(path, None, "the process that loaded it died")
        return told

    async def _let_begin(self) -> None:
        """Let the spare server begin, and start the next spare."""
        self._server, self._spare = self._spare, None
        if self._server is None:
            self._server = await self._start_server()
        warm = tuple(each.process.pid for place in self._places for each in place.runners if each.is_warm)
        self._server.begin(Expected(warm, tuple(place.name for place in self._places if place.name)))
        self._spare = await self._start_server()

    def _fill(self, place: _Place) -> None:
        """Start what is missing of a bot's runners: those that take calls, and one that is kept warm."""
        alive = [each for each in place.runners if each.is_alive and each.revision == place.revision]
        for _ in range(place.bot_file.workers + 1 - len(alive)):
            self._beside.begin(self._start_another(place))

    async def _start_another(self, place: _Place) -> None:
        await self._start_runner(place, place.revision)

    async def _start_runner(self, place: _Place, revision: int) -> RunnerChild:
        runner = await start_runner(place.bot_file, revision, self.socket_path)
        place.runners.append(runner)
        self._beside.begin(self._follow_runner(place, runner))
        return runner

    async def _start_server(self) -> ServerChild:
        server = await start_server(self._listener.fileno(), self._runners.fileno())
        self._beside.begin(self._follow_server(server))
        return server

    # What dies.

    async def _follow_runner(self, place: _Place, runner: RunnerChild) -> None:
        await runner.process.wait()
        with suppress(ValueError):
            place.runners.remove(runner)
        if self._stopping.is_set() or runner.revision != place.revision:
            return
        place.failures = 0 if self._useful(runner) else place.failures + 1
        alive = sum(each.is_alive and each.revision == place.revision for each in place.runners)
        if alive > place.bot_file.workers:
            return
        await asyncio.sleep(_pause_s(place.failures))
        if place.name:
            self._fill(place)
        elif await self._first(place) is None:
            logger.info("{} can be loaded by now", place.name)
            self._fill(place)

    async def _follow_server(self, server: ServerChild) -> None:
        await server.process.wait()
        if self._stopping.is_set():
            return
        self._server_failures = 0 if self._useful(server) else self._server_failures + 1
        await asyncio.sleep(_pause_s(self._server_failures))
        if server is self._server:
            logger.error("the server's process {} is gone; the next one begins", server.process.pid)
            await self._let_begin()
        elif server is self._spare:
            self._spare = await self._start_server()

    def _useful(self, child: Child) -> bool:
        return asyncio.get_running_loop().time() - child.began_at >= USEFUL_S

    # Ending.

    def _told_to_stop(self) -> None:
        if self._stopping.is_set():
            self._kill_all()
        self._stopping.set()

    async def _stop(self) -> None:
        """Have the server wait for its calls; then stop what is left."""
        if self._spare is not None:
            self._spare.signal(signal.SIGKILL)
        if self._server is not None:
            self._server.signal(signal.SIGTERM)
            await _gone(self._server, self._settings.drain_s + STOP_DEADLINE_S)
        runners = [runner for place in self._places for runner in place.runners]
        for runner in runners:
            runner.signal(signal.SIGTERM)
        await asyncio.gather(*(_gone(runner, STOP_DEADLINE_S) for runner in runners))

    async def _end_all(self) -> None:
        """Kill what is left, and see it gone."""
        self._kill_all()
        await asyncio.gather(*(_gone(child, STOP_DEADLINE_S) for child in self._children()))
        self._beside.cancel()
        await self._beside.done(STOP_DEADLINE_S)

    def _kill_all(self) -> None:
        for child in self._children():
            if child.is_alive:
                child.signal(signal.SIGKILL)

    def _children(self) -> list[Child]:
        servers: list[Child] = [each for each in (self._server, self._spare) if each is not None]
        return [*servers, *(runner for place in self._places for runner in place.runners)]

    def _spawn_reloads(self) -> None:
        for place in self._places:
            self._beside.begin(self._reload_logged(place.name))

    async def _reload_logged(self, name: str) -> None:
        try:
            logger.info("{} is reloaded as {}", name, await self.reload(name))
        except PipelinesError as failure:
            logger.error("{} goes on as it is: {}", name, failure)


def _pause_s(failures: int) -> float:
    return 0.0 if failures == 0 else min(FIRST_RETRY_S * 2 ** (failures - 1), LAST_RETRY_S)


async def _gone(child: Child, deadline_s: float) -> None:
    """Wait until a process has exited, or the deadline has passed."""
    with suppress(TimeoutError):
        await asyncio.wait_for(child.process.wait(), deadline_s)


def inherited_listener() -> socket.socket | None:
    """Return the listening socket that systemd has opened for this process, if it has (sd_listen_fds(3))."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=3)
