"""What a measurement promises, and what it found: as a table, as JSON, as an exit status."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Promise:
    """Something that has to hold.

    Attributes:
        what: What.
        promised: The limit, in words.
        found: What was found, in words.
        kept: Whether it holds.
    """

    what: str
    promised: str
    found: str
    kept: bool


@dataclass(frozen=True)
class Findings:
    """What a measurement comes to.

    Attributes:
        title: What was measured.
        promises: What has to hold.
        figures: What else is told, by its name.
        details: What is told of what went wrong; not part of the table.
    """

    title: str
    promises: Sequence[Promise]
    figures: Mapping[str, str]
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def kept(self) -> bool:
        """Whether every promise is kept."""
        return all(promise.kept for promise in self.promises)

    def show(self, json_file: Path | None = None) -> int:
        """Print the table, write the JSON where it is wanted, and return the exit status."""
        table = Table(title=self.title, title_justify="left")
        for column in ("", "promised", "found", ""):
            table.add_column(column)
        for each in self.promises:
            table.add_row(
                each.what, each.promised, each.found, "[green]kept[/]" if each.kept else "[red]BROKEN[/]"
            )
        table.add_section()
        for name, figure in self.figures.items():
            table.add_row(name, "", figure, "")
        Console().print(table)
        if json_file is not None:
            json_file.write_text(json.dumps({**asdict(self), "kept": self.kept}, indent=1) + "\n")
        return 0 if self.kept else 1
