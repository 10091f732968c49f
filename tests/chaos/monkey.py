"""What is done to the processes of `callpipe serve` while calls go on."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from callpipe.pipelines.drills.stage import Serving
from callpipe.transports.realtime.emulator import (
    After,
    Disconnect,
    Drop,
    Fault,
    GoSilent,
    RefuseHandshake,
    SlowHandshake,
)

KILL_RUNNER, KILL_SERVER, KILL_BOTH, HANG_RUNNER = (
    "runner killed",
    "server killed",
    "both killed",
    "runner hung",
)
WEIGHTS = {KILL_RUNNER: 10, KILL_SERVER: 5, KILL_BOTH: 1, HANG_RUNNER: 2}

FREED_AFTER_S = 15.0
"""A hung runner that nobody has killed by then turns again: whatever it does then must do no harm."""

FAULTY_SESSIONS = 0.25
"""The share of the model's sessions that something happens to."""


class Monkey:
    """Kills and stops processes at random moments.

    Args:
        serving: Whose processes.
        chance: What it is left to.
        every_s: The mean time between two of its deeds.

    Attributes:
        done: How often it did what.
    """

    def __init__(self, serving: Serving, chance: random.Random, every_s: float) -> None:
        self._serving = serving
        self._chance = chance
        self._every_s = every_s
        self.done: Counter[str] = Counter()

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as freeing:
            while True:
                await asyncio.sleep(self._chance.expovariate(1 / self._every_s))
                await self._act(self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0], freeing)

    async def _act(self, deed: str, freeing: asyncio.TaskGroup) -> None:
        """Do one thing, as far as there is a process to do it to."""
        runners = await asyncio.to_thread(self._serving.runners)
        server = await asyncio.to_thread(self._serving.server)
        runner = self._chance.choice(runners) if runners else None
        victims = {
            KILL_RUNNER: [runner],
            KILL_SERVER: [server],
            KILL_BOTH: [server, runner],
            HANG_RUNNER: [runner],
        }
        number = signal.SIGSTOP if deed == HANG_RUNNER else signal.SIGKILL
        hit = [pid for pid in victims[deed] if pid is not None and _signalled(pid, number)]
        self.done[deed] += bool(hit)
        if deed == HANG_RUNNER:
            for pid in hit:
                freeing.create_task(_freed(pid))


async def _freed(pid: int) -> None:
    await asyncio.sleep(FREED_AFTER_S)
    _signalled(pid, signal.SIGCONT)


def _signalled(pid: int, number: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


class FaultySessions:
    """Gives the faults of each of the model's sessions. See `FaultPlan`.

    Args:
        chance: What they are left to.

    Attributes:
        given: How often which fault was.
        active: Whether anything happens to sessions that are opened.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.given: Counter[str] = Counter()
        self.active = True

    def __call__(self) -> Sequence[Fault]:
        """Return the faults of the next session."""
        chance = self._chance
        if not self.active or chance.random() >= FAULTY_SESSIONS:
            return ()
        moment = After(chance.uniform(0.5, 25.0))
        some: list[Fault] = [
            Drop(moment),
            Drop(moment),
            Disconnect(moment),
            GoSilent(moment),
            RefuseHandshake(503),
            SlowHandshake(2.0),
        ]
        fault = chance.choice(some)
        self.given[type(fault).__name__] += 1
        return (fault,)
