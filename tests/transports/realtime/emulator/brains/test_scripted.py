from __future__ import annotations

import json
from datetime import date

import pytest

from callpipe.transports.realtime.emulator.brains import RECEPTIONIST, Script, ScriptedBrain
from callpipe.transports.speech.demo_words import (
    DEMO_BOOKING_SENTENCES,
    DEMO_GOODBYES,
    DEMO_NAMES,
    DEMO_PARTY_SIZES,
    DEMO_QUESTIONS,
    DEMO_TIMES,
)
from callpipe.transports.speech.interfaces import Brain, CallTool, Heard, Say, SpeechEdge, ToolOutput

from ....speech.telephone import over_the_line
from .restaurant import TOOLS, Conversation, History


def brain_of(yaml: str) -> ScriptedBrain:
    return ScriptedBrain(Script.parse(yaml), today=lambda: date(2026, 11, 20))


@pytest.fixture
def receptionist() -> ScriptedBrain:
    return ScriptedBrain(Script.load(RECEPTIONIST))


def test_the_first_matching_rule_is_taken() -> None:
    brain = brain_of("rules: [{when: hel+o, say: one}, {when: '', say: two}]")
    assert brain.answer("", [], [Heard("Oh HELLO")]) == [Say("one")]
    assert brain.answer("", [], [Heard("x")]) == [Say("two")]


def test_words_come_before_the_call_and_nothing_matched_is_the_fallback() -> None:
    brain = brain_of("rules: [{when: bye, say: Bye!, call: {tool: end_call}}]\nfallback: Pardon?")
    assert brain.answer("", [], [Heard("bye")]) == [Say("Bye!"), CallTool("end_call", {})]
    assert brain.answer("", [], [Heard("hm")]) == [Say("Pardon?")]


def test_arguments_become_what_the_tool_wants() -> None:
    brain = brain_of(
        r"rules: [{when: '(?P<n>\w+) people at (?P<t>.*)', call: {tool: book_table, "
        r"arguments: {name: Bo, party_size: '{n}', time: '{t}', note: '{n}'}}}]"
    )
    heard: History = [Heard("four people at half past six")]
    assert brain.answer("", TOOLS, heard) == [
        CallTool("book_table", {"name": "Bo", "party_size": 4, "time": "18:30", "note": "four"})
    ]
    unknown = CallTool(
        "book_table", {"name": "Bo", "party_size": "four", "time": "half past six", "note": "four"}
    )
    assert brain.answer("", [], heard) == [unknown]


def test_a_tools_output_is_spoken() -> None:
    brain = brain_of(
        """
rules:
  - {after: book, when: error, say: "Sorry, {error}."}
  - {after: book, say: "Table {table.number} for {name}, {nothing}{name.first}"}
  - {after: look, say: "It says {output}."}
"""
    )
    outputs = {
        '{"error": "full"}': "Sorry, full.",
        '{"table": {"number": 7}, "name": "Bo"}': "Table 7 for Bo, {nothing}{name.first}",
    }
    for output, said in outputs.items():
        assert brain.answer("", [], [Heard("x"), ToolOutput("book", output)]) == [Say(said)]
    both: History = [ToolOutput("look", '"rain"'), ToolOutput("look", "[1]")]
    assert brain.answer("", [], both) == [Say("It says rain."), Say("It says [1].")]


def test_an_output_without_a_rule_is_met_with_silence() -> None:
    assert brain_of("{}").answer("", [], [Heard("x"), CallTool("t", {}), ToolOutput("t", "1")]) == []


def test_greetings() -> None:
    assert brain_of("greeting: Hello!").greet('Say "Hi"') == [Say("Hello!")]
    assert brain_of("fallback: Pardon?").greet('Say "Hi"') == [Say("Hi")]
    assert brain_of("fallback: Pardon?").greet("") == [Say("Pardon?")]


def test_where_nothing_new_was_heard_the_quoted_sentence_is_said() -> None:
    brain = brain_of("fallback: Pardon?")
    assert brain.answer('Say "One moment."', [], [Heard("x"), CallTool("t", {})]) == [Say("One moment.")]
    assert brain.answer("", [], []) == [Say("Pardon?")]


def test_it_hears_what_it_speaks_over_a_telephone_line() -> None:
    brain: Brain = brain_of("{}")
    line = over_the_line(brain.voice, "Table 4, please!", before_ms=240, after_ms=300)
    assert brain.ear.hear(line, 8_000) == "Table 4, please!"
    assert brain.detector().detect(line) == [SpeechEdge(True, 240.0), SpeechEdge(False, 880.0)]


def test_the_receptionist_books_what_a_demo_caller_asks_for(receptionist: ScriptedBrain) -> None:
    for name in DEMO_NAMES:
        for sentence in DEMO_BOOKING_SENTENCES:
            for (size, people), (time, said) in zip(DEMO_PARTY_SIZES.items(), DEMO_TIMES.items(), strict=False):
                heard = sentence.format(people=people, time=said, name=name)
                arguments: dict[str, object] = {"name": name, "party_size": size, "time": time}
                assert receptionist.answer("", TOOLS, [Heard(heard)]) == [CallTool("book_table", arguments)]


def test_the_receptionist_answers_the_rest_of_a_demo_call(receptionist: ScriptedBrain) -> None:
    for question in DEMO_QUESTIONS:
        day = question.split()[-1].strip("?")
        (called,) = receptionist.answer("", TOOLS, [Heard(question)])
        assert isinstance(called, CallTool)
        assert called.arguments == {"day": day.lower()}
    for goodbye in DEMO_GOODBYES:
        assert Conversation(receptionist.answer).calls(goodbye) == [CallTool("end_call", {})]
    told = receptionist.answer(
        "", TOOLS, [ToolOutput("opening_hours", json.dumps({"day": "monday", "hours": "closed"}))]
    )
    assert isinstance(told[0], Say)
    assert told[0].text.startswith("On monday it is closed.")
