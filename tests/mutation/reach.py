"""Which tests run a line: those alone can find a mistake in it."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData
from trials import FAILED, RAN


@dataclass(frozen=True)
class Reach:
    """Who runs what.

    Attributes:
        tests: For each module's file, from the root of the tree, and each of its lines, the tests that run it.
        ran: All tests, those included that run no line but what Python itself makes of a class.
        failed: Tests that failed though nothing was wrong; they tell nothing.
    """

    tests: Mapping[Path, Mapping[int, frozenset[str]]]
    ran: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()

    def of(self, module: Path, source: str, line: int) -> frozenset[str]:
        """Return the tests that can find a mistake in a line.

        For what runs when the module is imported, these are all that run a line of it, and those of its folder:
        other modules read what it defines.
        """
        known = self.tests.get(module, {})
        lines = lines_that_matter(source, line)
        if lines is not None:
            return _all_of(known.get(each, frozenset()) for each in lines) - self.failed
        beside = (test for test in self.ran if _file(test).parent == "tests" / module.parent)
        return _all_of([*known.values(), frozenset(beside)]) - self.failed


def _all_of(some: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset(test for tests in some for test in tests)


def _file(test: str) -> Path:
    return Path(test.partition("::")[0])


def read(measured: Iterable[tuple[Path, Path]]) -> Reach:
    """Read what coverage noted: a copy of the tree, and its file, for each part of the tests."""
    tests: defaultdict[Path, defaultdict[int, frozenset[str]]] = defaultdict(lambda: defaultdict(frozenset))
    ran, failed = set[str](), set[str]()
    for tree, noted in measured:
        for names, suffix in ((ran, RAN), (failed, FAILED)):
            if (listed := noted.with_suffix(suffix)).exists():
                names.update(listed.read_text().splitlines())
        data = CoverageData(str(noted))
        data.read()
        for file in data.measured_files():
            lines = tests[Path(file).relative_to(tree)]
            for line, contexts in data.contexts_by_lineno(file).items():
                lines[line] |= {context.rpartition("|")[0] for context in contexts if context}
    return Reach(tests, frozenset(ran), frozenset(failed))


def lines_that_matter(source: str, line: int) -> range | None:
    """Return the lines of which one runs when a mistake in a line matters.

    Those are the lines of its statement; for a function's head (defaults, decorators) its body's, for that of
    another compound statement the head's. None for what runs when the module is imported.
    """
    statements = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.stmt)]
    enclosing = [each for each in statements if line in _extent(each)]  # from the outside to the inside
    functions = [each for each in enclosing if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    if not functions:
        return None
    innermost = enclosing[-1]
    body: list[ast.stmt] = getattr(innermost, "body", [])
    if innermost is functions[-1]:
        return range(body[0].lineno, _extent(innermost).stop)
    return range(innermost.lineno, max(body[0].lineno, innermost.lineno + 1)) if body else _extent(innermost)


def _extent(statement: ast.stmt) -> range:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(each.lineno for each in decorators)])
    return range(first, (statement.end_lineno or statement.lineno) + 1)
