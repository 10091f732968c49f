"""What the bot says is passed on once, and the conversation holds what the caller heard of it."""

from __future__ import annotations

import json

import pytest

from callpipe.transports.audio.formats import PCM_24K, PCMU_8K
from callpipe.transports.call_events import BargeInFrame, BotTurnFrame
from callpipe.transports.conversation_events import BotSpeakingFrame
from callpipe.transports.encoded_audio import EncodedAudio
from callpipe.transports.errors import CallpipeError
from callpipe.transports.realtime.bot_speech import BotSpeech
from callpipe.transports.realtime.events import AudioDelta, TranscriptDelta, TranscriptDone
from callpipe.transports.realtime.happenings import BotAudio, BotStarted, BotStopped
from callpipe.transports.realtime.pace import Pace

CLEAR_DEADLINE_S = 0.25
PROGRESS_S = 1.0

TEN_WORDS = "one two three four five six seven eight nine ten"


class Bot:
    """A bot's speech of which each second of audio comes at once and plays as soon as it came."""

    def __init__(self) -> None:
        self.outbox: list[bytes] = []
        self.speech = BotSpeech(PCMU_8K, self.outbox, Pace())
        self._events = 0

    def say(self, ms: float, now: float, item: str = "a", *, cut: bool = False) -> list[type]:
        self._events += 1
        audio = bytes(PCMU_8K.size(ms))
        event = AudioDelta(response_id="r", item_id=item, audio=audio, event_id=f"e{self._events}")
        return [type(each) for each in self.speech.audio(event, cut=cut, now=now)]

    def write(self, text: str, item: str = "a") -> None:
        self.speech.transcript(TranscriptDone(response_id="r", item_id=item, transcript=text))

    @property
    def corrections(self) -> list[tuple[str, str, int | None]]:
        events = [json.loads(message) for message in self.outbox]
        return [
            (event["type"].rpartition(".")[2], event["item_id"], event.get("audio_end_ms")) for event in events
        ]


@pytest.fixture
def bot() -> Bot:
    return Bot()


def test_an_item_starts_once_and_stops_when_it_is_complete(bot: Bot) -> None:
    assert bot.say(20, 1.0) == [BotStarted, BotAudio]
    assert bot.say(20, 1.0) == [BotAudio]
    assert [type(each) for each in bot.speech.completed("a")] == [BotStopped]
    assert bot.speech.completed("a") == []
    assert bot.say(20, 1.0) == []
    assert bot.speech.completed("unknown") == []


def test_a_piece_without_audio_starts_nothing(bot: Bot) -> None:
    assert bot.say(0, 1.0) == []
    assert not bot.speech.unheard(1.0)
    assert not bot.speech.is_unfinished("r")
    assert bot.say(20, 1.0) == [BotStarted, BotAudio]
    assert bot.speech.is_unfinished("r")


def test_half_a_sample_is_refused() -> None:
    speech = BotSpeech(PCM_24K, [], Pace())
    with pytest.raises(CallpipeError, match="half a sample"):
        speech.audio(AudioDelta(response_id="r", item_id="a", audio=bytes(3)), cut=False, now=1.0)


def test_speech_is_heard_as_it_plays_and_closed_when_it_is_heard(bot: Bot) -> None:
    bot.say(2_000, 1.0)
    bot.write(TEN_WORDS)
    bot.speech.completed("a")
    assert bot.speech.unheard(2.9)
    assert bot.speech.settle(2.9) == []
    assert not bot.speech.unheard(3.0)
    (turn,) = bot.speech.settle(3.0)
    assert isinstance(turn, BotTurnFrame)
    assert (turn.heard_text, turn.heard_ms, turn.interrupted, turn.began_at) == (TEN_WORDS, 2_000, False, 1.0)
    assert bot.corrections == []


