"""The comparison as a picture."""

import importlib
import math
from pathlib import Path
from typing import Any

from results import Results

CALLS = "calls per core"
OURS, THEIRS = "#1f77b4", "#b0b0b0"


def draw(results: Results, path: Path) -> None:
    """Draw how many calls a core carries, what one costs, and how late its audio is, into a PNG."""
    matplotlib: Any = importlib.import_module("matplotlib")  # untyped, and only installed by `make bench`
    matplotlib.use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    carried = {name: capacity.words for name, capacity in results.capacities.items()}
    panels = {
        CALLS: {name: results.calls(name) for name in results.systems},
        "CPU ms per call and second": {name: results.cpu(name) for name in results.systems},
        "delay caller → model, p99 in ms": {
            name: results.figure(name, lambda result: result.many.in_p99_ms) for name in results.systems
        },
    }
    shown = {title: bars for title, bars in panels.items() if not all(map(math.isnan, bars.values()))}
    figure, axes = pyplot.subplots(
        1, len(shown), sharey=True, figsize=(4.2 * len(shown), 0.45 * len(results.systems) + 1)
    )
    for axis, (title, bars) in zip(axes, shown.items(), strict=True):
        colours = [OURS if name.startswith("callpipe") else THEIRS for name in bars]
        drawn = axis.barh(
            list(bars), [0 if math.isnan(value) else value for value in bars.values()], color=colours
        )
        labels = [f"{value:.3g}" for value in bars.values()]
        if title == CALLS:
            labels = [carried.get(name, "not searched") for name in bars]
        axis.bar_label(drawn, labels=labels, padding=3, fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.margins(x=0.2)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
