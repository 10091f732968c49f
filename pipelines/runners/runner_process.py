"""The process of a runner: loads one bot, says that it is warm, and serves."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import signal
import sys
from pathlib import Path

import uvloop

from callpipe.transports.errors import CallpipeError
from callpipe.transports.realtime.prices import use_prices

from ..loading import load_to_serve
from ..logs import log_to_stderr
from ..records.call_records import CallRecords
from ..server import settle_memory
from ..settings import load_settings
from ..waiting import until
from .children import REFUSED, WARM
from .runner import Runner


async def serve(runner: Runner, parent: int) -> None:
    """Serve until told to leave, or until the supervisor is gone and the last call has ended."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, runner.drain, 0.0)

    async def orphaned() -> None:
        await until(lambda: os.getppid() != parent, math.inf)
        runner.drain(ORPHANED_S)

    watching = asyncio.create_task(orphaned())
    await runner.run()
    watching.cancel()


ORPHANED_S = 3600.0
"""How long the calls of a runner whose supervisor died may go on."""


def main() -> None:
    """Load the bot, tell the supervisor in one line how that went, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bot", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--revision", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--warm", type=int, required=True)
    told = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        settings = load_settings()
        log_to_stderr("INFO", settings.log)
        bot = load_to_serve(told.bot, settings)
        use_prices(settings.prices)
        records = CallRecords(settings.data_dir)
    except CallpipeError as error:
        os.write(told.warm, f"{REFUSED} {error}\n".encode())
        sys.exit(1)
    settle_memory()

    async def run() -> None:
        runner = Runner(
            bot,
            settings,
            records,
            socket_path=told.socket,
            revision=told.revision,
            workers=told.workers,
        )
        os.write(told.warm, f"{WARM} {bot.name} {bot.version}\n".encode())
        os.close(told.warm)
        await serve(runner, told.parent)

    uvloop.run(run())


if __name__ == "__main__":
    main()
