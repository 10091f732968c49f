"""One mutant under its tests: in a copy of the tree, in a process forked off one that has imported much."""

import compileall
import importlib
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

PRELOADED = (
    "hypothesis.stateful",
    "fastapi",
    "httpx",
    "numpy",
    "openai.types.realtime",
    "picows",
    "pipecat.pipeline.worker",
    "pipecat.tests.utils",
    "pipecat.transports.base_transport",
    "soxr",
    "uvicorn",
    "websockets",
)
"""What tests import of others' and what takes long. Nothing of callpipe: each mutant imports its own."""

TEST_TIMEOUT_S = 30
MEASURED_TIMEOUT_S = 300
"""How long a test may take; those that are measured take several times as long as others."""

RAN, FAILED = ".ran", ".failed"
"""End the names of the files in which the tests stand that ran, and failed, while they were measured."""

MEMORY_BYTES = 8 << 30
"""Address space of a mutant, of which a loop that never ends may take all."""

UNUSED = ("__pycache__", "dist", "callpipe-data", ".git", ".venv", ".*_cache", ".hypothesis")


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    NOT_VIABLE = "not viable"


@dataclass(frozen=True)
class Ran:
    """What came of running tests.

    Attributes:
        status: pytest's exit status, or the negative number of the signal that ended the process.
        in_time: Whether they ended, each test and all of them, before their time was over.
        took_s: How long they took.
        output: What pytest said.
    """

    status: int
    in_time: bool
    took_s: float
    output: str

    @property
    def verdict(self) -> Verdict:
        """What these tests say of a mutant. One that no test could be collected with is not viable."""
        if not self.in_time:
            return Verdict.TIMED_OUT
        if self.status == pytest.ExitCode.OK:
            return Verdict.SURVIVED
        failed = self.status == pytest.ExitCode.TESTS_FAILED or self.status < 0
        return Verdict.KILLED if failed else Verdict.NOT_VIABLE


def preload() -> None:
    """Import what takes long, once for all mutants."""
    for name in PRELOADED:
        importlib.import_module(name)


def copy_tree(root: Path, into: Path) -> Path:
    """Copy what tests need, compiled so that a changed source is noticed whenever it was changed."""
    shutil.copytree(root, into, symlinks=True, ignore=shutil.ignore_patterns(*UNUSED))
    for room in ("pipelines", "processors", "transports", "bots"):
        compileall.compile_dir(into / room, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return into


@contextmanager
def changed(file: Path, source: str) -> Generator[None]:
    """Have a file say something else for a while."""
    before = file.read_text()
    file.write_text(source)
    try:
        yield
    finally:
        file.write_text(before)


@dataclass(frozen=True, eq=False)
class Tests:
    """Tests to run.

    Attributes:
        files: Where they are, from the root of the tree, in the order in which they run.
        names: Which of them, None for all.
        measured: Where coverage notes which test runs which line; nowhere when None.
    """

    files: Sequence[Path]
    names: frozenset[str] | None = None
    measured: Path | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave the others out, as a plugin of pytest."""
        items[:] = [item for item in items if self.names is None or item.nodeid in self.names]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note which tests ran while they were measured, and which of them failed."""
        for happened, suffix in ((report.when == "call", RAN), (report.failed, FAILED)):
            if self.measured and happened:
                with self.measured.with_suffix(suffix).open("a") as noted:
                    noted.write(f"{report.nodeid}\n")


def run(tree: Path, tests: Tests, seed: int, timeout_s: float) -> Ran:
    """Run tests in a process of their own, which leads a group; end what is left of them."""
    output = tree.parent / "output"
    pid = os.fork()
    if pid:
        return _wait(pid, output, timeout_s)
    try:
        os._exit(_run(tree, tests, seed, output))
    finally:
        os._exit(pytest.ExitCode.INTERNAL_ERROR)


def _wait(pid: int, output: Path, timeout_s: float) -> Ran:
    began = time.monotonic()
    status = None
    while status is None and time.monotonic() - began < timeout_s:
        time.sleep(0.02)
        done, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else None
    _end_group(pid)
    if status is None:
        os.waitpid(pid, 0)
    said = output.read_text(errors="replace")
    in_time = status is not None and "Failed: Timeout (>" not in said
    return Ran(-signal.SIGKILL if status is None else status, in_time, time.monotonic() - began, said)


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _run(tree: Path, tests: Tests, seed: int, output: Path) -> int:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.chdir(tree)
    told = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(told, stream)
    rooms = str(tree / ".dev")
    sys.path.insert(0, rooms)
    os.environ["PYTHONPATH"] = rooms
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    options += [
        f"--timeout={MEASURED_TIMEOUT_S if tests.measured else TEST_TIMEOUT_S}",
        f"--hypothesis-seed={seed}",
    ]
    if tests.measured:
        os.environ["COVERAGE_FILE"] = str(tests.measured)
        options += ["--cov=transports", "--cov-context=test", "--cov-report="]
    else:
        options += ["-x"]
    return pytest.main([*options, *(str(each) for each in tests.files)], plugins=[tests])
