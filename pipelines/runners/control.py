"""How `callpipe reload` reaches a running supervisor: a socket in the file system, for its owner alone."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from callpipe.processors.disk import open_private, write_all
from callpipe.transports.errors import CallpipeError, Fault

from ..errors import PipelinesError

DEADLINE_S = 90.0
"""How long a supervisor may take to answer: a bot is loaded meanwhile."""

Reload = Callable[[str], Awaitable[str]]


class NoSupervisorError(PipelinesError):
    """Nothing serves with this data directory."""

    fault = Fault.OPERATOR


class ReloadError(PipelinesError):
    """A bot was not reloaded; it goes on as it was."""

    fault = Fault.BOT_AUTHOR


@asynccontextmanager
async def controlled(folder: Path, data_dir: Path, reload: Reload) -> AsyncGenerator[None]:
    """Answer requests to reload bots, in this context.

    Args:
        folder: Where the socket is made.
        data_dir: Where it is told where the socket is.
        reload: Reloads a bot, and returns its version.
    """
    path = folder / "control"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                name = (await reader.readline()).decode(errors="replace").strip()
                told = {"version": await reload(name)}
        except CallpipeError as failure:
            told = {"error": str(failure)}
        except TimeoutError:
            told = {"error": "it took too long"}
        writer.write(json.dumps(told).encode() + b"\n")
        writer.close()

    server = await asyncio.start_unix_server(answer, str(path))
    await asyncio.to_thread(_tell_where, data_dir / "supervisor", path)
    try:
        yield
    finally:
        server.close()
        await asyncio.to_thread((data_dir / "supervisor").unlink, missing_ok=True)


async def ask_to_reload(data_dir: Path, name: str) -> str:
    """Have the supervisor that serves with a data directory reload a bot; return its version.

    Raises:
        NoSupervisorError: There is none.
        ReloadError: The bot is not known there, or can't be loaded.
    """
    try:
        path = await asyncio.to_thread((data_dir / "supervisor").read_text)
        reader, writer = await asyncio.open_unix_connection(path.strip())
    except OSError:
        explanation = f"nothing serves with the data directory {data_dir}; is CALLPIPE_DATA_DIR the same here?"
        raise NoSupervisorError(explanation) from None
    writer.write(name.encode() + b"\n")
    try:
        async with asyncio.timeout(DEADLINE_S):
            told = json.loads(await reader.readline())
    except (OSError, ValueError):  # too late, dead meanwhile, or nonsense
        raise ReloadError("the supervisor did not answer") from None
    finally:
        writer.close()
    if "error" in told:
        raise ReloadError(told["error"])
    return told["version"]


def _tell_where(note: Path, path: Path) -> None:
    descriptor = open_private(note, os.O_WRONLY | os.O_TRUNC)
    try:
        write_all(descriptor, str(path).encode())
    finally:
        os.close(descriptor)
