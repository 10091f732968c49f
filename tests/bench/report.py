"""Tables for people: the ratios first."""

import math
import sys
from collections.abc import Callable

from loading import Measured
from measured_system import System
from results import Result, Results
from rich.console import Console
from rich.table import Table

console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)

QUIET = 0.1
"""What other processes may take of the two cores, in cores."""

STOLEN = 0.02
"""What other guests of a virtual machine's host may take of them: from there on their pauses are to be seen."""


def show(system: System, what: str, measured: Measured | None) -> None:
    """Print one measurement as it is made."""
    if measured is None:
        console.print(f"{system.name}, {what}: not served", style="dim")
        return
    limit = ", the load is at its limit" if measured.load_at_its_limit else ""
    delays = (
        f"in {_pair(measured.in_p50_ms, measured.in_p99_ms)} ms, "
        f"out {_pair(measured.out_p50_ms, measured.out_p99_ms)} ms"
    )
    console.print(
        f"{system.name}, {what}: {measured.cpu_ms:.2f} ms of CPU, {delays}, {measured.lost} lost{limit}",
        style="dim",
        soft_wrap=True,
    )


def print_report(results: Results) -> None:
    """Print the ratios, then every system's figures, without and with TLS."""
    others = results.others_busy()
    if others > QUIET:
        console.print(f"[red]Other processes took {others:.1f} of the two cores: trust none of this.[/red]\n")
    stolen = results.stolen()
    if stolen > STOLEN:
        console.print(
            f"[red]Other guests of this host took up to {stolen:.2f} of the two cores: late audio, "
            "and the limits found by it, may be theirs.[/red]\n"
        )
    for tls in (False, True):
        measured = results.tls if tls else results.plain
        if not any(measured.values()):
            continue
        suffix = ", TLS on the model's socket" if tls else ""
        _print_claims(results, tls, suffix)
        _print_systems(results, tls, suffix)


def _print_claims(results: Results, tls: bool, suffix: str) -> None:
    table = Table(title=f"What it shows{suffix}", title_justify="left", box=None)
    for heading in ("", "measured", "bound", ""):
        table.add_column(heading, justify="left" if not heading else "right")
    for claim in results.claims(tls=tls):
        sign = "≥" if claim.at_least else "≤"
        verdict = "holds" if claim.holds else "[red]no[/red]"
        table.add_row(claim.what, _short(claim.value), f"{sign} {_short(claim.bound)}", verdict)
    console.print(table)
    console.print()


def print_verdicts(results: Results) -> None:
    """Say of every target whether it is met: the run's last words."""
    for tls in (False, True):
        if not any((results.tls if tls else results.plain).values()):
            continue
        for claim in results.claims(tls=tls):
            verdict = "met    " if claim.holds else "[red]NOT MET[/red]"
            sign = "≥" if claim.at_least else "≤"
            where = " (TLS)" if tls else ""
            measured = _short(claim.value) or "not measured"
            console.print(
                f"{verdict}  {claim.what}{where}: {measured}, target {sign} {_short(claim.bound)}",
                soft_wrap=True,
            )


COLUMNS: dict[str, Callable[[Result], float | None]] = {
    "calls": lambda result: result.many.calls,
    "CPU ms": lambda result: result.many.cpu_ms,
    "in p50": lambda result: result.many.in_p50_ms,
    "in p99": lambda result: result.many.in_p99_ms,
    "out p50": lambda result: result.many.out_p50_ms,
    "out p99": lambda result: result.many.out_p99_ms,
    "clear p50": lambda result: result.cut_in.clear_p50_ms,
    "clear p99": lambda result: result.cut_in.clear_p99_ms,
    "lost": lambda result: result.many.lost,
    "MB a call": lambda result: result.mb_per_call,
    "start s": lambda result: result.started_s,
    "allocations": lambda result: result.allocations,
}


def _print_systems(results: Results, tls: bool, suffix: str) -> None:
    table = Table(title=f"At 100 calls, or at a system's own limit; ms{suffix}", title_justify="left", box=None)
    table.add_column("system")
    table.add_column("calls per core", justify="right")
    table.add_column("CPU ms there", justify="right")
    for heading in COLUMNS:
        table.add_column(heading, justify="right")
    for name in results.systems:
        capacity = results.capacities.get(name)
        carried = "" if capacity is None else capacity.words
        figures = (_short(results.figure(name, of, tls=tls)) for of in COLUMNS.values())
        table.add_row(name, carried, _short(results.cpu_at_limit(name)), *figures)
    console.print(table)
    console.print()


def _pair(median: float, late: float) -> str:
    return f"{_short(median)} / {_short(late)}"


def _short(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
