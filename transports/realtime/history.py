"""What a call's conversation has come to, so that another session can be given it: as it was heard.

The server's conversation is gone with its session. Entries stand in its order: a turn of the caller's when they
stopped, an item of the bot's from its first audio on, a tool call, its output, a message of the bot author's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ..call_events import BotTurnFrame
from ..frames import EncodedAudio, ToolCallFrame
from .client_events import (
    add_message,
    add_spoken_message,
    add_tool_call,
    add_tool_output,
    delete_item,
)

MAX_ENTRIES = 1_000
"""Entries that are kept; the oldest are forgotten beyond it."""

MAX_AUDIO_MS = 30_000.0
"""Audio that is kept of turns without a transcript; the oldest is forgotten beyond it."""

INAUDIBLE = "[inaudible]"
"""Stands for a turn of which there is neither transcript nor audio."""

_ROOT = "root"


@dataclass(slots=True, eq=False)
class CallerSaid:
    """A turn of the caller's. Until it is transcribed its audio is kept."""

    item_id: str
    text: str | None = field(default=None, repr=False)
    audio: EncodedAudio | None = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class BotSaid:
    """An item of the bot's; `heard` is None until it is known what the caller heard of it."""

    item_id: str
    heard: str | None = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class ToolAnswered:
    """A tool's output."""

    call_id: str
    output: str = field(repr=False)


@dataclass(slots=True, eq=False)
class AuthorTold:
    """A system message."""

    text: str = field(repr=False)


@dataclass(slots=True, eq=False)
class _Told:
    """What the present session was told of an item: under which id, behind which, in which words."""

    entry_id: str
    after: str
    text: str = field(repr=False)


Entry = CallerSaid | BotSaid | ToolCallFrame | ToolAnswered | AuthorTold


def _as_it_is(turn: EncodedAudio) -> EncodedAudio:
    return turn


class History:
    """The entries, and what the present session was told of them.

    Args:
        given: Turns a turn's audio, as it was kept, into what a session takes.
    """

    def __init__(self, given: Callable[[EncodedAudio], EncodedAudio] = _as_it_is) -> None:
        self._given = given
        self._entries: list[Entry] = []
        self._bots: dict[str, BotSaid] = {}
        self._told: dict[str, _Told] = {}
        self._ids = 0

    # What happens on the call.

    def caller_spoke(self, item_id: str, audio: EncodedAudio | None = None) -> None:
        """Note a turn of the caller's."""
        if self._caller(item_id) is None:
            self._add(CallerSaid(item_id, audio=audio if audio is not None and audio.audio else None))
            self._forget_audio()

    def caller_said(self, item_id: str, text: str) -> None:
        """Note a turn's transcript."""
        turn = self._caller(item_id)
        if turn is not None:
            turn.text, turn.audio = text, None

    def bot_began(self, item_id: str) -> None:
        """Note the first audio of an item."""
        entry = self._bots[item_id] = BotSaid(item_id)
        self._add(entry)

    def bot_said(self, turn: BotTurnFrame) -> list[bytes]:
        """Note what was heard of an item; return what corrects a session that was told otherwise."""
        entry = self._bots.pop(turn.item_id, None)
        if entry is None:
            return []
        entry.heard = turn.heard_text
        told = self._told.pop(turn.item_id, None)
        return [] if told is None or told.text == turn.heard_text else self._correct(told, turn.heard_text)

    def bot_heard(self, item_id: str, words: str) -> None:
        """Note what was heard of an item that is over."""
        self._add(BotSaid(item_id, words))

    def tool_called(self, call: ToolCallFrame) -> None:
        """Note a tool call of the model's."""
        self._add(call)

    def tool_answered(self, call_id: str, output: str) -> None:
        """Note a tool's output."""
        self._add(ToolAnswered(call_id, output))

    def author_told(self, text: str) -> None:
        """Note a system message."""
        self._add(AuthorTold(text))

    # Another session.

    def replay(self, said: Mapping[str, str]) -> list[bytes]:
        """Return what tells a new session the conversation.

        Args:
            said: The words of items that the caller still hears; they are taken to be heard to the end.
        """
        self._told.clear()
        return list(self._events(said))

    def _events(self, said: Mapping[str, str]) -> Iterator[bytes]:
        called: set[str] = set()
        before = _ROOT
        for entry in self._entries:
            entry_id = self._id()
            match entry:
                case CallerSaid(text="") | AuthorTold(text=""):
                    continue
                case CallerSaid(text=None, audio=EncodedAudio() as audio):
                    yield add_spoken_message(self._given(audio).payload, entry_id)
                case CallerSaid(text=text):
                    yield add_message("user", text or INAUDIBLE, entry_id)
                case BotSaid(item_id=item_id, heard=heard):
                    words = said.get(item_id, "") if heard is None else heard
                    if heard is None:
                        self._told[item_id] = _Told(entry_id if words else "", before, words)
                    if not words:
                        continue
                    yield add_message("assistant", words, entry_id)
                case ToolCallFrame():
                    called.add(entry.call_id)
                    yield add_tool_call(entry.call_id, entry.tool_name, entry.arguments, entry_id)
                case ToolAnswered(call_id=call_id) if call_id not in called:
                    continue
                case ToolAnswered(call_id=call_id, output=output):
                    yield add_tool_output(call_id, output, entry_id)
                case AuthorTold(text=text):
                    yield add_message("system", text, entry_id)
            before = entry_id

    def _correct(self, told: _Told, heard: str) -> list[bytes]:
        """Return what puts the words that were heard in the place of those that were told."""
        correction = [delete_item(told.entry_id)] if told.text else []
        place = told.after
        if heard:
            place = self._id()
            correction.append(add_message("assistant", heard, place, after=told.after))
        for other in self._told.values():
            if other.after == told.entry_id:
                other.after = place
        return correction

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        if len(self._entries) > MAX_ENTRIES:
            del self._entries[0]

    def _caller(self, item_id: str) -> CallerSaid | None:
        turns = (entry for entry in reversed(self._entries) if isinstance(entry, CallerSaid))
        return next((turn for turn in turns if turn.item_id == item_id), None)

    def _forget_audio(self) -> None:
        kept_ms = 0.0
        for entry in reversed(self._entries):
            if isinstance(entry, CallerSaid) and entry.audio is not None:
                kept_ms += entry.audio.duration_ms
                if kept_ms > MAX_AUDIO_MS:
                    entry.audio = None

    def _id(self) -> str:
        self._ids += 1
        return f"kept_{self._ids}"
