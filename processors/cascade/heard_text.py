"""Lets a stock context know what the caller has heard of the bot's words, and not what was generated."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pipecat.frames.frames import (
    CancelFrame,
    Frame,
    InterruptionFrame,
    LLMAssistantPushAggregationFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from callpipe.transports.audio.formats import PCM_8K, AudioFormat
from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.call_events import BargeInFrame, BotTurnFrame, MediaStoppedFrame
from callpipe.transports.frames import PlayheadFrame, PlayoutFinishedFrame
from callpipe.transports.lane import DOWNSTREAM, MediaProcessor

LOOK_S = 0.05
"""How often is looked what has been heard; by so much the context may be behind when the caller cuts in."""

TOLERANCE_MS = 20.0
"""Less than this from its end is heard; a resampler keeps a little back."""


@dataclass
class _Words:
    """A text of the bot and the stretch of its item's audio that says it.

    Attributes:
        frame: The text as the service gave it.
        begins_ms: Where in the item's audio it begins.
        ends_ms: Where it ends, as far as that audio is there.
        audio_follows: The text came before its audio, which lasts until the next text.
        released: How many of its words went on.
    """

    frame: TTSTextFrame
    begins_ms: float
    ends_ms: float
    audio_follows: bool
    released: int = 0


@dataclass
class _Item:
    """What the bot says in one go.

    Attributes:
        context_id: The service's id of it.
        generated_ms: The audio that there is of it.
        texts: Its texts so far.
        heard: The words of it that went on.
        began_at: When the first of it came, in s.
    """

    context_id: str
    began_at: float
    generated_ms: float = 0.0
    texts: list[_Words] = field(default_factory=list[_Words])
    heard: list[str] = field(default_factory=list[str])


_TURN_MARKS = (LLMFullResponseStartFrame, LLMFullResponseEndFrame, LLMAssistantPushAggregationFrame)


class HeardText(MediaProcessor):
    """Stands behind a stock text-to-speech service and lets its text go on word by word, as it is heard.

    So the assistant's context aggregator, behind the transport's output, has what the caller has heard when
    they cut in. It tells the journal of the bot's turns and of barge-ins.

    Args:
        clock: Monotonic seconds, the transport's clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._playhead: Playhead | None = None
        self._items: dict[str, _Item] = {}
        self._held: deque[_Words | Frame] = deque()
        self._looking: asyncio.Task[None] | None = None

    def process_audio(self, frame: Frame) -> Frame | None:
        """Count what there is of each item."""
        if isinstance(frame, TTSAudioRawFrame) and frame.context_id is not None:
            item = self._item(frame.context_id)
            audio_format = AudioFormat(PCM_8K.encoding, frame.sample_rate, frame.num_channels)
            item.generated_ms += audio_format.duration_ms(len(frame.audio))
            if item.texts and item.texts[-1].audio_follows:
                item.texts[-1].ends_ms = item.generated_ms
        return frame

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Hold the text back until it is heard; drop what is cut off."""
        match frame:
            case TTSTextFrame() if direction is DOWNSTREAM and frame.append_to_context:
                self._hold_text(frame)
            case _ if isinstance(frame, _TURN_MARKS) and direction is DOWNSTREAM and self._held:
                self._held.append(frame)
            case LLMFullResponseEndFrame() | LLMAssistantPushAggregationFrame() if direction is DOWNSTREAM:
                await self._turn_over(frame)
            case InterruptionFrame() if direction is DOWNSTREAM:
                await self._cut_off()
                await self.push_frame(frame, direction)
            case MediaStoppedFrame() | CancelFrame():
                await self._cut_off()
                await self.push_frame(frame, direction)
            case PlayheadFrame(playhead=playhead):
                self._playhead = playhead
                await self.push_frame(frame, direction)
            case PlayoutFinishedFrame():
                await self.push_frame(frame, direction)
                await self._release()
            case _:
                await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Stop looking."""
        await super().cleanup()
        if self._looking is not None:
            self._looking.cancel()

    def _item(self, context_id: str) -> _Item:
        return self._items.setdefault(context_id, _Item(context_id, self._clock()))

    def _hold_text(self, frame: TTSTextFrame) -> None:
        """Hold a text: of the audio since the text before it, or, where there is none, of what comes."""
        item = self._item(frame.context_id or "")
        begins_ms = item.texts[-1].ends_ms if item.texts else 0.0
        if item.texts:
            item.texts[-1].audio_follows = False
        words = _Words(frame, begins_ms, item.generated_ms, audio_follows=item.generated_ms <= begins_ms)
        item.texts.append(words)
        self._held.append(words)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name=f"{self} looks what is heard")

    async def _look(self) -> None:
        while self._held:
            await self._release()
            await asyncio.sleep(LOOK_S)

    def _heard_ms(self, item: _Item) -> float:
        if self._playhead is None:
            return item.generated_ms
        return self._playhead.heard_ms(item.context_id, self._clock())

    async def _release(self) -> None:
        """Let go on what has been heard."""
        while self._held:
            head = self._held[0]
            if isinstance(head, _Words):
                if not await self._release_words(head):
                    return
                self._held.popleft()
            else:
                self._held.popleft()
                await self._turn_over(head)

    async def _release_words(self, words: _Words) -> bool:
        """Let go on what has been heard of a text; return whether that is all of it."""
        item = self._item(words.frame.context_id or "")
        heard_ms, length_ms = self._heard_ms(item), words.ends_ms - words.begins_ms
        if length_ms <= 0:
            return not words.audio_follows or len(self._held) > 1  # without audio nothing is heard of it
        over = heard_ms >= words.ends_ms - TOLERANCE_MS
        share = 1.0 if over else max(0.0, heard_ms - words.begins_ms) / length_ms
        every = words.frame.text.split()
        due = every[words.released : int(share * len(every))]
        if due:
            words.released += len(due)
            item.heard += due
            await self.push_frame(_text(words.frame, " ".join(due)))
        return over

    async def _turn_over(self, mark: Frame) -> None:
        """Everything before a mark has been heard: tell the journal, and let it go on."""
        if not isinstance(mark, LLMFullResponseStartFrame):
            for item in list(self._items.values()):
                if item.texts:
                    del self._items[item.context_id]
                    await self._tell(item, interrupted=False)
        await self.push_frame(mark)

    async def _cut_off(self) -> None:
        """Forget what has not been heard."""
        await self._release()
        unheard = any(isinstance(held, _Words) for held in self._held)
        self._held.clear()
        items, self._items = list(self._items.values()), {}
        for item in items:
            if unheard and item.generated_ms:
                heard_ms = self._heard_ms(item)
                await self.push_frame(BargeInFrame(self._clock(), item.context_id, heard_ms, item.generated_ms))
                await self._tell(item, interrupted=True)
            elif item.texts:
                await self._tell(item, interrupted=False)

    async def _tell(self, item: _Item, *, interrupted: bool) -> None:
        turn = BotTurnFrame(
            at=self._clock(),
            item_id=item.context_id,
            text=" ".join(words.frame.text.strip() for words in item.texts),
            heard_text=" ".join(item.heard),
            generated_ms=item.generated_ms,
            heard_ms=self._heard_ms(item),
            interrupted=interrupted,
            began_at=item.began_at,
        )
        await self.push_frame(turn)


def _text(frame: TTSTextFrame, text: str) -> TTSTextFrame:
    """Return a part of a text."""
    part = TTSTextFrame(text, frame.text_type, context_id=frame.context_id)
    part.append_to_context = frame.append_to_context
    return part
