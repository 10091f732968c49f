"""Calls go on while processes die, hang and lose their peers, and none is lost. See the README beside this."""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callers import CallResult, Load
from load import calling
from monkey import FaultySessions, Monkey
from promises import Findings, Promise
from records import OFF_BY_S, Record, Records
from rich.console import Console
from scenarios import FALLBACK, GOODBYE

from callpipe.pipelines.drills.stage import DRILLED_BOT, Serving, serving

BOTS = {"drilled": DRILLED_BOT, "slow-disk": Path(__file__).with_name("slow_disk_bot.py")}

LAST_CALLS_S = 240.0
"""How long the last calls may take when no new ones begin."""

SETTLED_S = 180.0
"""How long the records of the last calls may take: of one that the carrier tells no end of, too."""

TOLD_EVERY_S = 15.0
SHOWN_CALLS = 3
"""Calls whose timeline and journal are printed when something is wrong with them; the JSON has them all."""


@dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes:
        minutes: For how long.
        calls: How many calls go on at a time.
        every_s: The mean time between two deaths.
        workers: The runners of each bot.
        stall_s: The longest that the slow disk stalls.
        seed: Of everything that is left to chance here; the machine's own timing is not.
        log: Where callpipe's log goes; nowhere when None.
    """

    minutes: float
    calls: int = 50
    every_s: float = 8.0
    workers: int = 2
    stall_s: float = 1.0
    seed: int = 0
    log: Path | None = None


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        results: The calls.
        records: What is left of them, by id.
        done: What was done, and how often.
        journals: The journals of calls with which something is wrong.
    """

    results: list[CallResult] = field(default_factory=list[CallResult])
    records: dict[str, Record] = field(default_factory=dict[str, Record])
    done: Counter[str] = field(default_factory=Counter[str])
    journals: dict[str, str] = field(default_factory=dict[str, str])


async def run(plan: Plan) -> Outcome:
    """Serve, call and kill; return what came of it."""
    chance = random.Random(plan.seed)
    sessions = FaultySessions(random.Random(plan.seed + 1))
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        data_dir = Path(folder)
        async with serving(
            data_dir,
            bots=list(BOTS.values()),
            workers=plan.workers,
            model_faults=sessions,
            log=plan.log,
            STALL_S=str(plan.stall_s),
        ) as served:
            monkey = Monkey(served, chance, plan.every_s)
            await _call(plan, served, monkey, outcome)
            sessions.active = False
            outcome.records = await _settled(data_dir, {result.call_id for result in outcome.results})
        outcome.done.update(monkey.done)
        outcome.done.update({f"model session: {name}": count for name, count in sessions.given.items()})
        outcome.done.update(f"webhook: {fault}" for result in outcome.results for fault in result.faults)
        records = Records(data_dir)
        for call_id in noteworthy(outcome):
            outcome.journals[call_id] = await asyncio.to_thread(records.journal_text, call_id)
    return outcome


async def _call(plan: Plan, served: Serving, monkey: Monkey, outcome: Outcome) -> None:
    seconds = plan.minutes * 60
    load = Load(
        served.url,
        served.username,
        served.password,
        tuple(BOTS),
        plan.calls,
        seconds=seconds,
        ramp_s=min(15.0, seconds / 4),
        faulty=True,
        seed=plan.seed,
    )
    began_at = told_at = time.monotonic()
    async with calling(load, outcome.results.append) as callers:
        killing = asyncio.create_task(monkey.run())
        while time.monotonic() < began_at + seconds + LAST_CALLS_S and not all(task.done() for task in callers):
            if time.monotonic() > began_at + seconds:
                killing.cancel()
            if time.monotonic() > told_at + TOLD_EVERY_S:
                told_at = time.monotonic()
                tell_progress(told_at - began_at, outcome.results, monkey.done.total())
            await asyncio.wait(callers, timeout=1.0)
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        for task in callers:
            if task.done():
                task.result()


def tell_progress(after_s: float, results: Sequence[CallResult], deaths: int) -> None:
    """Print how far it is."""
    endings = Counter(result.ending for result in results)
    told = ", ".join(f"{count} {ending}" for ending, count in endings.most_common())
    print(f"{after_s:5.0f} s  {deaths} deaths  {len(results)} calls over: {told}", file=sys.stderr, flush=True)


async def _settled(data_dir: Path, calls: set[str]) -> dict[str, Record]:
    """Return the records when those of all calls are complete, or as they are after `SETTLED_S`."""
    ends_at = time.monotonic() + SETTLED_S
    while True:
        found = await asyncio.to_thread(Records(data_dir).all)
        complete = all(call_id in found and found[call_id].complete for call_id in calls)
        if complete or time.monotonic() > ends_at:
            return found
        await asyncio.sleep(1.0)


def is_lost(result: CallResult) -> bool:
    """Whether a call ended other than by its goodbye or its fallback."""
    return result.ending not in (GOODBYE, FALLBACK)


def off_by_s(result: CallResult, record: Record | None) -> float:
    """Return how much longer a call's recording is than its media streams, in seconds; infinity for none."""
    if result.media_from is None or result.media_until is None:
        return 0.0
    if record is None or record.recording_s is None:
        return -float("inf")
    return record.recording_s - (result.media_until - result.media_from)


def is_off(result: CallResult, record: Record | None) -> bool:
    """Whether a recording is not as long as its call's streams, beyond what the emulator itself was late by."""
    return abs(off_by_s(result, record)) > OFF_BY_S + result.worst_packet_ms / 1000


