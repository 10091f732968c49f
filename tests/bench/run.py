"""Runs the benchmark: `make bench`, or `python tests/bench/run.py --quick`. See the README beside this file."""

import argparse
import asyncio
import gc
import json
import os
import ssl
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import an_hour
import uvloop
from awake import kept_awake
from capacity import Capacity, find_capacity, served_well
from certificate import model_certificate
from loading import Load, Measured, cores
from measured_system import System
from report import print_report, print_verdicts, show
from results import Result, Results

STOCK = System("stock pipecat", "stock.py", "plain", 26)
STOCK_UVLOOP = System("stock pipecat on uvloop", "stock.py", "uvloop", 16)
STOCK_RECORDER = System("stock pipecat, recorder, 2 pass-through", "stock.py", "recorder", 10)
BRIDGE = System("bare bridge", "bridge.py", "", 250)
FLOOR_WEBSOCKETS = System("floor on websockets", "floor_websockets.py", "", 450)
FLOOR_PICOWS = System("floor on picows", "floor_picows.py", "", 600)
PASSTHROUGH = System("callpipe pass-through", "bot.py", "passthrough", 468)
TRANSCODING = System("callpipe transcoding", "bot.py", "transcoding", 270)

SYSTEMS = (
    STOCK,
    STOCK_UVLOOP,
    STOCK_RECORDER,
    BRIDGE,
    FLOOR_WEBSOCKETS,
    FLOOR_PICOWS,
    PASSTHROUGH,
    TRANSCODING,
)
MAIN = tuple(system for system in SYSTEMS if system not in (STOCK_UVLOOP, STOCK_RECORDER))
WITH_TLS = (STOCK, BRIDGE, FLOOR_PICOWS, PASSTHROUGH, TRANSCODING)
WITH_MEMORY = (STOCK, PASSTHROUGH, TRANSCODING)
REPEATED = WITH_TLS
"""The systems of the claims: their limit is searched, and they are measured in every round."""
HELD_FOR_AN_HOUR = (PASSTHROUGH, TRANSCODING)
FEW = 5
MANY = 100
SETTLE_S = 2.0
UNLOADED_S = 5.0
BARGE_IN_S = 8.0
"""A turn of the model's: every caller cuts in once."""
ALLOCATIONS_S = 2.0


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long.

    Attributes:
        systems: All systems.
        rounds: How often each of them is measured, one after the other; medians are told.
        measured_s: For many calls.
        memory_s: How long the calls have lasted when memory is read.
        capacity_s: For each step of the search; 0 for no search.
    """

    systems: tuple[System, ...]
    rounds: int
    measured_s: float
    memory_s: float
    capacity_s: float


FULL = Plan(SYSTEMS, rounds=3, measured_s=8.0, memory_s=60.0, capacity_s=8.0)
QUICK = Plan(MAIN, rounds=1, measured_s=5.0, memory_s=0.0, capacity_s=0.0)


async def search(system: System, core: int, plan: Plan) -> Capacity:
    """Find how many calls a core carries; a process that was overloaded is not used again."""
    async with Load(system, core) as load:
        await load.hold(FEW)
        await asyncio.sleep(SETTLE_S)
        unloaded = await load.measure_in_quiet(UNLOADED_S)

    current: list[Load] = []

    async def attempt(calls: int) -> Measured | None:
        measured = await once(calls)
        if served_well(measured, unloaded) or (measured is not None and measured.load_at_its_limit):
            return measured
        return await once(calls)  # what a pause of the host spoils is no limit of the system's

    async def once(calls: int) -> Measured | None:
        if not current:
            current.append(await Load(system, core).__aenter__())
        try:
            await current[0].hold(calls)
            await asyncio.sleep(SETTLE_S)
            measured = await current[0].measure_in_quiet(plan.capacity_s)
        except (TimeoutError, OSError):
            measured = None
        if not served_well(measured, unloaded):
            await current.pop().__aexit__()
        show(system, f"{calls} calls", measured)
        return measured

    try:
        return await find_capacity(attempt, unloaded, system.guess)
    finally:
        for load in current:
            await load.__aexit__()


async def measure_once(
    system: System,
    core: int,
    plan: Plan,
    most: int,
    *,
    last: bool,
    tls: tuple[ssl.SSLContext, str] | None = None,
) -> Result:
    """Measure a system from its start: many calls, barge-ins; the last time also memory and allocations."""
    context, certificate = tls or (None, None)
    async with Load(system, core, tls=context, certificate=certificate) as load:
        idle_mb = load.running.resident_mb()
        calls = max(1, min(MANY, most))
        await load.hold(calls)
        await asyncio.sleep(SETTLE_S)
        many = await load.measure_in_quiet(plan.measured_s)
        cut_in = await load.measure_in_quiet(BARGE_IN_S, interrupts=True)
        if last and system in WITH_MEMORY:
            await asyncio.sleep(max(0.0, plan.memory_s - plan.measured_s - BARGE_IN_S))
        mb_per_call = (load.running.resident_mb() - idle_mb) / calls
        allocations = None
        if last:
            await load.hold(FEW)
            await asyncio.sleep(3 * SETTLE_S)  # the calls that have ended are cleaned up first
            allocations = await load.running.allocations(ALLOCATIONS_S) / (ALLOCATIONS_S * FEW * 50)
    show(system, f"{calls} calls{', TLS' if tls else ''}", many)
    return Result(system.name, load.running.started_s, idle_mb, mb_per_call, allocations, many, cut_in)


async def run(plan: Plan) -> Results:
    """Run the whole benchmark."""
    load_core, core = cores()
    os.sched_setaffinity(0, {load_core})
    gc.freeze()  # the load's collections are short then
    results = Results([system.name for system in plan.systems])
    for system in plan.systems:
        if plan.capacity_s and system in REPEATED:
            results.capacities[system.name] = await search(system, core, plan)
    most = {system: results.most_calls(system.name, system.guess) for system in plan.systems}
    for number in range(plan.rounds):
        last = number == plan.rounds - 1
        for system in plan.systems if last else (system for system in plan.systems if system in REPEATED):
            results.plain[system.name].append(await measure_once(system, core, plan, most[system], last=last))
    with tempfile.TemporaryDirectory() as folder:
        tls = model_certificate(Path(folder))
        for system in (system for system in plan.systems if system in WITH_TLS):
            measured = await measure_once(system, core, plan, most[system], last=False, tls=tls)
            results.tls[system.name].append(measured)
    for system in (system for system in plan.systems if system in HELD_FOR_AN_HOUR):
        os.sched_setaffinity(0, {core})
        results.hours[system.name] = await asyncio.to_thread(an_hour.measure, system.variant)
    return results


def write_json(path: Path, told: dict[str, Any]) -> None:
    path.write_text(json.dumps(told, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="about 4 minutes: one round, no search for the limit"
    )
    parser.add_argument("--json", type=Path, help="write every figure there")
    parser.add_argument("--plot", type=Path, help="draw the comparison there, a PNG")
    parser.add_argument("--systems", help="only systems whose names contain one of these, comma-separated")
    chosen = parser.parse_args()
    plan = QUICK if chosen.quick else FULL
    if chosen.systems:
        parts = chosen.systems.split(",")
        plan = replace(plan, systems=tuple(s for s in SYSTEMS if any(part in s.name for part in parts)))
    with kept_awake(cores()):
        results = uvloop.run(run(plan))
    print_report(results)
    print_verdicts(results)
    if chosen.json:
        write_json(chosen.json, results.told())
    if chosen.plot:
        from plot import draw

        draw(results, chosen.plot)


if __name__ == "__main__":
    main()
