"""The measuring of rehearsed calls, on calls that nobody held."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from callpipe.pipelines.rehearsal.conversation import (
    APOLOGY,
    EXCHANGES,
    GREETING,
    TOOL,
    TOOL_RESULT,
    History,
)
from callpipe.pipelines.rehearsal.measures import (
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
from callpipe.transports.speech.interfaces import CallTool, Heard, Say, ToolOutput
from callpipe.transports.speech.tones import ToneEar, ToneVoice


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
    assert utterances(silence(300) + tones("b")[:640] + silence(300), ToneEar().hear) == []
    assert utterances(b"", ToneEar().hear) == []
