"""Rehearsed calls: what is measured is what happened, and the faults that are survived stay survived."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from callpipe.pipelines import rehearse as command
from callpipe.pipelines.command_line import main
from callpipe.pipelines.rehearsal_faults import MOMENTS, Rehearsal, matrix
from callpipe.pipelines.rehearsal_measures import Figures, Outcome, Tally
from callpipe.pipelines.rehearse import RehearsalError, Rehearsed, rehearse, run_rehearsals, table, told
from callpipe.processors.disk import shared_writer
from callpipe.transports.realtime.emulator import Drop, GoSilent, RefuseHandshake

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
        plan = rehearsal.plan()
        assert [list(plan()) for _ in range(4)] == [
            [Drop(1)],
            [],
            [RefuseHandshake(500)],
            [RefuseHandshake(500)],
        ]


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
