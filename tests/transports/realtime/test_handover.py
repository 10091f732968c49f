"""What a lost session leaves to be said is owed by the next one, and a silence that takes long is covered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.encoded_audio import EncodedAudio
from callpipe.transports.realtime.bot_speech import BotSpeech
from callpipe.transports.realtime.caller import CallerSpeech
from callpipe.transports.realtime.dialogue import Dialogue
from callpipe.transports.realtime.events import AudioDelta, Item, TranscriptDone
from callpipe.transports.realtime.handover import CONTINUE, Handover
from callpipe.transports.realtime.pace import Pace
from callpipe.transports.realtime.responses import GO_ON, Wish, say_exactly

COVERED_AFTER_S = 0.8
LOOK_AGAIN_S = 0.1

WORDS = "one two three four five six seven eight nine ten"
DICTATED = Wish(say_exactly(WORDS), WORDS)
PHRASE = EncodedAudio(audio=bytes(8_000))
LOUD = bytes([0x00]) * 160
QUIET = bytes([0xFF]) * 160


class Call:
    """A session of which the parts are moved by hand."""

    def __init__(self, *, phrase: EncodedAudio | None = PHRASE) -> None:
        self.outbox: list[bytes] = []
        self.dialogue = Dialogue(self.outbox)
        self.speech = BotSpeech(PCMU_8K, self.outbox, Pace())
        self.caller = CallerSpeech(answered_by_server=True)
        self.handover = Handover(
            self.dialogue,
            self.speech,
            self.caller,
            audio_format=PCMU_8K,
            detects_turns=True,
            holding_phrase=phrase,
        )

    def begins(self, wish: Wish | None = None) -> None:
        request_id = None
        if wish is not None:
            self.dialogue.responses.want(wish)
            request_id = json.loads(self.dialogue.responses.ask(0.0) or b"")["event_id"]
        self.dialogue.began("r-1", request_id)

    def says(self, ms: float, *, complete: bool = False) -> None:
        audio = bytes(PCMU_8K.size(ms))
        self.speech.audio(AudioDelta(response_id="r-1", item_id="a", audio=audio), cut=False, now=1.0)
        self.speech.transcript(TranscriptDone(response_id="r-1", item_id="a", transcript=WORDS))
        assert self.dialogue.responses.live is not None
        self.dialogue.responses.live.spoke = True
        if complete:
            self.speech.completed("a")

    def hears(self, packet: bytes, count: int = 100) -> None:
        for _ in range(count):
            self.handover.audio.hold(packet, 0.0)

    def owed(self) -> Wish | None:
        return self.handover.owed("Be brief.")

    def cover(self, now: float, *, away: bool = True) -> bool:
        return bool(self.handover.cover(now, away=away))


@pytest.fixture
def call() -> Call:
    return Call()


def test_nothing_is_owed_without_a_response_or_of_one_that_was_cut(call: Call) -> None:
    assert call.owed() is None
    call.begins(DICTATED)
    assert call.owed() == DICTATED
    assert call.dialogue.responses.live is not None
    call.dialogue.responses.live.cut = True
    assert call.owed() is None


def test_of_a_dictated_answer_the_words_are_owed_that_did_not_come(call: Call) -> None:
    call.begins(DICTATED)
    call.says(650)
    rest = "three four five six seven eight nine ten"
    assert call.owed() == Wish(say_exactly(rest), rest)


def test_of_a_dictated_answer_that_came_whole_nothing_is_owed(call: Call) -> None:
    call.begins(DICTATED)
    call.says(9_000)
    assert call.owed() is None


@pytest.mark.parametrize(
    ("wish", "instructions"),
    [(None, "Be brief."), (Wish("Greet."), "Greet."), (Wish("Greet.", "Hello"), "Greet.")],
)
def test_any_other_answer_is_to_go_on_where_it_broke_off(
    call: Call, wish: Wish | None, instructions: str
) -> None:
    call.begins(wish)
    call.says(650)
    assert call.owed() == Wish(f"{instructions}\n\n{CONTINUE}")


def test_an_answer_of_which_no_word_came_whole_is_owed_as_it_was(call: Call) -> None:
    call.begins(DICTATED)
    call.says(20)
    assert call.owed() == DICTATED


@pytest.mark.parametrize(("calling", "owed"), [(False, None), (True, GO_ON)])
def test_a_spoken_answer_is_gone_on_with_when_a_call_was_to_follow(
    call: Call, calling: bool, owed: Wish | None
) -> None:
    call.begins(DICTATED)
    call.says(500, complete=True)
    assert call.dialogue.responses.live is not None
    call.dialogue.responses.live.calling = calling
    assert call.owed() == owed


def test_an_answer_that_called_a_tool_is_left_to_the_tools_output(call: Call) -> None:
    call.begins()
    call.dialogue.tool_call(Item(type="function_call", call_id="t-1", name="book"), "r-1")
    assert call.owed() is None


def test_a_lost_session_is_covered_once_what_came_was_heard(call: Call) -> None:
    call.begins()
    call.says(2_000)
    assert call.handover.due is None
    call.handover.lost("Be brief.", 1.5)
    assert call.handover.due == pytest.approx(3.0 + COVERED_AFTER_S)
    assert not call.cover(2.9 + COVERED_AFTER_S)
    assert call.cover(3.0 + COVERED_AFTER_S)
    assert not call.cover(3.1 + COVERED_AFTER_S)
    again = call.handover.due
    assert again is not None
    assert again > 3.0 + COVERED_AFTER_S
    call.handover.replay(4.0)
    assert call.handover.due is None


def test_without_a_phrase_nothing_is_covered() -> None:
    call = Call(phrase=None)
    call.begins()
    call.handover.lost("Be brief.", 1.0)
    assert call.handover.due is None
    assert not call.cover(9.0)


def test_a_call_that_goes_on_has_no_silence_to_cover(call: Call) -> None:
    assert not call.cover(9.0)


@pytest.mark.parametrize("away", [True, False])
def test_nobody_is_owed_an_answer_who_said_nothing(call: Call, away: bool) -> None:
    call.handover.expect_silence(1.0)
    now = 1.0 + COVERED_AFTER_S
    assert not call.cover(now, away=away)
    assert call.handover.due == (now + LOOK_AGAIN_S if away else None)


def test_a_caller_who_spoke_while_nobody_listened_is_answered_when_they_are_done(call: Call) -> None:
    call.handover.lost("Be brief.", 1.0)
    call.hears(LOUD)
    now = 1.0 + COVERED_AFTER_S
    assert not call.cover(now)
    assert call.handover.due == pytest.approx(now + LOOK_AGAIN_S)
    call.hears(QUIET)
    assert call.cover(now + LOOK_AGAIN_S)


def test_a_caller_who_pauses_in_the_middle_of_a_turn_is_left_to_go_on(call: Call) -> None:
    call.handover.lost("Be brief.", 1.0)
    now = 1.0 + COVERED_AFTER_S
    call.hears(LOUD)
    assert not call.cover(now)
    call.hears(QUIET, 30)
    assert not call.cover(now + LOOK_AGAIN_S)
    call.hears(QUIET, 10)
    assert call.cover(now + 2 * LOOK_AGAIN_S)


def test_a_caller_who_was_in_the_middle_of_a_turn_is_answered_by_the_next_session(call: Call) -> None:
    call.caller.started()
    call.handover.lost("Be brief.", 1.0)
    call.handover.replay(2.0)
    assert call.caller.answer_due is not None
    call.caller.answer_due = None
    call.handover.replay(3.0)
    assert call.caller.answer_due is None


def test_a_caller_who_was_silent_is_owed_no_answer(call: Call) -> None:
    call.handover.lost("Be brief.", 1.0)
    call.handover.replay(2.0)
    assert call.caller.answer_due is None
    assert call.dialogue.responses.idle


def test_a_caller_whose_turn_was_not_answered_yet_is_owed_an_answer(call: Call) -> None:
    call.caller.answer_due = 2.0
    call.handover.lost("Be brief.", 1.0)
    assert call.dialogue.responses.wanted


def test_a_new_turn_takes_nothing_from_the_answer_that_is_being_given(call: Call) -> None:
    call.begins(DICTATED)
    call.caller.answer_due = 2.0
    call.handover.lost("Be brief.", 1.0)
    asked = json.loads(call.dialogue.responses.ask(3.0) or b"")
    assert asked["response"]["instructions"] == DICTATED.instructions


def told(messages: list[bytes]) -> list[Any]:
    return [json.loads(message)["item"]["content"][0]["text"] for message in messages]


def test_a_new_session_is_told_the_words_that_the_caller_hears(call: Call) -> None:
    call.begins()
    call.says(650)
    call.handover.note(call.speech.prerecorded("p", "One moment.", PHRASE, 1.0))
    call.handover.lost("Be brief.", 1.1)
    assert told(call.handover.replay(2.0)) == ["One moment."]
