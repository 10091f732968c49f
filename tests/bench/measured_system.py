"""A measured system: its own process on a core of its own, and what it costs."""

import asyncio
import contextlib
import importlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
from calls import Dialled

SYSTEMS = Path(__file__).parent / "systems"
START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 5.0
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class System:
    """Something that is measured.

    Attributes:
        name: What the table calls it.
        script: Its file in `systems/`.
        variant: What it is told to be.
        guess: Calls a core might carry: where the search begins.
    """

    name: str
    script: str
    variant: str = ""
    guess: int = 400


class Running:
    """A system's process.

    Attributes:
        started_s: How long it took to answer on its port.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int, started_s: float) -> None:
        self._process = process
        self.port = port
        self.started_s = started_s

    def cpu_s(self) -> float:
        """Return the CPU time of the process so far, all its threads'."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND

    def resident_mb(self) -> float:
        """Return its memory (RSS)."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * PAGE_BYTES / 1e6

    async def allocations(self, seconds: float) -> int:
        """Return how often the process allocates memory in a time, however long the memory lives."""
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        with tempfile.TemporaryDirectory() as folder:
            counted = Path(folder) / "allocations"
            pipe_in.write(f"{counted}\n".encode())
            await asyncio.sleep(seconds)
            pipe_in.write(b"\n")
            await pipe_out.readline()
            memray: Any = importlib.import_module("memray")  # untyped, and only installed by `make bench`
            reader = await asyncio.to_thread(memray.FileReader, counted)
            return reader.metadata.total_allocations

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_DEADLINE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def start(system: System, model_url: str, core: int, folder: str, environment: dict[str, str]) -> Running:
    """Start a system on a core, with a folder for what it writes, and wait until it answers.

    Raises:
        TimeoutError: It does not.
        RuntimeError: It ended.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SYSTEMS / system.script),
        "--port", str(port), "--model", model_url, "--variant", system.variant,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "LOGURU_AUTOINIT": "0", **environment},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )  # fmt: skip
    async with asyncio.timeout(START_DEADLINE_S):
        while not await _answers(port):
            if process.returncode is not None:
                raise RuntimeError(f"{system.name} ended with {process.returncode} before it answered")
            await asyncio.sleep(0.01)
    return Running(process, port, time.monotonic() - began)


def everybodys_cpu_s(cores: Sequence[int]) -> float:
    """Return the CPU time of all processes on some cores so far, but for niced ones, which give way."""
    # user, nice, system, idle, iowait, irq, softirq: the idle ones are no work.
    return sum(ticks[0] + ticks[2] for ticks in _ticks(cores)) / TICKS_A_SECOND


def stolen_s(cores: Sequence[int]) -> float:
    """Return how long other guests of the host have kept some cores so far, while there was work for them."""
    return sum(ticks[7] for ticks in _ticks(cores)) / TICKS_A_SECOND


def _ticks(cores: Sequence[int]) -> list[list[int]]:
    lines = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    counted = {line[0]: line[1:] for line in lines if line and line[0].startswith("cpu")}
    return [[int(ticks) for ticks in counted[f"cpu{core}"]] for core in cores]


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


Dial = Callable[[int], Awaitable[Dialled]]
"""Asks a system for a call's media socket."""


def plain_dial(port: int) -> Dial:
    """Dial a system that lets any media socket in."""

    async def dial(number: int) -> Dialled:
        del number
        return Dialled(f"ws://127.0.0.1:{port}/media")

    return dial


def webhook_dial(port: int, http: httpx.AsyncClient) -> Dial:
    """Dial callpipe: its webhook answers with the BXML that opens the media stream."""
    url = f"http://127.0.0.1:{port}/bandwidth/bench"
    auth = httpx.BasicAuth("carrier", "password")

    async def dial(number: int) -> Dialled:
        call = {
            "callId": f"bench{number}",
            "accountId": "9900000",
            "applicationId": "app",
            "direction": "inbound",
        }
        call |= {"from": "+15550001111", "to": "+15550002222", "eventTime": "2026-11-20T05:00:00Z"}
        answer = await http.post(f"{url}/initiate", json={**call, "eventType": "initiate"}, auth=auth)
        stream = ElementTree.fromstring(answer.text).find("StartStream")
        assert stream is not None, answer.text
        user, password = stream.attrib["destinationUsername"], stream.attrib["destinationPassword"]
        basic = next(httpx.BasicAuth(user, password).auth_flow(httpx.Request("GET", url)))
        headers = {"Authorization": basic.headers["Authorization"]}
        ended = {**call, "eventType": "disconnect", "cause": "hangup"}

        async def hang_up() -> object:
            return await http.post(f"{url}/disconnect", json=ended, auth=auth)

        return Dialled(stream.attrib["destination"], headers, stream.attrib["name"], hang_up)

    return dial