def test_progress_is_told_once_a_second_while_something_is_heard(bot: Bot) -> None:
    assert bot.speech.progress_due is None
    bot.say(2_400, 1.0)
    bot.write(TEN_WORDS)
    bot.speech.completed("a")
    assert bot.speech.progress_due == 1.0 + PROGRESS_S
    assert bot.speech.progress(0.9 + PROGRESS_S) == []
    (told,) = bot.speech.progress(1.0 + PROGRESS_S)
    assert isinstance(told, BotSpeakingFrame)
    assert (told.item_id, told.heard_ms, told.began_at) == ("a", 1_000.0 * PROGRESS_S, 1.0)
    assert TEN_WORDS.startswith(told.heard_text)
    assert 0 < len(told.heard_text) < len(TEN_WORDS)
    assert bot.speech.progress_due == 1.0 + 2 * PROGRESS_S
    bot.speech.progress(9.0)
    assert bot.speech.progress_due is None


def test_a_caller_who_cuts_in_is_told_to_the_model_where(bot: Bot) -> None:
    bot.say(2_000, 1.0)
    bot.write(TEN_WORDS)
    stopped = bot.speech.cut(1.5, by_caller=True)
    assert [type(each) for each in stopped] == [BotStopped]
    assert bot.speech.due == 1.5 + CLEAR_DEADLINE_S
    assert not bot.speech.unheard(1.5)
    assert bot.say(20, 1.6) == []
    barge_in, *rest = bot.speech.cleared({"a": 480.7}, 1.6)
    assert isinstance(barge_in, BargeInFrame)
    assert (barge_in.believed_ms, barge_in.generated_ms) == (480.0, 2_000.0)
    assert rest == []
    assert bot.corrections == [("truncate", "a", 480)]
    assert bot.speech.due is None
    (turn,) = bot.speech.response_over("r", 1.7)
    assert isinstance(turn, BotTurnFrame)
    assert (turn.heard_ms, turn.interrupted) == (480.0, True)


def test_one_barge_in_is_told_however_many_items_it_cuts(bot: Bot) -> None:
    bot.say(500, 1.0, "a")
    bot.say(500, 1.0, "b")
    bot.speech.cut(1.2, by_caller=True)
    told = bot.speech.cleared({"a": 200.0, "b": 0.0}, 1.3)
    assert [each.item_id for each in told if isinstance(each, BargeInFrame)] == ["a"]
    assert bot.corrections == [("truncate", "a", 200), ("delete", "b", None)]


def test_an_item_that_was_heard_does_not_keep_the_next_from_being_corrected(bot: Bot) -> None:
    bot.say(500, 1.0, "a")
    bot.speech.completed("a")
    bot.say(500, 1.0, "b")
    bot.speech.cut(1.7, by_caller=True)
    told = bot.speech.cleared({"b": 200.0}, 1.7)
    assert [(type(each), each.item_id) for each in told if isinstance(each, BargeInFrame | BotTurnFrame)] == [
        (BargeInFrame, "b"),
        (BotTurnFrame, "a"),
    ]
    assert bot.corrections == [("truncate", "b", 200)]


def test_what_nobody_cut_in_on_is_no_barge_in(bot: Bot) -> None:
    bot.say(500, 1.0)
    bot.speech.cut(1.2, by_caller=False)
    assert bot.speech.cleared({"a": 200.0}, 1.3) == []
    assert bot.corrections == [("truncate", "a", 200)]


def test_nothing_is_waited_for_when_everything_was_heard(bot: Bot) -> None:
    bot.say(500, 1.0)
    bot.speech.completed("a")
    bot.speech.cut(1.6, by_caller=True)
    assert bot.speech.due is None


def test_a_transport_that_does_not_clear_is_waited_for_so_long(bot: Bot) -> None:
    bot.say(2_000, 1.0)
    bot.speech.cut(1.5, by_caller=True)
    assert bot.speech.overdue(1.4 + CLEAR_DEADLINE_S) == []
    (barge_in,) = bot.speech.overdue(1.5 + CLEAR_DEADLINE_S)
    assert isinstance(barge_in, BargeInFrame)
    assert barge_in.believed_ms == 500.0
    assert bot.speech.overdue(9.0) == []


def test_audio_of_a_response_that_was_cut_before_is_taken_out_of_the_conversation_once(bot: Bot) -> None:
    assert bot.say(20, 1.0, cut=True) == []
    assert bot.say(20, 1.0, cut=True) == []
    assert bot.corrections == [("delete", "a", None)]


