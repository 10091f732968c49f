"""Thousands of short calls through one runner leave nothing behind. See the README beside this."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx
from callers import CallResult, Load
from load import calling
from processes import cpu_s, descriptors
from promises import Findings, Promise
from scenarios import CALLER

from callpipe.pipelines.drills.stage import Serving, serving
from callpipe.transports.realtime.emulator import EmulatorSettings

QUICK_MODEL = EmulatorSettings(connect_delay_ms=0.0, first_audio_delay_ms=20.0)

GROWTH = 0.05
"""What may be more at the end than after the first calls, as a share of it."""

STILL_S = 60.0
"""How long the last call's remains may take to be gone."""

TOLD_EVERY_S = 15.0


@dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes:
        calls: How many calls there are.
        warm_up: After how many of them is measured what the end is held against.
        at_a_time: How many go on at a time.
    """

    calls: int = 5_000
    warm_up: int = 500
    at_a_time: int = 16


@dataclass(frozen=True)
class Held:
    """What a runner holds.

    Attributes:
        pid: Its process.
        rss_bytes: Its memory.
        descriptors: Its open files and sockets.
        tasks: The tasks of its event loop.
    """

    pid: int
    rss_bytes: int
    descriptors: int
    tasks: int


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        before: What the runner held after the first calls.
        after: What it held at the end.
        endings: How the calls ended, and how often.
        took_s: How long it took.
    """

    before: Held
    after: Held
    endings: Counter[str]
    took_s: float


async def run(plan: Plan, log: Path | None = None) -> Outcome:
    """Serve and call; return what came of it."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        async with serving(Path(folder), model_settings=QUICK_MODEL, log=log) as served:
            began_at = time.monotonic()
            endings: Counter[str] = Counter()
            await _call(plan, served, plan.warm_up, endings, seed=1)
            before = await _at_rest(served)
            await _call(plan, served, plan.calls - plan.warm_up, endings, seed=2)
            after = await _at_rest(served)
            return Outcome(before, after, endings, time.monotonic() - began_at)


async def _call(plan: Plan, served: Serving, count: int, endings: Counter[str], *, seed: int) -> None:
    told_at = time.monotonic()

    def over(result: CallResult) -> None:
        nonlocal told_at
        endings[result.ending] += 1
        if time.monotonic() > told_at + TOLD_EVERY_S:
            told_at = time.monotonic()
            print(f"{endings.total()} calls over", file=sys.stderr, flush=True)

    load = Load(
        served.url,
        served.username,
        served.password,
        ("drilled",),
        plan.at_a_time,
        count=count,
        ramp_s=2.0,
        rounds=0,
        realistic=False,
        seed=seed,
    )
    async with calling(load, over) as callers:
        await asyncio.gather(*callers)


async def _at_rest(served: Serving) -> Held:
    """Return what the runner that takes the calls holds, when it has none and has come to rest.

    Raises:
        TimeoutError: That takes too long.
    """
    pid = max(await asyncio.to_thread(served.runners), key=cpu_s)
    looks: list[tuple[int, int]] = []
    async with (
        asyncio.timeout(STILL_S),
        httpx.AsyncClient(base_url=served.url, auth=(served.username, served.password)) as http,
    ):
        while True:
            await asyncio.sleep(LOOK_S)
            status = (await http.get("/status")).json()
            told = next(runner for runner in status["runners"] if runner["pid"] == pid)
            opened = await asyncio.to_thread(descriptors, pid)
            busy = told["live"] or told["prepared"]
            looks = [] if busy else [*looks, (opened, told["tasks"])][-RESTS:]
            if len(looks) == RESTS and len(set(looks)) == 1:
                return Held(pid, told["rss_bytes"], opened, told["tasks"])


LOOK_S = 1.5
"""Longer than from one of the runner's signs of life to the next."""

RESTS = 3
"""Looks at which a runner at rest holds the same."""


def findings(plan: Plan, outcome: Outcome) -> Findings:
    """Return what the outcome comes to."""
    before, after, endings = outcome.before, outcome.after, outcome.endings
    other = plan.calls - endings[CALLER]
    limit = f"within {GROWTH:.0%} of those after {plan.warm_up}"
    promises = [
        Promise("calls that did not end as they should", "0", f"{other} of {plan.calls}", other == 0),
        _promise("memory, MiB", limit, before.rss_bytes // 2**20, after.rss_bytes // 2**20),
        _promise("descriptors", limit, before.descriptors, after.descriptors),
        _promise("tasks", limit, before.tasks, after.tasks),
        Promise("runners that died", "0", str(int(before.pid != after.pid)), before.pid == after.pid),
    ]
    figures = {
        **{f"ended: {ending}": str(count) for ending, count in endings.most_common()},
        "calls at a time": str(plan.at_a_time),
        "time": f"{outcome.took_s:.0f} s, {plan.calls / outcome.took_s:.1f} calls a second",
    }
    return Findings(f"Soak: {plan.calls} short calls through one runner", promises, figures)


def _promise(what: str, limit: str, before: int, after: int) -> Promise:
    growth = after / before - 1
    found = f"{before} then, {after} at the end: {growth:+.1%}"
    return Promise(what, limit, found, after <= before * (1 + GROWTH))


def main() -> None:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=Plan.calls)
    parser.add_argument("--warm-up", type=int, default=Plan.warm_up, help="calls before the first measure")
    parser.add_argument("--at-a-time", type=int, default=Plan.at_a_time)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--log", type=Path, help="where callpipe's log goes")
    told = parser.parse_args()
    plan = Plan(told.calls, told.warm_up, told.at_a_time)
    sys.exit(findings(plan, asyncio.run(run(plan, told.log))).show(told.json))


if __name__ == "__main__":
    main()
