"""Text goes on as it is heard: with text behind its audio, before it, or without any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.utils.text.base_text_aggregator import TextType

from callpipe.processors.cascade import HeardText
from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.call_events import BargeInFrame, BotTurnFrame, MediaStoppedFrame
from callpipe.transports.frames import PlayheadFrame
from callpipe.transports.lane import DOWNSTREAM, UPSTREAM
from callpipe.transports.virtual_time import in_virtual_time


class Spoken(HeardText):
    """A `HeardText` whose audio is sent as soon as it is there, and which keeps what goes on."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.passed: list[Frame] = []
        self.playhead = Playhead()
        self.now = clock

    async def push_frame(self, frame: Frame, direction: FrameDirection = DOWNSTREAM) -> None:
        del direction
        self.passed.append(frame)

    async def audio(self, duration_ms: int, context_id: str = "a") -> None:
        frame = TTSAudioRawFrame(bytes(duration_ms * 16), 8_000, 1, context_id=context_id)
        assert self.process_audio(frame) is frame
        self.playhead.sent(duration_ms, self.now(), context_id)

    async def text(self, text: str, context_id: str = "a", *, kept: bool = True) -> TTSTextFrame:
        frame = TTSTextFrame(text, TextType.SENTENCE, context_id=context_id)
        frame.append_to_context = kept
        await self.process_event(frame, DOWNSTREAM)
        return frame

    def told(self) -> str:
        return " ".join(frame.text for frame in self.passed if isinstance(frame, TTSTextFrame))

    def of(self, kind: type[Frame]) -> list[Frame]:
        return [frame for frame in self.passed if isinstance(frame, kind)]


async def begun() -> Spoken:
    spoken = Spoken(asyncio.get_running_loop().time)
    await spoken.process_event(PlayheadFrame(spoken.playhead), UPSTREAM)
    spoken.passed.clear()
    return spoken


@in_virtual_time(deadline_s=60)
async def test_a_sentence_behind_its_audio_goes_on_word_by_word() -> None:
    spoken = await begun()
    await spoken.audio(1_000)
    await spoken.text("one two three four")
    await spoken.audio(500)
    await spoken.text("five six")
    await spoken.process_event(LLMFullResponseEndFrame(), DOWNSTREAM)
    await asyncio.sleep(0.56)
    assert spoken.told() == "one two"
    await asyncio.sleep(0.5)
    assert spoken.told() == "one two three four"
    assert spoken.of(LLMFullResponseEndFrame) == []
    await asyncio.sleep(1)
    assert spoken.told() == "one two three four five six"
    (turn,) = spoken.of(BotTurnFrame)
    assert isinstance(turn, BotTurnFrame)
    assert (turn.text, turn.heard_text) == ("one two three four five six",) * 2
    assert (turn.interrupted, turn.generated_ms) == (False, 1_500)
    assert isinstance(spoken.passed[-1], LLMFullResponseEndFrame)


@in_virtual_time(deadline_s=60)
async def test_words_before_their_audio_wait_for_it() -> None:
    spoken = await begun()
    for word in ("one", "two", "three"):
        await spoken.text(word)
        await spoken.audio(400)
    await asyncio.sleep(0.9)
    assert spoken.told() == "one two"
    await spoken.process_event(InterruptionFrame(), DOWNSTREAM)
    (barge_in,) = spoken.of(BargeInFrame)
    assert isinstance(barge_in, BargeInFrame)
    assert (round(barge_in.believed_ms), barge_in.generated_ms) == (900, 1_200)
    (turn,) = spoken.of(BotTurnFrame)
    assert isinstance(turn, BotTurnFrame)
    assert (turn.text, turn.heard_text, turn.interrupted) == ("one two three", "one two", True)
    await asyncio.sleep(2)
    assert spoken.told() == "one two"


@in_virtual_time(deadline_s=60)
async def test_a_text_that_was_never_spoken_was_never_heard() -> None:
    spoken = await begun()
    await spoken.text("silent")
    await spoken.process_event(LLMFullResponseEndFrame(), DOWNSTREAM)
    await asyncio.sleep(0.2)
    assert spoken.told() == ""
    assert len(spoken.of(LLMFullResponseEndFrame)) == 1


@in_virtual_time(deadline_s=60)
async def test_the_next_answer_waits_until_the_one_before_it_is_heard() -> None:
    spoken = await begun()
    await spoken.audio(600)
    await spoken.text("first")
    for mark in (LLMFullResponseEndFrame(), LLMFullResponseStartFrame()):
        await spoken.process_event(mark, DOWNSTREAM)
    await spoken.audio(600, "b")
    await spoken.text("second", "b")
    await spoken.process_event(LLMFullResponseEndFrame(), DOWNSTREAM)
    await asyncio.sleep(2)
    kinds = (TTSTextFrame, LLMFullResponseStartFrame, LLMFullResponseEndFrame)
    order = [
        frame.text if isinstance(frame, TTSTextFrame) else type(frame).__name__
        for frame in spoken.passed
        if isinstance(frame, kinds)
    ]
    assert order == [
        "first",
        "LLMFullResponseEndFrame",
        "LLMFullResponseStartFrame",
        "second",
        "LLMFullResponseEndFrame",
    ]
    assert len(spoken.of(BotTurnFrame)) == 2


@in_virtual_time(deadline_s=60)
async def test_a_caller_who_is_gone_hears_no_more() -> None:
    spoken = await begun()
    await spoken.audio(1_000)
    await spoken.text("one two three four")
    await asyncio.sleep(0.3)
    await spoken.process_event(MediaStoppedFrame(0.3, "stop", {}), DOWNSTREAM)
    (turn,) = spoken.of(BotTurnFrame)
    assert isinstance(turn, BotTurnFrame)
    assert turn.heard_text == "one"


@in_virtual_time(deadline_s=60)
async def test_text_that_is_not_for_the_context_passes() -> None:
    spoken = await begun()
    aside = await spoken.text("aside", kept=False)
    assert spoken.passed == [aside]


@in_virtual_time(deadline_s=60)
async def test_a_caller_who_cuts_in_when_all_is_heard_has_heard_it() -> None:
    spoken = await begun()
    await spoken.text("silent", "b")
    await spoken.audio(500)
    await spoken.text("one two")
    await spoken.audio(100, "without words")
    await asyncio.sleep(0.6)
    await spoken.process_event(InterruptionFrame(), DOWNSTREAM)
    assert spoken.of(BargeInFrame) == []
    turns = [turn for turn in spoken.of(BotTurnFrame) if isinstance(turn, BotTurnFrame)]
    assert [(turn.item_id, turn.heard_text, turn.interrupted) for turn in turns] == [
        ("b", "", False),
        ("a", "one two", False),
    ]


@in_virtual_time(deadline_s=60)
async def test_without_a_playhead_what_is_sent_is_heard() -> None:
    spoken = Spoken(asyncio.get_running_loop().time)
    await spoken.audio(1_000)
    await spoken.text("one two three four")
    await asyncio.sleep(0.01)
    assert spoken.told() == "one two three four"
