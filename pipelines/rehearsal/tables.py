"""Rehearsals as tables for people: on the terminal, and in Markdown files that keep one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from rich.table import Table

from ..errors import PipelinesError
from .faults import Rehearsal
from .measures import Figures, Outcome, Tally

_FIGURES = (
    "longest silence",
    "caller's words lost / repeated",
    "bot's words repeated",
    "memory held",
    "the call",
)
_BY_FAULT = ("fault", "moments", *_FIGURES)
_BY_CALL = ("fault", "moment", *_FIGURES)


class TableMissingError(PipelinesError):
    """A Markdown file that should get the figures has no table for them.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} has no table that begins with {_line(_BY_FAULT[:2])}... or {_line(_BY_CALL[:2])}..."
        )
        self.path = path


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsal and what it showed."""

    rehearsal: Rehearsal
    figures: Figures

    @property
    def breaches(self) -> list[str]:
        """What of the promise it breaks."""
        return self.figures.breaches(recoverable=self.rehearsal.recoverable)


def table(rehearsed: Sequence[Rehearsed]) -> Table:
    """Return every call's figures for the terminal."""
    shown = Table(box=None, pad_edge=False)
    shown.add_column("fault")
    shown.add_column("moment")
    for heading in ("silence", "caller's words", "bot's words", "sessions"):
        shown.add_column(heading, justify="right")
    for heading in ("memory", "the call", "promise"):
        shown.add_column(heading)
    for done in rehearsed:
        shows = done.figures
        shown.add_row(
            done.rehearsal.fault,
            done.rehearsal.moment,
            f"{shows.silence_s:.2f} s",
            _shown(shows.caller_words),
            _shown(shows.bot_words),
            str(shows.sessions),
            "held" if shows.memory_held else "not held",
            shows.outcome.value,
            f"[red]{', '.join(done.breaches)}[/]" if done.breaches else "[green]kept[/]",
        )
    return shown


def write_into(path: Path, rehearsed: Sequence[Rehearsed]) -> None:
    """Replace the tables of a Markdown file, which are known by their first two headings.

    ``fault | moments`` has a line for each fault, with the worst of its calls; ``fault | moment`` one for each
    call.

    Raises:
        TableMissingError: The file has neither table.
    """
    lines = path.read_text().splitlines()
    written = [_replace(lines, _BY_FAULT, by_fault, rehearsed), _replace(lines, _BY_CALL, by_call, rehearsed)]
    if not any(written):
        raise TableMissingError(path)
    path.write_text("\n".join(lines) + "\n")


def by_fault(rehearsed: Sequence[Rehearsed]) -> list[str]:
    """Return a Markdown table with a line for each fault, the worst of its calls."""
    faults: dict[tuple[str, bool], list[Rehearsed]] = {}
    for done in rehearsed:
        faults.setdefault((done.rehearsal.fault, done.rehearsal.recoverable), []).append(done)
    lines = [_line(_BY_FAULT), _line(["---"] * len(_BY_FAULT))]
    return lines + [_line([fault, str(len(calls)), *_worst(calls)]) for (fault, _), calls in faults.items()]


def by_call(rehearsed: Sequence[Rehearsed]) -> list[str]:
    """Return a Markdown table with a line for each call."""
    lines = [_line(_BY_CALL), _line(["---"] * len(_BY_CALL))]
    calls = (_line([done.rehearsal.fault, done.rehearsal.moment, *_worst([done])]) for done in rehearsed)
    return lines + list(calls)


def _replace(
    lines: list[str],
    headings: Sequence[str],
    make: Callable[[Sequence[Rehearsed]], list[str]],
    rehearsed: Sequence[Rehearsed],
) -> bool:
    first = next((place for place, line in enumerate(lines) if line.startswith(_line(headings[:2]))), None)
    if first is None:
        return False
    old = list(takewhile(lambda line: line.startswith("|"), lines[first:]))
    lines[first : first + len(old)] = make(rehearsed)
    return True


def _worst(calls: Sequence[Rehearsed]) -> list[str]:
    shows = [done.figures for done in calls]
    silence = f"{max(figures.silence_s for figures in shows):.2f} s"
    outcomes = ", ".join(dict.fromkeys(figures.outcome.value for figures in shows))
    if any(figures.outcome is not Outcome.WENT_ON for figures in shows):
        return [silence, "-", "-", "-", outcomes]
    caller = [figures.caller_words for figures in shows]
    return [
        silence,
        f"{max(words.lost for words in caller)} / {max(words.repeated for words in caller)}",
        str(max(figures.bot_words.repeated for figures in shows)),
        "yes" if all(figures.memory_held for figures in shows) else "no",
        outcomes,
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(words: Tally) -> str:
    if words.is_exact:
        return f"all {words.expected}"
    wrong = [(words.lost, "lost"), (words.repeated, "repeated")]
    return ", ".join(f"{count} {word}" for count, word in wrong if count)
