"""Rehearsed calls: what is measured is what happened, and the faults that are survived stay survived."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from callpipe.pipelines import rehearse as command
from callpipe.pipelines.rehearsal_conversation import (
    APOLOGY,
    EXCHANGES,
    GREETING,
    TOOL,
    TOOL_RESULT,
    History,
    Memory,
    RehearsalBrain,
    words_in,
)
from callpipe.pipelines.rehearsal_faults import MOMENTS, Rehearsal, matrix
from callpipe.pipelines.rehearsal_measures import (
    Evidence,
    Figures,
    Outcome,
    Tally,
    Utterance,
    figures,
    longest_silence,
    owed,
    tally,
    utterances,
)
from callpipe.pipelines.rehearse import RehearsalError, Rehearsed, rehearse, run_rehearsals, table, told
from callpipe.processors.disk import shared_writer
from callpipe.transports.realtime.emulator import Drop, GoSilent, RefuseHandshake
from callpipe.transports.speech.interfaces import CallTool, Heard, Say, ToolOutput
from callpipe.transports.speech.tones import ToneEar, ToneVoice

SURVIVED = (
    "none",
    "error event",
    "unknown event",
    "invalid JSON",
    "audio delta twice",
    "response.done twice",
    "tool call told twice",
    "response.done late",
    "response.done missing",
    "audio after the cancellation",
    "slow deltas",
    "401",
    "403",
    "closed with 4000",
)
"""Faults that a call survives, or ends for with the apology."""


# Whole calls.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a call's records go; opened here, because a thread of the process writes them."""
    shared_writer()
    return tmp_path


def named(rehearsal: Rehearsal) -> str:
    return f"{rehearsal.fault} {rehearsal.moment}".strip()


@pytest.mark.parametrize("rehearsal", [r for r in matrix() if r.fault in SURVIVED], ids=named)
def test_a_fault_that_is_survived(rehearsal: Rehearsal, folder: Path) -> None:
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


def test_real_time_shows_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "matrix", lambda: few()[1:])
    run_rehearsals(Console(quiet=True), tmp_path / "out.json", real_time=True)
    assert json.loads((tmp_path / "out.json").read_text())["faults"][0]["outcome"] == "apologised"


# The measuring, on calls that nobody held.


def perfect() -> Evidence:
    """A call of which every word arrives: utterances of 1 s, answered after 0.8 s."""
    said: list[Utterance] = []
    heard = [Utterance(0.4, 1.4, GREETING)]
    memory: list[Heard | Say | CallTool | ToolOutput] = [Say(" ".join(GREETING))]
    at = 4.0
    for exchange in EXCHANGES:
        answer = exchange.answer[:10] if exchange.cut_short else exchange.answer
        said.append(Utterance(at, at + 1, exchange.said))
        heard.append(Utterance(at + 1.8, at + 2.8, answer))
        memory.append(Heard(" ".join(exchange.said)))
        if exchange.looks_up:
            memory += [CallTool(TOOL, {}), ToolOutput(TOOL, json.dumps(TOOL_RESULT))]
        memory.append(Say(" ".join(answer)))
        at += 2.8 if exchange.cut_short else 5.0
    busy = [(0.0, 0.4), *((turn.end_s, turn.end_s + 0.8) for turn in said)]
    return Evidence(said, heard, at, False, busy, [(), tuple(memory[:-1])], tool_runs=1, sessions=1)


def breaches(evidence: Evidence) -> list[str]:
    return figures(evidence).breaches(recoverable=True)


def test_a_perfect_call_breaks_nothing() -> None:
    shows = figures(perfect())
    assert shows.breaches(recoverable=True) == []
    assert shows.silence_s == pytest.approx(0)
    assert shows.memory_held


def heard_later(evidence: Evidence, place: int, by_s: float) -> Evidence:
    heard = list(evidence.heard)
    late = heard[place]
    heard[place] = replace(late, start_s=late.start_s + by_s, end_s=late.end_s + by_s)
    return replace(evidence, heard=heard)


def test_an_answer_that_is_late() -> None:
    assert figures(heard_later(perfect(), 1, 0.9)).silence_s == pytest.approx(0.9)
    assert breaches(heard_later(perfect(), 1, 0.9)) == []
    assert breaches(heard_later(perfect(), 1, 1.1)) == ["1.1 s of silence"]


def test_what_the_model_takes_itself_is_not_counted() -> None:
    late = heard_later(perfect(), 1, 2.0)
    thinking = (late.said[0].end_s + 0.8, late.said[0].end_s + 2.3)
    assert figures(replace(late, model_busy=[*late.model_busy, thinking])).silence_s == pytest.approx(0.5)