def wrong(outcome: Outcome) -> dict[str, str]:
    """Return what is wrong with each call, by its id; calls that are right are not in it."""
    told: dict[str, list[str]] = {}
    for result in outcome.results:
        record = outcome.records.get(result.call_id)
        wrongs = told.setdefault(result.call_id, [])
        wrongs += [f"lost: {result.ending}"] if is_lost(result) else []
        wrongs += result.protocol_errors
        if record is None or not record.complete:
            wrongs.append(f"its records are not complete: {record}")
        if is_off(result, record):
            wrongs.append(f"its recording is {off_by_s(result, record):+.2f} s off")
    for call_id in outcome.records.keys() - told.keys():
        if not outcome.records[call_id].complete:
            told[call_id] = ["a call that no caller knows of has no end"]
    return {call_id: "; ".join(wrongs) for call_id, wrongs in told.items() if wrongs}


def noteworthy(outcome: Outcome) -> dict[str, str]:
    """Return what is wrong with each call, and which bots had forgotten the word."""
    forgotten = {each.call_id: "forgotten" for each in outcome.results if each.remembered is False}
    return {**forgotten, **wrong(outcome)}


def findings(plan: Plan, outcome: Outcome) -> Findings:
    """Return what the outcome comes to."""
    results, records = outcome.results, outcome.records
    lost = sum(map(is_lost, results))
    incomplete = sum(not record.complete for record in records.values()) + sum(
        result.call_id not in records for result in results
    )
    broken = sum(
        bool(record.broken) or (record.recording_s is None and result.media_from is not None)
        for result in results
        if (record := records.get(result.call_id)) is not None
    )
    offs_s = [abs(off_by_s(result, records.get(result.call_id))) for result in results]
    off = sum(is_off(result, records.get(result.call_id)) for result in results)
    errors = sum(len(result.protocol_errors) for result in results)
    calls = f"of {len(results)}"
    promises = [
        Promise("calls lost", "0", f"{lost} {calls}", lost == 0 and bool(results)),
        Promise("records without an end", "0", f"{incomplete} of {len(records)}", incomplete == 0),
        Promise("recordings that don't open", "0", f"{broken} {calls}", broken == 0),
        Promise(
            f"recordings more than {OFF_BY_S * 1000:.0f} ms off",
            "0",
            f"{off} {calls}, {max(offs_s, default=0.0) * 1000:.0f} ms at most",
            off == 0,
        ),
        Promise("protocol errors", "0", str(errors), errors == 0),
    ]
    title = f"Chaos: {plan.calls} calls at a time for {plan.minutes:g} minutes, seed {plan.seed}"
    return Findings(title, promises, _figures(outcome), _details(outcome))


def _figures(outcome: Outcome) -> Mapping[str, str]:
    results = outcome.results
    endings = Counter(result.ending for result in results)
    losses_s = [loss_s for result in results for loss_s in result.losses_s]
    heard_s = [loss_s for loss_s in losses_s if loss_s is not None]
    silence = f"{statistics.median(heard_s):.2f} s median, {max(heard_s):.2f} s at most" if heard_s else "none"
    remembered = Counter(result.remembered for result in results)
    again = sum(name == "caller says again" for result in results for _, name, _ in result.timeline)
    late_ms = sorted(result.worst_packet_ms for result in results)
    return {
        **{f"ended: {ending}": str(count) for ending, count in endings.most_common()},
        **{name: str(count) for name, count in sorted(outcome.done.items())},
        "media streams lost": f"{len(losses_s)}, nothing heard after {len(losses_s) - len(heard_s)}",
        "silence after each": silence,
        "words said again, unanswered": str(again),
        "words remembered": f"{remembered[True]} right, {remembered[False]} wrong, {remembered[None]} unasked",
        "emulator's own lag": f"{late_ms[len(late_ms) // 2]:.0f} ms median, {late_ms[-1]:.0f} ms at most"
        if late_ms
        else "none",
    }


def _details(outcome: Outcome) -> Mapping[str, Any]:
    by_id = {result.call_id: result for result in outcome.results}
    return {
        call_id: {
            "wrong": what,
            "timeline": by_id[call_id].timeline if call_id in by_id else [],
            "journal": outcome.journals.get(call_id, "").splitlines(),
        }
        for call_id, what in noteworthy(outcome).items()
    }


def show_wrong(found: Findings) -> None:
    """Print the timelines and journals of the first calls with which something is wrong."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for call_id, told in list(found.details.items())[:SHOWN_CALLS]:
        console.print(f"\n{call_id}: {told['wrong']}")
        first = told["timeline"][0][0] if told["timeline"] else 0.0
        for at, name, detail in told["timeline"]:
            console.print(f"{at - first:8.2f}  {name:18} {detail}")
        for line in told["journal"]:
            console.print(line[:300])
    for call_id, told in list(found.details.items())[SHOWN_CALLS:]:
        console.print(f"{call_id}: {told['wrong']}")


def main() -> None:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--every", type=float, default=8.0, help="mean seconds between two deaths")
    parser.add_argument("--workers", type=int, default=2, help="runners of each of the two bots")
    parser.add_argument("--stall", type=float, default=1.0, help="longest stall of the slow disk, seconds")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--log", type=Path, help="where callpipe's log goes")
    told = parser.parse_args()
    seed = told.seed if told.seed is not None else int.from_bytes(os.urandom(2))
    plan = Plan(told.minutes, told.calls, told.every, told.workers, told.stall, seed, told.log)
    found = findings(plan, asyncio.run(run(plan)))
    show_wrong(found)
    sys.exit(found.show(told.json))


if __name__ == "__main__":
    main()
