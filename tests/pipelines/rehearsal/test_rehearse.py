"""Rehearsed calls: what is measured is what happened, and the faults that are survived stay survived."""

from __future__ import annotations

import json
from collections import Counter
from itertools import takewhile
from pathlib import Path

import pytest
from rich.console import Console

from callpipe.pipelines.command_line import main
from callpipe.pipelines.rehearsal import rehearse as command
from callpipe.pipelines.rehearsal.faults import MOMENTS, Rehearsal, matrix
from callpipe.pipelines.rehearsal.measures import LONGEST_SILENCE_S, Figures, Outcome, Tally
from callpipe.pipelines.rehearsal.rehearse import RehearsalError, rehearse, run_rehearsals, told
from callpipe.pipelines.rehearsal.tables import (
    Rehearsed,
    TableMissingError,
    by_call,
    by_fault,
    table,
    write_into,
)
from callpipe.processors.disk import shared_writer
from callpipe.transports.realtime.emulator import Drop, GoSilent, RefuseHandshake, UnansweredHandshake

# Whole calls.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a call's records go; opened here, because a thread of the process writes them."""
    shared_writer()
    return tmp_path


def named(rehearsal: Rehearsal) -> str:
    return f"{rehearsal.fault} {rehearsal.moment}".strip()


@pytest.mark.parametrize("rehearsal", matrix(), ids=named)
def test_a_fault_costs_no_more_than_it_may(rehearsal: Rehearsal, folder: Path) -> None:
    assert rehearse(rehearsal, folder).breaches == []


def test_a_call_without_a_fault_is_measured_as_one(folder: Path) -> None:
    shows = rehearse(matrix()[0], folder).figures
    assert shows.outcome is Outcome.WENT_ON
    assert shows.silence_s < 0.05
    assert shows.caller_words == Tally(30, 0, 0)
    assert shows.bot_words == Tally(50, 0, 0)
    assert shows.memory.is_exact
    assert 10 + 12 + 10 + 5 + 10 <= shows.memory.expected <= 10 + 12 + 10 + 9 + 10
    assert (shows.tool_runs, shows.tool_calls, shows.tool_results, shows.sessions) == (1, 1, 1, 1)


@pytest.mark.parametrize("moment", MOMENTS)
def test_every_moment_comes(moment: str, folder: Path) -> None:
    struck = rehearse(Rehearsal("silence", moment, [[GoSilent(MOMENTS[moment])]]), folder).figures
    assert struck.outcome is not Outcome.WENT_ON or struck.sessions > 1


def test_every_rehearsal_has_a_name_of_its_own() -> None:
    names = [named(rehearsal) for rehearsal in matrix()]
    assert len(names) == len(set(names)) > 50


def test_a_plan_is_for_one_call() -> None:
    refused = RefuseHandshake(500)
    rehearsal = Rehearsal("", "", [[Drop(1)], []], [refused])
    for _ in range(2):
        (plan,) = rehearsal.plans()
        assert [list(plan()) for _ in range(4)] == [
            [Drop(1)],
            [],
            [RefuseHandshake(500)],
            [RefuseHandshake(500)],
        ]


def test_a_second_place_has_faults_of_its_own() -> None:
    rehearsal = Rehearsal("", "", [[Drop(1)]], [RefuseHandshake(500)], second_place=[RefuseHandshake(503)])
    first, second = rehearsal.plans()
    assert [list(first()) for _ in range(2)] == [[Drop(1)], [RefuseHandshake(500)]]
    assert [list(second()) for _ in range(2)] == [[RefuseHandshake(503)]] * 2


def test_a_session_that_is_followed_in_time_is_not_lost(folder: Path) -> None:
    shows = rehearse(Rehearsal("", "", rollover_after_s=7.5), folder).figures
    assert shows.sessions > 1  # and nothing broke that would have opened another
    assert shows.silence_s < 0.05
    assert shows.memory_held


def test_a_place_that_rests_is_not_waited_for(folder: Path) -> None:
    never = [UnansweredHandshake()]
    waited, resting = (
        rehearse(Rehearsal("", "", [], never, second_place=[], first_rests=rests), folder).figures
        for rests in (False, True)
    )
    assert waited.silence_s > 0.5
    assert resting.silence_s < 0.05


# The command.


def few() -> list[Rehearsal]:
    return [matrix()[0], Rehearsal("401", "always", afterwards=[RefuseHandshake(401)], recoverable=False)]


def test_what_is_shown_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "matrix", few)
    console = Console(record=True, width=160)
    run_rehearsals(console, tmp_path / "out.json", real_time=False)
    shown = console.export_text()
    assert "401    always" in shown
    assert "apologised" in shown
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["kept"], written["rehearsed"]) == (2, 2)
    assert written["faults"][0]["outcome"] == "went on"
    assert written["faults"][0]["caller_words"] == {"expected": 30, "lost": 0, "repeated": 0}
    assert written["faults"][0]["memory_held"] is True
    assert written["faults"][1]["recoverable"] is False