def split(evidence: Evidence, place: int, words: int, gap_s: float) -> Evidence:
    """Let an answer break off and go on after a gap."""
    heard = list(evidence.heard)
    whole = heard[place]
    middle_s = whole.start_s + 0.5
    heard[place : place + 1] = [
        replace(whole, end_s=middle_s, words=whole.words[:words]),
        Utterance(middle_s + gap_s, whole.end_s + gap_s, whole.words[words:]),
    ]
    return replace(evidence, heard=heard)


def test_a_gap_within_an_answer() -> None:
    assert figures(split(perfect(), 1, 4, 0.7)).silence_s == pytest.approx(0.7)
    assert breaches(split(perfect(), 1, 4, 1.5)) == ["1.5 s of silence"]


def test_a_phrase_covers_a_gap() -> None:
    evidence = split(perfect(), 1, 4, 1.5)
    gap_s = evidence.heard[1].end_s
    phrase = Utterance(gap_s + 0.6, gap_s + 1.2, ())
    covered = replace(evidence, heard=[*evidence.heard[:2], phrase, *evidence.heard[2:]])
    assert figures(covered).silence_s == pytest.approx(0.6)


def test_an_answer_that_is_never_finished_is_owed_until_the_caller_goes_on() -> None:
    evidence = perfect()
    heard = list(evidence.heard)
    heard[1] = replace(heard[1], words=heard[1].words[:-1])
    unfinished = replace(evidence, heard=heard)
    assert owed(unfinished)[1] == (evidence.said[0].end_s, evidence.said[1].start_s)
    assert "2.2 s of silence" in breaches(unfinished)


def test_an_answer_that_was_cut_short_is_owed_until_then() -> None:
    evidence = perfect()
    assert owed(evidence)[3] == (evidence.said[2].end_s, evidence.said[3].start_s)


def test_nothing_is_owed_after_the_apology() -> None:
    evidence = perfect()
    sorry = replace(evidence.heard[1], words=(APOLOGY,))
    ended = replace(evidence, said=evidence.said[:1], heard=[evidence.heard[0], sorry], ended_s=60.0)
    shows = figures(ended)
    assert shows.outcome is Outcome.APOLOGISED
    assert shows.silence_s == pytest.approx(0)
    assert shows.breaches(recoverable=False) == []
    assert "the call ended with the apology" in shows.breaches(recoverable=True)


@pytest.mark.parametrize(
    ("gave_up", "breach"), [(True, "the call stayed open and silent"), (False, "the call broke off")]
)
def test_a_call_without_an_end(gave_up: bool, breach: str) -> None:
    evidence = perfect()
    shows = figures(replace(evidence, heard=evidence.heard[:1], gave_up=gave_up))
    assert shows.breaches(recoverable=False) == [breach]
    assert breach in shows.breaches(recoverable=True)


def remembering(evidence: Evidence, memory: History) -> Evidence:
    return replace(evidence, asked=[*evidence.asked, tuple(memory)])


def test_words_of_the_caller_that_the_model_does_not_know_or_knows_twice() -> None:
    evidence = perfect()
    memory = list(evidence.asked[-1])
    turn = next(place for place, entry in enumerate(memory) if isinstance(entry, Heard))
    memory[turn] = Heard(" ".join(EXCHANGES[0].said[2:]))
    assert breaches(remembering(evidence, memory)) == ["2 words of the caller lost", "memory not held"]
    memory[turn] = Heard(" ".join((*EXCHANGES[0].said, EXCHANGES[0].said[-1])))
    assert breaches(remembering(evidence, memory)) == ["1 words of the caller repeated", "memory not held"]
    memory[turn] = Heard(" ".join(EXCHANGES[0].said) + " c0 uh")
    assert breaches(remembering(evidence, memory)) == []


def test_words_that_the_caller_hears_twice() -> None:
    evidence = perfect()
    heard = list(evidence.heard)
    heard[2] = replace(heard[2], words=(*heard[1].words[-3:], *heard[2].words))
    assert breaches(replace(evidence, heard=heard)) == ["3 words repeated to the caller"]


def without(memory: History, kind: type[CallTool | ToolOutput]) -> History:
    return [entry for entry in memory if not isinstance(entry, kind)]


def test_tool_calls_in_the_memory() -> None:
    evidence = perfect()
    memory = evidence.asked[-1]
    assert breaches(remembering(evidence, without(memory, CallTool))) == ["memory not held"]
    assert breaches(remembering(evidence, without(memory, ToolOutput))) == ["memory not held"]
    again = [*memory, CallTool(TOOL, {}), ToolOutput(TOOL, TOOL_RESULT)]
    assert breaches(remembering(evidence, again)) == ["memory not held"]
    assert breaches(replace(evidence, tool_runs=2)) == ["the tool ran 2 times"]


def remembered(evidence: Evidence, answer: Sequence[str], place: int = 0) -> Figures:
    """Let the model believe that it said other words in an answer."""
    memory = list(evidence.asked[-1])
    says = [number for number, entry in enumerate(memory) if isinstance(entry, Say)]
    memory[says[place]] = Say(" ".join(answer))
    return figures(remembering(evidence, memory))


