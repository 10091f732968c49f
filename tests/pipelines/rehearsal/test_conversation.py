"""The model of rehearsed calls: it says what its history does not have yet."""

from __future__ import annotations

from callpipe.pipelines.rehearsal.conversation import (
    EXCHANGES,
    GREETING,
    TOOL,
    TOOL_RESULT,
    Memory,
    RehearsalBrain,
    words_in,
)
from callpipe.transports.speech.interfaces import CallTool, Heard, Say, ToolOutput


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
