"""Small mistakes in transports/ that tests find. See the README beside this."""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from findings import LEAST, Tried, share_killed, table
from mutants import Mutant, draw, mutant, sites
from reach import read
from trials import Tests, Verdict, changed, copy_tree, preload, run

ROOT = Path(__file__).parents[2]
AT_A_TIME = 2
BASELINE_TIMEOUT_S = 1200.0
TRIAL_TIMEOUT_S = 120.0
MOST_FAILED = 20
"""How many tests may fail without any mistake: measuring takes memory and time, which some tests count."""


def _tree(scratch: Path) -> Path:
    return scratch / str(os.getpid()) / "tree"


def _measure(scratch: Path, seed: int, files: list[Path]) -> tuple[Path, Path]:
    """Run tests while nothing is wrong; return the copy of the tree and what coverage noted there."""
    tree = _tree(scratch)
    noted = scratch / f"measured-{files[0].stem}"
    ran = run(tree, Tests(files, measured=noted), seed, BASELINE_TIMEOUT_S)
    if ran.verdict not in (Verdict.SURVIVED, Verdict.KILLED):
        sys.exit(f"the tests do not run without any mistake\n{ran.output}")
    return tree, noted


def _try(scratch: Path, seed: int, one: tuple[Mutant, frozenset[str]]) -> Tried:
    each, names = one
    if not names:
        return Tried(each, Verdict.SURVIVED, 0.0)
    tree = _tree(scratch)
    with changed(tree / each.module, each.source):
        ran = run(tree, Tests(in_order(names, each.module), names), seed, TRIAL_TIMEOUT_S)
    return Tried(each, ran.verdict, ran.took_s)


def in_order(names: frozenset[str], module: Path) -> list[Path]:
    """Return the files of some tests, those named after the module first."""
    files = {Path(name.partition("::")[0]) for name in names}
    return sorted(files, key=lambda file: (not file.stem.startswith(f"test_{module.stem}"), file))


def _sample(under: Path, count: int, seed: int) -> list[Mutant]:
    modules = sorted((ROOT / under).glob("**/*.py")) if (ROOT / under).is_dir() else [ROOT / under]
    places = [site for module in modules for site in sites(ROOT, module.relative_to(ROOT))]
    print(f"{len(places)} places in {len(modules)} modules", flush=True)
    return [mutant(ROOT, site, mistake) for site, mistake in draw(places, count, seed)]


def _tried(mutants: Sequence[Mutant], seed: int, scratch: Path) -> list[Tried]:
    forking = multiprocessing.get_context("fork")
    tried: list[Tried] = []
    began = time.monotonic()
    with ProcessPoolExecutor(AT_A_TIME, forking, lambda: [copy_tree(ROOT, _tree(scratch))]) as pool:
        files = [each.relative_to(ROOT) for each in sorted(ROOT.glob("tests/transports/**/test_*.py"))]
        halves = [files[part::AT_A_TIME] for part in range(AT_A_TIME)]
        reach = read(list(pool.map(partial(_measure, scratch, seed), halves)))
        print(
            f"measured in {time.monotonic() - began:.0f} s; not used, as they fail: {sorted(reach.failed)}",
            flush=True,
        )
        if len(reach.failed) > MOST_FAILED:
            sys.exit("too many tests fail without any mistake")
        todo = [(each, reach.of(each.module, (ROOT / each.module).read_text(), each.line)) for each in mutants]
        for done in as_completed([pool.submit(_try, scratch, seed, one) for one in todo]):
            one = done.result()
            tried.append(one)
            where = f"{one.mutant.module}:{one.mutant.line}"
            print(f"{len(tried):4} {one.verdict:10} {one.took_s:5.1f} s  {where}", flush=True)
    return tried


def main() -> int:
    """Try a sample of mutants; return 0 when tests kill as many as they are to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=200, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1, help="what draws them")
    parser.add_argument("--under", type=Path, default=Path("transports"), help="a folder or a file of it")
    wanted = parser.parse_args()
    began = time.monotonic()
    mutants = _sample(wanted.under, wanted.sample, wanted.seed)
    preload()
    with tempfile.TemporaryDirectory() as scratch:
        tried = _tried(mutants, wanted.seed, Path(scratch))
    print(f"\n{table(tried)}\nseed {wanted.seed}, {time.monotonic() - began:.0f} s")
    return 0 if share_killed(tried) >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
