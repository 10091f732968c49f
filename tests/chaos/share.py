"""How much of callpipe's processor time the server's process takes. See the README beside this."""

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from callers import CallResult, Load
from load import calling
from processes import cpu_s
from promises import Findings, Promise
from scenarios import GOODBYE

from callpipe.pipelines.drills.stage import Serving, serving

SHARE = 0.05
"""What the server's process may take of the time of all of callpipe's processes."""

RAMP_S = 30.0
ROUNDS = 2
"""A conversation of two rounds lasts about a minute."""


@dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes:
        calls: How many calls go on at a time.
        seconds: For how long they are measured, once all have begun.
        workers: The bot's runners.
        ramp_s: Over how long the first calls are spread.
    """

    calls: int = 100
    seconds: float = 90.0
    workers: int = 2
    ramp_s: float = RAMP_S


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        cpu_s: The processor time of each kind of process.
        endings: How the calls ended, and how often.
        seconds: How long was measured.
    """

    cpu_s: dict[str, float]
    endings: Counter[str]
    seconds: float

    @property
    def share(self) -> float:
        """The server's share of all."""
        return self.cpu_s["server"] / (sum(self.cpu_s.values()) or 1.0)


async def run(plan: Plan, log: Path | None = None) -> Outcome:
    """Serve, call and measure; return what came of it."""
    endings: Counter[str] = Counter()

    def over(result: CallResult) -> None:
        endings[result.ending] += 1

    with tempfile.TemporaryDirectory(prefix="share-") as folder:
        async with serving(Path(folder), workers=plan.workers, log=log) as served:
            load = Load(
                served.url,
                served.username,
                served.password,
                ("drilled",),
                plan.calls,
                seconds=plan.ramp_s + plan.seconds,
                ramp_s=plan.ramp_s,
                rounds=ROUNDS,
            )
            async with calling(load, over) as callers:
                await asyncio.sleep(plan.ramp_s)
                before = await asyncio.to_thread(_used, served)
                await asyncio.wait(callers, timeout=plan.seconds, return_when=asyncio.FIRST_COMPLETED)
                after = await asyncio.to_thread(_used, served)
    used = {kind: after[kind] - before[kind] for kind in after}
    return Outcome(used, endings, plan.seconds)


def _used(served: Serving) -> dict[str, float]:
    server = served.server()
    return {
        "supervisor": cpu_s(served.supervisor.pid),
        "server": cpu_s(server) if server is not None else 0.0,
        "spare server": sum(cpu_s(pid) for pid in served.servers() if pid != server),
        "runners": sum(map(cpu_s, served.runners())),
    }


def findings(plan: Plan, outcome: Outcome) -> Findings:
    """Return what the outcome comes to."""
    other = outcome.endings.total() - outcome.endings[GOODBYE]
    of_all = f"{outcome.share:.1%}, {outcome.cpu_s['server']:.2f} s of {sum(outcome.cpu_s.values()):.1f} s"
    promises = [
        Promise("the server's share", f"at most {SHARE:.0%}", of_all, outcome.share <= SHARE),
        Promise("calls that ended otherwise than by their goodbye", "0", str(other), other == 0),
    ]
    figures = {
        **{f"ended: {ending}": str(count) for ending, count in outcome.endings.most_common()},
        **{kind: f"{used_s / outcome.seconds:.2%} of a core" for kind, used_s in outcome.cpu_s.items()},
    }
    return Findings(f"The server's share at {plan.calls} calls", promises, figures)


def main() -> None:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=Plan.calls)
    parser.add_argument("--seconds", type=float, default=Plan.seconds)
    parser.add_argument("--workers", type=int, default=Plan.workers)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--log", type=Path, help="where callpipe's log goes")
    told = parser.parse_args()
    plan = Plan(told.calls, told.seconds, told.workers)
    sys.exit(findings(plan, asyncio.run(run(plan, told.log))).show(told.json))


if __name__ == "__main__":
    main()
