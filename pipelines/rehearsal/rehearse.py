"""`callpipe rehearse`: what becomes of a call when its model fails, fault by fault."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from callpipe.processors.disk import shared_writer
from callpipe.transports.virtual_time import run_virtual

from ..errors import PipelinesError
from .faults import Rehearsal, matrix
from .measures import LONGEST_SILENCE_S, Evidence, figures
from .stage import hold_in_real_time, hold_in_virtual_time
from .tables import Rehearsed, table, write_into

_CALLS_AT_A_TIME = 4
"""In real time, where calls wait rather than compute."""

_DISK_DEADLINE_S = 5.0


class RehearsalError(PipelinesError):
    """A fault cost a call more than it may.

    Attributes:
        broken: The rehearsals that went wrong, each with what of the promise it broke.
    """

    def __init__(self, broken: Sequence[str], rehearsed: int) -> None:
        super().__init__(f"{len(broken)} of {rehearsed} faults cost more than they may")
        self.broken = tuple(broken)


def run_rehearsals(
    console: Console, json_path: Path | None, *, real_time: bool, into: Sequence[Path] = ()
) -> None:
    """Rehearse every fault, show what came of it, and write it down.

    Args:
        console: Where to show it.
        json_path: Where to write the figures; None writes none.
        real_time: Hold the calls over real sockets, as long as calls last, instead of in virtual time.
        into: Markdown files whose tables get the figures, see `write_into`.

    Raises:
        TableMissingError: One of those files has no such table.
        RehearsalError: A recoverable fault broke the promise, or another one left a call open and silent.
    """
    rehearsals = matrix()
    with console.status("") as status, tempfile.TemporaryDirectory(prefix="callpipe-rehearsal-") as folder:
        rehearsed: list[Rehearsed] = []
        for done in (_in_real_time if real_time else _in_virtual_time)(rehearsals, Path(folder)):
            rehearsed.append(done)
            status.update(f"{len(rehearsed)} of {len(rehearsals)} calls held")
        shared_writer().wait(_DISK_DEADLINE_S)
    console.print(table(rehearsed))
    if json_path is not None:
        json_path.write_text(json.dumps(told(rehearsed), indent=2) + "\n")
    for path in into:
        write_into(path, rehearsed)
    broken = [f"{done.rehearsal.fault} {done.rehearsal.moment}" for done in rehearsed if done.breaches]
    if broken:
        raise RehearsalError(broken, len(rehearsed))


def rehearse(rehearsal: Rehearsal, folder: Path) -> Rehearsed:
    """Hold one call in virtual time."""
    return Rehearsed(rehearsal, figures(run_virtual(hold_in_virtual_time(rehearsal, folder))))


def told(rehearsed: Sequence[Rehearsed]) -> dict[str, Any]:
    """Return the figures as JSON can tell them."""
    return {
        "longest_silence_s": LONGEST_SILENCE_S,
        "kept": sum(not done.breaches for done in rehearsed),
        "rehearsed": len(rehearsed),
        "faults": [
            {
                "fault": done.rehearsal.fault,
                "moment": done.rehearsal.moment,
                "recoverable": done.rehearsal.recoverable,
                "kept": not done.breaches,
                "breaches": done.breaches,
                **asdict(done.figures),
                "silence_s": round(done.figures.silence_s, 3),
                "memory_held": done.figures.memory_held,
            }
            for done in rehearsed
        ],
    }


def _in_virtual_time(rehearsals: Sequence[Rehearsal], folder: Path) -> Iterator[Rehearsed]:
    for rehearsal in rehearsals:
        yield rehearse(rehearsal, folder)


def _in_real_time(rehearsals: Sequence[Rehearsal], folder: Path) -> Iterator[Rehearsed]:
    for first in range(0, len(rehearsals), _CALLS_AT_A_TIME):
        calls = rehearsals[first : first + _CALLS_AT_A_TIME]
        held = asyncio.run(_together(calls, folder))
        yield from (Rehearsed(call, figures(evidence)) for call, evidence in zip(calls, held, strict=True))


async def _together(rehearsals: Sequence[Rehearsal], folder: Path) -> list[Evidence]:
    return await asyncio.gather(*(hold_in_real_time(rehearsal, folder) for rehearsal in rehearsals))
