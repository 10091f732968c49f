"""The bot's speech on its way to the caller: passed on, cut by interruptions, corrected to what was heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..audio.formats import AudioFormat, Encoding
from ..audio.playhead import Playhead
from ..call_events import BargeInFrame
from ..conversation_events import BotSpeakingFrame
from ..frames import EncodedAudio
from .client_events import delete_item
from .events import AudioDelta, AudioDone, MalformedEventError, TranscriptDelta, TranscriptDone
from .happenings import BotAudio, BotStarted, BotStopped, Happening
from .items import BotItem, BotItems
from .pace import Pace

PROGRESS_S = 1.0
"""How often it is told how far the caller has heard an item."""

CLEAR_DEADLINE_S = 0.25
"""How long an interruption waits for the transport to tell what was heard; then the playhead is asked."""


class BotSpeech:
    """Follows every item from its first audio until it is known what the caller heard of it.

    Args:
        audio_format: The session's format.
        outbox: Where client events go.
        pace: The voice's.

    Attributes:
        playhead: Tells what was heard. The transport's, once it has been handed over; until then one that
            assumes that audio plays as soon as it arrives.
        assumed: Whether `playhead` is the assuming one.
        progress_due: When `progress` has something to tell, in s; None while nothing is being said.
    """

    def __init__(self, audio_format: AudioFormat, outbox: list[bytes], pace: Pace) -> None:
        self.playhead = Playhead()
        self.assumed = True
        self._format = audio_format
        self._outbox = outbox
        self._items = BotItems()
        self._cut_at: float | None = None
        self._cut_by_caller = False
        self._pace = pace
        self.progress_due: float | None = None

    def adopt(self, playhead: Playhead) -> None:
        """Read what was heard from the transport's playhead from now on."""
        self.playhead = playhead
        self.assumed = False

    @property
    def due(self) -> float | None:
        """When an interruption stops waiting for the transport, in s."""
        return None if self._cut_at is None else self._cut_at + CLEAR_DEADLINE_S

    # What the model sends.

    def audio(self, event: AudioDelta, *, cut: bool, now: float) -> list[Happening]:
        """Take a piece of an item; `cut` tells that its response was interrupted before.

        Raises:
            MalformedEventError: The audio ends in half a sample.
        """
        if self._items.is_closed(event.item_id):
            return []
        item = self._items.get(event.item_id)
        if item is None:
            item = self._items.open(event.item_id, event.response_id)
        if cut and not item.complete:
            item.cut = True
        if item.cut:
            self._drop(item)
            return []
        if item.complete or (event.event_id and event.event_id == item.last_event_id):
            return []
        size = len(event.audio)
        if self._format.encoding is Encoding.PCM and size % 2:
            raise MalformedEventError("response.output_audio.delta", "the audio ends in half a sample")
        if not size:
            return []
        began: list[Happening] = []
        if not item.generated_ms:
            item.began_at = now
            self.progress_due = self.progress_due or now + PROGRESS_S
            began.append(BotStarted(item.item_id))
        duration_ms = self._format.duration_ms(size)
        item.generated_ms += duration_ms
        item.last_event_id = event.event_id
        item.content_index = event.content_index
        if self.assumed:
            self.playhead.sent(duration_ms, now, item.item_id)
        return [*began, BotAudio(item.item_id, EncodedAudio(audio=event.audio, audio_format=self._format))]

    def prerecorded(self, item_id: str, text: str, audio: EncodedAudio, now: float) -> list[Happening]:
        """Pass on speech that no model makes, whole; no server's session holds it as an item of its own."""
        item = self._items.open(item_id, "")
        item.text = text
        item.generated_ms = audio.duration_ms
        item.complete = item.erased = True
        item.began_at = now
        self.progress_due = now + PROGRESS_S
        if self.assumed:
            self.playhead.sent(item.generated_ms, now, item_id)
        return [BotStarted(item_id), BotAudio(item_id, audio), BotStopped(item_id)]

    def held(self, phrase: EncodedAudio, now: float) -> None:
        """Note speech that stands for nothing the model says."""
        if self.assumed:
            self.playhead.sent(phrase.duration_ms, now)

    def transcript(self, event: TranscriptDelta | TranscriptDone) -> None:
        """Take a piece of an item's transcript, or the whole of it."""
        if not self._items.is_closed(event.item_id):
            item = self._items.get(event.item_id) or self._items.open(event.item_id, event.response_id)
            item.text = event.transcript if isinstance(event, TranscriptDone) else item.text + event.delta

    def audio_done(self, event: AudioDone, _now: float) -> list[Happening]:
        """Note that an item has no more audio."""
        return self.completed(event.item_id)

    def completed(self, item_id: str) -> list[Happening]:
        """Note that an item is complete."""
        item = self._items.get(item_id)
        return self._complete([item]) if item is not None else []

    def response_over(self, response_id: str, now: float) -> list[Happening]:
        """Note that a response is over, and with it its items."""
        return [*self._complete(self._items.of(response_id)), *self.settle(now)]

    def of(self, response_id: str) -> list[BotItem]:
        """Return the items of a response that are not closed."""
        return self._items.of(response_id)

    def is_unfinished(self, response_id: str) -> bool:
        """Whether a response has begun an item and not ended it."""
        return any(item.generated_ms and not item.complete for item in self._items.of(response_id))

    def whole_words(self, item: BotItem) -> str:
        """Return the words of an item whose audio came whole."""
        return item.whole_words(self._pace)

    def lost(self, now: float) -> list[Happening]:
        """Note that the session is gone: what came is played on, and no server holds it any more."""
        for item in self._items:
            item.erased = True
        return [*self._break_off(list(self._items)), *self.settle(now)]

    def broke_off(self, response_id: str) -> list[Happening]:
        """Note that a response failed in the middle: of what it was to say, what came is played on."""
        return self._break_off(self._items.of(response_id))

    def words(self, now: float) -> dict[str, str]:
        """Return, for every item that is not closed, the words the caller has heard and will hear."""
        words: dict[str, str] = {}
        for item in self._items:
            heard_ms = item.generated_ms
            if item.cut:
                heard_ms = self._heard_ms(item, now) if item.heard_ms is None else item.heard_ms
            words[item.item_id] = item.words_heard(heard_ms)
        return words

    # What the caller hears.

    def unheard(self, now: float) -> bool:
        """Whether something is being passed on or has not been heard."""
        return any(
            item.generated_ms > 0
            and not item.cut
            and not item.is_heard(self.playhead.heard_ms(item.item_id, now))
            for item in self._items
        )

    def progress(self, now: float) -> list[Happening]:
        """Tell, when it is time, how far the caller has heard what is being said."""
        if self.progress_due is None or now < self.progress_due:
            return []
        self.progress_due = now + PROGRESS_S if self.unheard(now) else None
        told: list[Happening] = []
        for item in self._items:
            heard_ms = 0.0 if item.cut else min(self._heard_ms(item, now), item.generated_ms)
            if heard_ms:
                words = replace(item, text=self.whole_words(item)).words_heard(heard_ms)
                told.append(BotSpeakingFrame(now, item.item_id, words, heard_ms, item.began_at))
        return told

    def cut(self, now: float, *, by_caller: bool) -> list[Happening]:
        """Interrupt: nothing more of any open item is passed on."""
        if self._cut_at is None and self.unheard(now):
            self._cut_at = now
            self._cut_by_caller = by_caller
        stopped: list[Happening] = [BotStopped(item.item_id) for item in self._items if item.speaking]
        for item in self._items:
            item.cut = True
        if self.assumed:
            self.playhead.cleared(now)
        return stopped

    def is_cut_by(self, heard_ms: Mapping[str, float]) -> bool:
        """Whether a clear of the playout cut an item that no interruption had ended."""
        return any(item.generated_ms > 0 and not item.cut and item.item_id in heard_ms for item in self._items)

    def cleared(self, heard_ms: Mapping[str, float], now: float) -> list[Happening]:
        """Correct the conversation to what was heard of the items that were cut.

        Args:
            heard_ms: What was heard of each item that was unfinished when the playout was cleared.
            now: The current time in s.
        """
        happened: list[Happening] = []
        barge_in = self._cut_at is not None and self._cut_by_caller
        self._cut_at = None
        for item in self._items:
            if not item.cut or item.heard_ms is not None or not item.generated_ms:
                continue
            heard = heard_ms.get(item.item_id, self.playhead.heard_ms(item.item_id, now))
            if item.is_heard(heard):
                item.cut = False
                continue
            item.heard_ms = min(heard, item.generated_ms) // 1  # the model is told whole milliseconds
            correction = item.correction()
            if correction is not None:
                self._outbox.append(correction)
            if barge_in:
                barge_in = False
                happened.append(BargeInFrame(now, item.item_id, item.heard_ms, item.generated_ms))
        return [*happened, *self.settle(now)]

    def overdue(self, now: float) -> list[Happening]:
        """Stop waiting for the transport when it is time: correct by the playhead as of the interruption."""
        cut_at = self._cut_at
        if cut_at is None or now < cut_at + CLEAR_DEADLINE_S:
            return []
        return self.cleared({item.item_id: self._heard_ms(item, cut_at) for item in self._items}, now)

    def finished(self, now: float) -> list[Happening]:
        """Note that the transport has played all that it was given."""
        happened: list[Happening] = []
        for item in self._items:
            if item.complete and not item.cut and self.playhead.heard_ms(item.item_id, now):
                item.heard_ms = item.generated_ms
                happened.append(self._close(item, now))
        return [*happened, *self.settle(now)]

    def settle(self, now: float) -> list[Happening]:
        """Close every item of which all is known."""
        happened: list[Happening] = []
        for item in self._items:
            if not item.complete:
                continue
            if not item.generated_ms:
                self._forget_words(item)
                self._items.close(item)
            elif item.cut and item.heard_ms is not None:
                happened.append(self._close(item, now))
            elif not item.cut and item.is_heard(self.playhead.heard_ms(item.item_id, now)):
                item.heard_ms = item.generated_ms
                happened.append(self._close(item, now))
        return happened

    def ended(self, now: float) -> list[Happening]:
        """Close every item: the caller hears nothing from now on."""
        happened: list[Happening] = []
        for item in self._items:
            if item.heard_ms is None:
                item.heard_ms = self._heard_ms(item, now)
            if item.generated_ms:
                happened.append(self._close(item, now))
        return happened

    def _close(self, item: BotItem, now: float) -> Happening:
        self._items.close(item)
        return item.turn(now)

    def _heard_ms(self, item: BotItem, at: float) -> float:
        return self.playhead.heard_ms(item.item_id, at)

    def _drop(self, item: BotItem) -> None:
        """Drop late audio. Where none came before the cut, the conversation holds an item nobody heard."""
        item.late = True
        if not item.generated_ms and not item.erased:
            item.erased = True
            self._outbox.append(delete_item(item.item_id))

    def _forget_words(self, item: BotItem) -> None:
        """Take an item out of the conversation whose words were cut off before the first of them was heard."""
        if item.cut and item.text and not item.erased:
            item.erased = True
            self._outbox.append(delete_item(item.item_id))

    def _complete(self, items: list[BotItem]) -> list[Happening]:
        stopped: list[Happening] = [BotStopped(item.item_id) for item in items if item.speaking]
        for item in items:
            if item.speaking and item.text and not item.erased:
                self._pace.learn(item.text, item.generated_ms)
            item.complete = True
        return stopped

    def _break_off(self, items: list[BotItem]) -> list[Happening]:
        stopped: list[Happening] = [BotStopped(item.item_id) for item in items if item.speaking]
        for item in items:
            item.text = self.whole_words(item)
            item.complete = True
        return stopped