def test_a_phrase_of_ours_is_spoken_whole_and_held_by_no_server(bot: Bot) -> None:
    audio = EncodedAudio(audio=bytes(8_000))
    happened = bot.speech.prerecorded("p", "One moment, please.", audio, 1.0)
    assert [type(each) for each in happened] == [BotStarted, BotAudio, BotStopped]
    assert bot.speech.unheard(1.9)
    assert bot.speech.progress_due == 1.0 + PROGRESS_S
    bot.speech.cut(1.5, by_caller=True)
    bot.speech.cleared({"p": 500.0}, 1.5)
    assert bot.corrections == []


def test_a_phrase_that_stands_for_nothing_delays_what_follows(bot: Bot) -> None:
    bot.speech.held(EncodedAudio(audio=bytes(8_000)), 1.0)
    assert not bot.speech.unheard(1.0)
    bot.say(500, 1.0)
    bot.speech.completed("a")
    assert bot.speech.unheard(2.4)
    assert not bot.speech.unheard(2.5)


def test_words_come_in_pieces_or_whole(bot: Bot) -> None:
    bot.say(400, 1.0)
    for piece in ("one ", "two"):
        bot.speech.transcript(TranscriptDelta(response_id="r", item_id="a", delta=piece))
    assert bot.speech.words(1.0) == {"a": "one two"}
    bot.write("one two three")
    assert bot.speech.words(1.0) == {"a": "one two three"}


def test_a_lost_session_leaves_the_words_whose_audio_came(bot: Bot) -> None:
    bot.say(650, 1.0)
    bot.write(TEN_WORDS)
    assert [type(each) for each in bot.speech.lost(1.1)] == [BotStopped]
    assert bot.speech.words(1.1) == {"a": "one two"}
    assert bot.speech.lost(1.2) == []


def test_an_item_that_goes_on_keeps_no_other_from_being_closed(bot: Bot) -> None:
    bot.say(500, 1.0, "a")
    bot.say(500, 1.0, "b")
    bot.speech.completed("b")
    assert [each.item_id for each in bot.speech.settle(2.0) if isinstance(each, BotTurnFrame)] == ["b"]


def test_a_playout_that_finished_closes_what_is_complete(bot: Bot) -> None:
    bot.say(500, 1.0, "a")
    bot.say(500, 1.0, "b")
    bot.speech.completed("a")
    told = bot.speech.finished(1.3)
    assert [(each.item_id, each.heard_ms) for each in told if isinstance(each, BotTurnFrame)] == [("a", 500.0)]


def test_a_call_that_ends_closes_everything_as_far_as_it_was_heard(bot: Bot) -> None:
    bot.say(500, 1.0, "a")
    bot.say(500, 1.0, "b")
    told = bot.speech.ended(1.7)
    assert [(each.item_id, round(each.heard_ms)) for each in told if isinstance(each, BotTurnFrame)] == [
        ("a", 500),
        ("b", 200),
    ]


def test_a_clear_of_what_is_being_said_is_a_cut(bot: Bot) -> None:
    bot.say(500, 1.0)
    assert bot.speech.is_cut_by({"a": 100.0})
    assert not bot.speech.is_cut_by({"b": 100.0})
    bot.speech.cut(1.1, by_caller=True)
    assert not bot.speech.is_cut_by({"a": 100.0})


def test_what_comes_late_of_an_item_that_is_over_is_not_spoken(bot: Bot) -> None:
    bot.say(100, 1.0)
    bot.speech.completed("a")
    bot.speech.settle(2.0)
    assert bot.speech.words(2.0) == {}
    assert bot.say(100, 2.1) == []


def test_a_new_session_is_told_only_the_words_of_a_cut_item_that_were_heard(bot: Bot) -> None:
    bot.say(1_000, 1.0)
    bot.write(TEN_WORDS)
    assert bot.speech.words(1.5)["a"] == TEN_WORDS
    bot.speech.cut(1.5, by_caller=True)
    assert bot.speech.words(1.5)["a"].split() == TEN_WORDS.split()[:5]