def test_a_promise_that_is_broken_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    never_recovers = Rehearsal("401", "called recoverable", afterwards=[RefuseHandshake(401)])
    monkeypatch.setattr(command, "matrix", lambda: [never_recovers, few()[1]])
    with pytest.raises(RehearsalError, match="1 of 2 faults cost more") as broken:
        run_rehearsals(Console(quiet=True), None, real_time=False)
    assert broken.value.broken == ("401 called recoverable",)


def test_the_command_ends_with_the_number_of_broken_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "matrix", lambda: [Rehearsal("401", "", afterwards=[RefuseHandshake(401)])])
    monkeypatch.setattr("sys.argv", ["callpipe", "rehearse", "--json", str(tmp_path / "out.json")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "callpipe: 1 of 1 faults cost more than they may\n"
    assert json.loads((tmp_path / "out.json").read_text())["kept"] == 0


def test_real_time_shows_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "matrix", lambda: few()[1:])
    run_rehearsals(Console(quiet=True), tmp_path / "out.json", real_time=True)
    assert json.loads((tmp_path / "out.json").read_text())["faults"][0]["outcome"] == "apologised"


def test_the_table_names_what_was_broken() -> None:
    words = Tally(30, 0, 0)
    shows = Figures(Outcome.WENT_ON, 1.3, words, words, words, 2, 1, 1, sessions=1)
    console = Console(record=True, width=160)
    console.print(table([Rehearsed(Rehearsal("drop", "now"), shows)]))
    assert "1.3 s of silence, the tool ran 2 times" in console.export_text()
    assert told([Rehearsed(Rehearsal("drop", "now"), shows)])["kept"] == 0


# Markdown.

WORDS = Tally(30, 0, 0)


def shown(fault: str, moment: str, silence_s: float, repeated: int = 0) -> Rehearsed:
    bot = Tally(50, 0, repeated)
    shows = Figures(Outcome.WENT_ON, silence_s, WORDS, bot, WORDS, 1, 1, 1, sessions=2)
    return Rehearsed(Rehearsal(fault, moment), shows)


def test_a_table_has_the_worst_of_each_fault_or_a_line_for_each_call() -> None:
    away = Figures(Outcome.APOLOGISED, 0.1, WORDS, WORDS, WORDS, 0, 0, 0, sessions=0)
    for_good = Rehearsed(Rehearsal("drop", "for good", recoverable=False), away)
    calls = [shown("drop", "now", 0.02), shown("drop", "then", 0.5, repeated=1), for_good]
    assert by_fault(calls)[2:] == [
        "| drop | 2 | 0.50 s | 0 / 0 | 1 | yes | went on |",
        "| drop | 1 | 0.10 s | - | - | - | apologised |",
    ]
    assert by_call(calls)[2:] == [
        "| drop | now | 0.02 s | 0 / 0 | 0 | yes | went on |",
        "| drop | then | 0.50 s | 0 / 0 | 1 | yes | went on |",
        "| drop | for good | 0.10 s | - | - | - | apologised |",
    ]


def test_a_table_of_a_file_is_replaced_and_the_rest_is_left(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    head = by_fault([])
    path.write_text(
        "\n".join(["before", "", *head, "| old | 1 |", "| older | 1 |", "", "| another | table |", ""])
    )
    write_into(path, [shown("drop", "now", 0.02)])
    new = ["before", "", *by_fault([shown("drop", "now", 0.02)]), "", "| another | table |", ""]
    assert path.read_text() == "\n".join(new)


def test_a_file_without_a_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("nothing\n")
    with pytest.raises(
        TableMissingError, match=r"README\.md has no table that begins with \| fault \| moments"
    ):
        write_into(path, [])


def test_the_command_writes_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "matrix", lambda: few()[1:])
    path = tmp_path / "table.md"
    path.write_text("\n".join(by_call([])))
    monkeypatch.setattr("sys.argv", ["callpipe", "rehearse", "--into", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "| 401 | always | 0.00 s | - | - | - | apologised |" in path.read_text()


ROOT = Path(__file__).parents[3]


def rows(path: Path, headings: str) -> list[list[str]]:
    lines = path.read_text().splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith(headings)) + 2
    table_lines = takewhile(lambda line: line.startswith("|"), lines[first:])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table_lines]


def test_the_readme_tells_of_every_fault() -> None:
    faults = Counter((rehearsal.fault, rehearsal.recoverable) for rehearsal in matrix())
    written = rows(ROOT / "README.md", "| fault | moments |")
    assert [row[:2] for row in written] == [[fault, str(count)] for (fault, _), count in faults.items()]


def test_the_page_on_reliability_tells_of_every_call_and_that_the_promise_is_kept() -> None:
    written = rows(ROOT / "docs" / "reliability.md", "| fault | moment |")
    assert [row[:2] for row in written] == [[rehearsal.fault, rehearsal.moment] for rehearsal in matrix()]
    for row, rehearsal in zip(written, matrix(), strict=True):
        if rehearsal.recoverable:
            assert float(row[2].removesuffix(" s")) <= LONGEST_SILENCE_S
            assert row[3:] == ["0 / 0", "0", "yes", "went on"]
        else:
            assert row[6] == "apologised"