def test_what_the_model_believes_that_the_caller_heard() -> None:
    evidence = perfect()
    assert remembered(evidence, GREETING[:-1]).memory == Tally(10 + 12 + 10 + 9 + 10, 1, 0)
    assert remembered(evidence, (*GREETING, GREETING[0])).memory.repeated == 1
    cut = EXCHANGES[2].answer
    for believed in (9, 10, 11):  # the word of the cut itself may be told or not
        assert remembered(evidence, cut[:believed], place=3).memory_held
    assert remembered(evidence, cut[:8], place=3).memory.lost == 1
    assert remembered(evidence, cut[:13], place=3).memory.repeated == 2
    assert remembered(evidence, cut, place=3).memory_held is False


def test_words_are_counted() -> None:
    assert tally(["a", "b", "c"], ["c", "a", "x", "a", "a"]) == Tally(3, 1, 2)
    assert tally([], ["x"]).is_exact


def test_silence_is_only_counted_where_something_is_owed() -> None:
    heard = [Utterance(2, 3, ()), Utterance(10, 11, ())]
    assert longest_silence([(2.5, 4), (9.5, 11)], heard, []) == pytest.approx(1)
    assert longest_silence([(3, 8)], heard, [(4, 5), (4.5, 6), (7.5, 9)]) == pytest.approx(2.5)
    assert longest_silence([(2, 3)], heard, []) == 0
    assert longest_silence([], heard, []) == 0


def tones(text: str) -> bytes:
    return b"".join(ToneVoice().speak(text))


def silence(duration_ms: int) -> bytes:
    return bytes(16 * duration_ms)


def test_a_track_is_heard_utterance_by_utterance() -> None:
    track = silence(300) + tones("b000 b001 b0") + silence(300) + tones("b002") + silence(200) + tones(" b003")
    [first, second] = utterances(track + silence(500), ToneEar().hear)
    assert first.words == ("b000", "b001")
    assert second.words == ("b002", "b003")
    assert (first.start_s, first.end_s) == pytest.approx((0.3, 0.3 + 12 * 0.04), abs=0.011)
    assert (second.start_s, second.end_s) == pytest.approx((1.08, 1.08 + 0.16 + 0.2 + 0.2), abs=0.011)
    assert utterances(silence(1000), ToneEar().hear) == []
    assert utterances(b"", ToneEar().hear) == []


def test_a_piece_of_a_word_hides_no_word() -> None:
    assert words_in("b1b104 b1 05 c20c200sorry b1042") == ["b104", "c200", "sorry", "b104"]


class TestBrain:
    def answer(self, *history: Heard | Say | CallTool | ToolOutput) -> list[Say | CallTool]:
        return RehearsalBrain(Memory()).answer("", (), history)

    def said(self, place: int) -> Heard:
        return Heard(" ".join(EXCHANGES[place].said))

    def test_greets_and_answers(self) -> None:
        assert RehearsalBrain(Memory()).greet("") == [Say(" ".join(GREETING))]
        assert self.answer(self.said(0)) == [Say(" ".join(EXCHANGES[0].answer))]
        assert self.answer(Heard("c9 mumble")) == []

    def test_goes_on_where_its_history_breaks_off(self) -> None:
        begun = Say(" ".join(EXCHANGES[0].answer[:4]) + " b1")
        assert self.answer(self.said(0), begun) == [Say(" ".join(EXCHANGES[0].answer[4:]))]
        assert self.answer(Say(" ".join(GREETING[:3]))) == [Say(" ".join(GREETING[3:]))]
        assert self.answer(self.said(0), Say(" ".join(EXCHANGES[0].answer))) == []

    def test_looks_up_once(self) -> None:
        call, output = CallTool(TOOL, {"key": EXCHANGES[1].said[0]}), ToolOutput(TOOL, TOOL_RESULT)
        assert self.answer(self.said(1)) == [call]
        assert self.answer(self.said(1), call) == []
        assert self.answer(self.said(1), call, output) == [Say(" ".join(EXCHANGES[1].answer))]

    def test_remembers_what_it_was_told(self) -> None:
        memory = Memory()
        RehearsalBrain(memory).greet("")
        RehearsalBrain(memory).answer("", (), [self.said(0)])
        assert memory.asked == [(), (self.said(0),)]


def test_the_table_names_what_was_broken() -> None:
    shows = figures(replace(perfect(), tool_runs=2))
    console = Console(record=True, width=160)
    console.print(table([Rehearsed(Rehearsal("drop", "now"), shows)]))
    assert "the tool ran 2 times" in console.export_text()
    assert told([Rehearsed(Rehearsal("drop", "now"), shows)])["kept"] == 0
