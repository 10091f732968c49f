"""The mutation sample changes what matters, runs the tests that could tell, and counts honestly."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from findings import Tried, share_killed, table
from mutants import Mistake, Mutant, NumberChanger, Site, draw
from reach import Reach
from spared import is_spared, spared_spans
from trials import Ran, Verdict, changed

SOURCE = '''\
"""A module."""
if TYPE_CHECKING:
    A = 1
LIMIT = 2
Either = Packet | Clear | Stop
FLAGS = READ | WRITE

@dataclass(frozen=True, order=True)
class Packet:
    size: int | None = 3

    @override
    def __repr__(self) -> str:
        return 4

    def cut(self, at: int | str = 5) -> int | None:
        assert at > 6
        logger.debug("at {}", at + 7)
        if at > 8:
            raise ShortError(f"{at + 9}", 10)
        return cast("int | None", at)
'''

MODULE = Path("transports/packet.py")


def position(text: str) -> tuple[int, int]:
    before = SOURCE[: SOURCE.index(text)]
    return before.count("\n") + 1, len(before) - before.rfind("\n") - 1


@pytest.mark.parametrize(
    "text", ["1\n", "frozen=", "| None = 3", "override", "4\n", "| Stop", "| str", "| None:", "> 6", "7)", "9}"]
)
def test_what_types_and_people_read_is_spared(text: str) -> None:
    assert is_spared(position(text), spared_spans(SOURCE))


@pytest.mark.parametrize("text", ["2\n", "| WRITE", "dataclass", "order=", "3\n", "5)", "> 8", "10)"])
def test_what_runs_is_not_spared(text: str) -> None:
    assert not is_spared(position(text), spared_spans(SOURCE))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("at > 8", {"test_cuts", "test_refuses"}),
        ("raise", {"test_refuses"}),
        ("int | str", {"test_cuts", "test_refuses"}),
        ("LIMIT", {"test_cuts", "test_refuses", "test_shows"}),
    ],
)
def test_the_tests_that_run_a_line_are_tried(text: str, found: set[str]) -> None:
    runs = {
        position("return 4")[0]: {"test_shows"},
        position("at > 8")[0]: {"test_cuts", "test_refuses"},
        position("raise")[0]: {"test_refuses"},
    }
    reach = Reach({MODULE: {line: frozenset(tests) for line, tests in runs.items()}})
    assert reach.of(MODULE, SOURCE, position(text)[0]) == found


def test_for_what_runs_at_import_the_tests_of_the_folder_are_tried() -> None:
    here, below, elsewhere = (
        f"tests/{file}::test" for file in ("transports/test_a.py", "transports/b/test_b.py", "test_c.py")
    )
    reach = Reach({}, ran=frozenset({here, below, elsewhere}))
    assert reach.of(MODULE, SOURCE, position("LIMIT")[0]) == {here}
    assert reach.of(MODULE, SOURCE, position("at > 8")[0]) == set()


def test_tests_that_failed_without_a_mistake_are_not_tried() -> None:
    runs = {position("at > 8")[0]: frozenset({"test_cuts", "test_counts_memory"})}
    reach = Reach({MODULE: runs}, failed=frozenset({"test_counts_memory"}))
    assert reach.of(MODULE, SOURCE, position("at > 8")[0]) == {"test_cuts"}


@dataclass
class Number:
    """A number in a text, as a parser gives it."""

    value: str
    start_pos: tuple[int, int] = (1, 0)
    type: str = "number"
    end_pos: tuple[int, int] = (1, 1)


@pytest.mark.parametrize(
    ("written", "more", "less"),
    [
        ("0", "1", "-1"),
        ("0.5", "1.5", "-0.5"),
        ("19", "20", "18"),
        ("20", "40", "10"),
        ("8_000", "16000", "4000"),
        ("50.0", "100.0", "25.0"),
        ("2j", "(1+2j)", "(-1+2j)"),
    ],
)
def test_a_large_number_is_mistaken_by_much(written: str, more: str, less: str) -> None:
    numbers, number = NumberChanger(), Number(written)
    changed = [numbers.mutate(number, index) for index, _ in enumerate(numbers.mutation_positions(number))]
    assert [each.value.strip() for each in changed] == [more, less]
    assert list(numbers.mutation_positions(Number("x", type="name"))) == []


def test_a_seed_draws_the_same_sample_again() -> None:
    sites = [Site(MODULE, (line, 0), (Mistake("a", line), Mistake("b", line))) for line in range(100)]
    drawn = draw(sites, 10, seed=1)
    assert len({site.position for site, _ in drawn}) == 10
    assert drawn == draw(sites, 10, seed=1)
    assert drawn != draw(sites, 10, seed=2)


@pytest.mark.parametrize(
    ("status", "in_time", "verdict"),
    [
        (pytest.ExitCode.OK, True, Verdict.SURVIVED),
        (pytest.ExitCode.TESTS_FAILED, True, Verdict.KILLED),
        (-11, True, Verdict.KILLED),
        (pytest.ExitCode.INTERRUPTED, True, Verdict.NOT_VIABLE),
        (pytest.ExitCode.TESTS_FAILED, False, Verdict.TIMED_OUT),
    ],
)
def test_what_pytest_says_decides(status: int, in_time: bool, verdict: Verdict) -> None:
    assert Ran(status, in_time, 1.0, "").verdict is verdict


def tried(verdict: Verdict, count: int) -> list[Tried]:
    return [Tried(Mutant(MODULE, 17, "", "-at > 8\n+at < 8"), verdict, 1.0)] * count


def test_mutants_that_are_not_viable_count_neither_way() -> None:
    sample = [*tried(Verdict.KILLED, 2), *tried(Verdict.TIMED_OUT, 1), *tried(Verdict.SURVIVED, 1)]
    assert share_killed([*sample, *tried(Verdict.NOT_VIABLE, 6)]) == 0.75
    assert share_killed(tried(Verdict.NOT_VIABLE, 6)) == 0.0


def test_survivors_are_told_with_their_place_and_their_difference() -> None:
    told = table([*tried(Verdict.KILLED, 2), *tried(Verdict.SURVIVED, 1)])
    assert "transports/packet.py:17 survived\n-at > 8\n+at < 8" in told


def test_a_changed_file_is_restored(tmp_path: Path) -> None:
    module = tmp_path / "packet.py"
    module.write_text("LIMIT = 2")
    with changed(module, "LIMIT = 3"):
        assert module.read_text() == "LIMIT = 3"
    assert module.read_text() == "LIMIT = 2"
