"""The server's process: webhooks for every bot, and media sockets on their way to the runners.

It holds nothing that its successor could not find: calls are in the store, pipelines in the runners.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

import uvloop
from loguru import logger

from callpipe.transports.websocket_server import UpgradeRequest

from ..answers import takes_long
from ..bot_profile import BotProfile
from ..exchange import Exchange
from ..logs import log_to_stderr
from ..ongoing import OngoingCall
from ..ongoing_store import OngoingStore
from ..records.call_records import CallRecords
from ..records.retention import sweep_daily
from ..server import Server, settle_memory
from ..settings import Settings, load_settings
from ..spending import ended_today_usd
from ..waiting import until
from .children import Expected
from .fleet import Fleet
from .hand_over import handing_over

ATTACH_DEADLINE_S = 1.5
"""How long a new server waits for the runners that are there before it answers webhooks."""

ORPHANED_S = 60.0
"""A call without a runner, of which the carrier says nothing for so long, is over.

A webhook that is not answered in time, and then its fallback, take 30 s.
"""


class FleetExchange(Exchange):
    """An exchange whose bots run in processes of their own.

    Args:
        fleet: The runner processes.
        settings: The operator's settings.
        records: Where calls are written down.
        store: Keeps the calls beyond this process.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        fleet: Fleet,
        settings: Settings,
        records: CallRecords,
        store: OngoingStore,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(fleet, settings, records, store=store, clock=clock)
        self._fleet = fleet
        self._kept = store

    def socket_protocol(self) -> Callable[..., asyncio.BaseProtocol]:
        """Return what hands media sockets on."""
        return handing_over(self._hand_over)

    def recalls(self, call_id: str) -> OngoingCall | None:
        """Return a call that goes on. See `Switching`."""
        connected = self.find(call_id)
        return None if connected is None else connected.ongoing

    def runner_lost(self, bot: BotProfile) -> None:
        """A runner of a bot is gone that was to stay. See `Switching`."""
        self.metrics.runner_died(bot.name)

    async def bot_came(self, bot: BotProfile) -> None:
        """A runner of a bot is there. See `Switching`."""
        await self._kept.remember(bot)

    async def attached(self, runners: Sequence[int]) -> None:
        """Take in the runners that are there, and see to the calls of those that are gone or hung.

        Args:
            runners: Their process ids. One that takes long is not waited for: its calls are its own meanwhile.
        """
        self._fleet.start(self)
        taking_up = self.beside.begin(self._take_up(runners))
        await asyncio.wait({taking_up}, timeout=ATTACH_DEADLINE_S)

    async def _take_up(self, runners: Sequence[int]) -> None:
        await self._fleet.gather(runners)
        for ongoing in self.ongoing:
            generation = ongoing.generations[-1] if ongoing.generations else None
            if generation is None or not generation.started or self._fleet.holds(ongoing.call_id):
                continue
            if generation.ended_at is None:
                await self.runner_died(ongoing.call_id, generation.number, alone=False)
            else:  # the carrier has not asked yet, and may have to be told
                await self.generation_ended(ongoing.call_id, generation.number, "ended before")
        await self.close_records()

    async def end_orphans(self, orphaned_s: float = ORPHANED_S) -> None:
        """End the calls of which nothing has been heard for too long, until cancelled.

        The webhook that tells of a call's end may be lost, and its records are to be closed all the same.

        Args:
            orphaned_s: After how long.
        """
        quiet: dict[str, tuple[int, float]] = {}
        while True:
            await asyncio.sleep(orphaned_s / 10)
            now = self._clock()
            alone = {
                call.call_id: len(call.answers)
                for call in self.ongoing
                if not self._fleet.holds(call.call_id) and not any(map(takes_long, call.answers.values()))
            }
            quiet = {
                call_id: (asked, quiet[call_id][1] if quiet.get(call_id, (-1, 0))[0] == asked else now)
                for call_id, asked in alone.items()
            }
            for call_id, (_, since) in quiet.items():
                if now - since > orphaned_s:
                    logger.warning("call {}: nobody has told of its end", call_id)
                    await self.disconnected(call_id, "never disconnected")

    async def drained(self, deadline_s: float) -> None:
        """Refuse new calls; wait until those that go on have ended, or the deadline has passed."""
        self.drain()
        await until(lambda: not self.calls, deadline_s)
        self.stop_resuming()
        self._fleet.drain(0.0)
        await until(lambda: not self.calls, GOODBYE_S)

    def _hand_over(self, request: UpgradeRequest, descriptor: int, received: bytes) -> HTTPStatus | None:
        admitted = self.admit(request)
        if isinstance(admitted, HTTPStatus):
            return admitted
        return self._fleet.hand_over(*admitted, descriptor, received)


GOODBYE_S = 5.0
"""How long callers hear an apology when the server stops before their call has ended."""


async def serve(
    settings: Settings, listener: socket.socket, runners: socket.socket, expected: Expected
) -> None:
    """Answer until a signal says stop, then drain.

    Args:
        settings: The operator's settings.
        listener: Where the carrier connects.
        runners: Where runners connect.
        expected: Who is to connect there.
    """
    records = CallRecords(settings.data_dir)
    store = OngoingStore(settings.data_dir / "ongoing.sqlite")
    spent = functools.partial(ended_today_usd, records) if settings.day_budget_usd is not None else None
    known = {bot.name: bot for bot in store.bots()}
    fleet = Fleet(runners, settings, known=known, bots=expected.bots, ended_today_usd=spent)
    exchange = FleetExchange(fleet, settings, records, store)
    await exchange.attached(expected.runners)
    server = Server(exchange, settings, listener)
    await server.start()
    beside = [
        asyncio.create_task(_sweep(settings)),
        asyncio.create_task(exchange.end_orphans()),
        asyncio.create_task(_orphaned(server.stopping)),
    ]
    await server.stopping.wait()
    for task in beside:
        task.cancel()
    await exchange.drained(settings.drain_s)
    await server.stop()
    store.close()


async def _orphaned(stopping: asyncio.Event) -> None:
    """Stop when the supervisor is gone: nobody would start anew what dies."""
    parent = os.getppid()
    await until(lambda: os.getppid() != parent, math.inf)
    logger.error("the supervisor is gone; no further call is taken")
    stopping.set()


async def _sweep(settings: Settings) -> None:
    if settings.retention_days is not None:
        await sweep_daily(settings.data_dir, settings.retention_days)


def main() -> None:
    """Import everything, then wait until the supervisor says who is there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listener", type=int, required=True)
    parser.add_argument("--runners", type=int, required=True)
    told = parser.parse_args()
    settings = load_settings()
    log_to_stderr("INFO", settings.log)
    settle_memory()
    expected = sys.stdin.readline()
    if expected:
        carriers, runners = socket.socket(fileno=told.listener), socket.socket(fileno=told.runners)
        uvloop.run(serve(settings, carriers, runners, Expected.read(expected)))


if __name__ == "__main__":
    main()
