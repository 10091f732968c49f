"""`callpipe serve` in processes of its own, an emulated model beside it, and carriers that call it."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from callpipe.transports.bandwidth.emulator import Carrier, CarrierDelays
from callpipe.transports.realtime.emulator import EmulatorSettings, FaultPlan, RealtimeEmulatorServer

from ..errors import PipelinesError
from ..waiting import until
from .brain import DrillBrain

MODEL = EmulatorSettings(connect_delay_ms=400, first_audio_delay_ms=500)
"""How the emulated model behaves in time."""

DRILLED_BOT = Path(__file__).with_name("drilled_bot.py")

READY_DEADLINE_S = 90.0
STOP_DEADLINE_S = 20.0

_USERNAME = "carrier"


class DrillError(PipelinesError):
    """A drill did not go as it should."""


@dataclass(frozen=True)
class Serving:
    """A running `callpipe serve`.

    Attributes:
        url: Where it answers.
        supervisor: Its first process.
        data_dir: Where it keeps its calls.
        model: The emulated model.
        username: The user of its webhooks.
        password: Their password.
    """

    url: str
    supervisor: asyncio.subprocess.Process
    data_dir: Path
    model: RealtimeEmulatorServer
    password: str
    username: str = _USERNAME

    def carrier(self, bot: str = "drilled", **changed: Any) -> Carrier:
        """Return a carrier that calls one of its bots, with realistic delays unless told otherwise."""
        webhooks = f"{self.url}/bandwidth/{bot}"
        given: dict[str, Any] = {"delays": CarrierDelays.realistic(), **changed}
        return Carrier(
            initiate_url=f"{webhooks}/initiate",
            status_url=f"{webhooks}/disconnect",
            username=self.username,
            password=self.password,
            **given,
        )

    def runner_of(self, call_id: str) -> int | None:
        """Return the process that has a call's journal open and is a runner; None when there is none."""
        journal = f"/calls/{call_id}/journal.jsonl"
        return next((pid for pid in self.runners() if _has_open(pid, journal)), None)

    def runners(self) -> list[int]:
        """Return the runners' processes."""
        return self._children("runner_process")

    def server(self) -> int | None:
        """Return the process that answers the carrier, not its spare."""
        return next((pid for pid in self.servers() if _has_open(pid, "/ongoing.sqlite")), None)

    def servers(self) -> list[int]:
        """Return the process that answers the carrier, and its spare."""
        return self._children("server_process")

    def _children(self, module: str) -> list[int]:
        return [pid for pid in _children(self.supervisor.pid) if module in _words(pid)]


@asynccontextmanager
async def serving(
    data_dir: Path,
    *,
    bots: Sequence[Path] = (DRILLED_BOT,),
    workers: int = 1,
    model_settings: EmulatorSettings = MODEL,
    model_faults: FaultPlan | None = None,
    log: Path | None = None,
    **environment: str,
) -> AsyncGenerator[Serving]:
    """Run `callpipe serve` for bots whose model is emulated here, until it is left.

    Args:
        data_dir: Where calls are kept.
        bots: The bot files.
        workers: The runners of each that take calls.
        model_settings: How the model behaves in time.
        model_faults: What happens to its sessions.
        log: Where the log messages go; nowhere when None.
        **environment: Further settings.

    Raises:
        DrillError: It does not answer in time.
    """
    key, password = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    words = [f"--workers={bot.stem}={workers}" for bot in bots]
    model = RealtimeEmulatorServer(
        DrillBrain, api_key=key, settings=model_settings, faults=model_faults, max_sessions=1_000
    )
    async with model:
        given = {
            **os.environ,
            "LOGURU_AUTOINIT": "0",
            "CALLPIPE_PUBLIC_URL": url,
            "CALLPIPE_WEBHOOK_USERNAME": _USERNAME,
            "CALLPIPE_WEBHOOK_PASSWORD": password,
            "CALLPIPE_DATA_DIR": str(data_dir),
            "CALLPIPE_RECORDING": "on",
            "OPENAI_API_KEY": key,
            "OPENAI_BASE_URL": model.url,
            **environment,
        }
        output = await asyncio.to_thread(lambda: (log or Path(os.devnull)).open("ab"))
        supervisor = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from callpipe.pipelines.command_line import main; main()",
            "serve",
            f"--port={port}",
            *words,
            *map(str, bots),
            env=given,
            stdout=output,
            stderr=output,
        )
        output.close()
        served = Serving(url, supervisor, data_dir, model, password)
        try:
            await _ready(served, len(bots) * (workers + 1))
            yield served
        finally:
            await _stop(supervisor)


async def _ready(served: Serving, runners: int) -> None:
    """Wait until the server answers and every runner is warm."""
    async with httpx.AsyncClient() as http:
        for _ in range(int(READY_DEADLINE_S * 10)):
            with suppress(httpx.TransportError):
                health = (await http.get(f"{served.url}/health")).json()
                if health.get("runners", 0) >= runners:
                    return
            if served.supervisor.returncode is not None:
                raise DrillError("callpipe serve has exited")
            await asyncio.sleep(0.1)
    raise DrillError(f"callpipe serve does not answer after {READY_DEADLINE_S:g} s")


async def _stop(supervisor: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            supervisor.send_signal(number)
        if await until(lambda: supervisor.returncode is not None, STOP_DEADLINE_S):
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _words(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


def _has_open(pid: int, path_end: str) -> bool:
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()).endswith(path_end):
                    return True
    return False
