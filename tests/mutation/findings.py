"""What became of a sample of mutants, told as a table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mutants import Mutant
from trials import Verdict

LEAST = 0.85
"""The share of viable mutants that tests kill."""


@dataclass(frozen=True)
class Tried:
    """A mutant that was tried.

    Attributes:
        mutant: It.
        verdict: What became of it.
        took_s: How long its tests took.
    """

    mutant: Mutant
    verdict: Verdict
    took_s: float


def share_killed(tried: Sequence[Tried]) -> float:
    """Return the share of mutants that were killed or timed out, of those that are viable; 0 without any."""
    counts = Counter(each.verdict for each in tried)
    killed = counts[Verdict.KILLED] + counts[Verdict.TIMED_OUT]
    viable = killed + counts[Verdict.SURVIVED]
    return killed / viable if viable else 0.0


def table(tried: Sequence[Tried]) -> str:
    """Tell the survivors, how many there were of each kind in each folder, and the share of those killed."""
    folders = sorted({str(each.mutant.module.parent) for each in tried})
    widest = max(len("all"), *(len(each) for each in folders))
    lines = [each for one in tried if one.verdict is Verdict.SURVIVED for each in _told(one.mutant)]
    lines.append(f"{'':{widest}}" + "".join(f"  {verdict:>10}" for verdict in Verdict))
    for folder in (*folders, "all"):
        counts = Counter(each.verdict for each in tried if folder in (str(each.mutant.module.parent), "all"))
        lines.append(f"{folder:{widest}}" + "".join(f"  {counts[verdict]:>10}" for verdict in Verdict))
    lines.append(f"killed: {share_killed(tried):.1%} of the viable ones; at least {LEAST:.0%} are to be")
    return "\n".join(lines)


def _told(mutant: Mutant) -> list[str]:
    return [f"{mutant.module}:{mutant.line} survived", *mutant.diff.splitlines(), ""]
