"""What the bot says, item by item: how much was generated, how much of it was heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..call_events import BotTurnFrame
from .client_events import delete_item, truncate_item
from .pace import HEARD_TOLERANCE_MS, Pace, words_heard

MAX_CLOSED_ITEMS = 256
"""Closed items whose late audio is still recognised."""


@dataclass(slots=True, eq=False)
class BotItem:
    """One item of a response.

    Attributes:
        item_id: The model's id.
        response_id: The response it belongs to.
        content_index: Which content part holds the audio.
        generated_ms: Audio that arrived and was passed on.
        text: The transcript as far as it came.
        complete: No more audio will come.
        cut: An interruption ended it: audio that still comes is dropped.
        late: Audio of it was dropped, so what was passed on is not all that the conversation holds.
        heard_ms: What the caller heard of it; None until that is final.
        erased: The conversation does not hold it any more.
        last_event_id: The event of its newest audio.
        began_at: When its first audio came, in s.
    """

    item_id: str
    response_id: str
    content_index: int = 0
    generated_ms: float = 0.0
    text: str = field(default="", repr=False)
    complete: bool = False
    cut: bool = False
    late: bool = False
    heard_ms: float | None = None
    erased: bool = False
    last_event_id: str = ""
    began_at: float = 0.0

    @property
    def speaking(self) -> bool:
        """Whether it has begun to be passed on, and more may come."""
        return self.generated_ms > 0 and not self.complete and not self.cut

    def whole_words(self, pace: Pace) -> str:
        """Return the words whose audio came whole: of an item that broke off, words came before their sound."""
        return self.text if self.complete else pace.words_in(self.text, self.generated_ms)

    def is_heard(self, heard_ms: float) -> bool:
        """Whether an item heard this far was heard to its end."""
        return self.complete and not self.late and heard_ms >= self.generated_ms - HEARD_TOLERANCE_MS

    def correction(self) -> bytes | None:
        """Return the client event that makes the conversation hold what was heard of an interrupted item.

        The server refuses a cut at 0 ms of an item without audio, and a cut beyond its audio. So an item of
        which nothing was heard is deleted, and one that was heard whole is left alone.
        """
        heard_ms = int(min(self.heard_ms or 0.0, self.generated_ms))
        if not self.generated_ms or self.erased or self.is_heard(heard_ms):
            return None
        if heard_ms == 0:
            self.erased = True
            return delete_item(self.item_id)
        return truncate_item(self.item_id, self.content_index, heard_ms)

    def words_heard(self, heard_ms: float) -> str:
        """Return the words of which so many milliseconds hold all the sound."""
        return words_heard(self.text, heard_ms, self.generated_ms / len(self.text)) if self.text else ""

    def turn(self, now: float) -> BotTurnFrame:
        """Return the item as a turn of the conversation."""
        heard_ms = min(self.heard_ms or 0.0, self.generated_ms)
        return BotTurnFrame(
            at=now,
            item_id=self.item_id,
            text=self.text,
            heard_text=self.words_heard(heard_ms),
            generated_ms=self.generated_ms,
            heard_ms=heard_ms,
            interrupted=self.cut,
            began_at=self.began_at,
        )


class BotItems:
    """The items that are not closed, oldest first, and the ids of those that are."""

    def __init__(self) -> None:
        self._open: dict[str, BotItem] = {}
        self._closed: deque[str] = deque(maxlen=MAX_CLOSED_ITEMS)

    def __iter__(self) -> Iterator[BotItem]:
        return iter(list(self._open.values()))

    def get(self, item_id: str) -> BotItem | None:
        """Return an open item."""
        return self._open.get(item_id)

    def is_closed(self, item_id: str) -> bool:
        """Whether the item is over: whatever still comes of it is late."""
        return item_id in self._closed

    def open(self, item_id: str, response_id: str) -> BotItem:
        """Begin an item."""
        item = self._open[item_id] = BotItem(item_id, response_id)
        return item

    def close(self, item: BotItem) -> None:
        """Forget an item, all but its id."""
        del self._open[item.item_id]
        self._closed.append(item.item_id)

    def of(self, response_id: str) -> list[BotItem]:
        """Return the open items of a response."""
        return [item for item in self._open.values() if item.response_id == response_id]
