"""A conversation as a call's journal has it, so that another process can go on with it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from callpipe.transports.restored import (
    AuthorWords,
    BotWords,
    CallerWords,
    Restored,
    RestoredEntry,
    ToolRun,
)

MAX_ENTRIES = 1_000
"""Entries that are restored; the oldest are left out beyond it."""

Told = Mapping[str, Any]


def restore(events: Iterable[object]) -> Restored:
    """Return what a call's conversation has come to.

    Never fails: what is no event, or lacks what its kind has, is passed over. The events may be of several
    generations, each going on where the one before it was lost.

    Args:
        events: As `read_journal` gives them.
    """
    reading = _Reading()
    for event in events:
        if isinstance(event, Mapping):
            reading.take(event)  # pyright: ignore[reportUnknownArgumentType]  of whatever
    return reading.restored()


class _Reading:
    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], RestoredEntry] = {}
        self._begins: dict[tuple[str, str], float] = {}
        self._caller_speaks = False
        self._instructions: str | None = None
        self._tool_names: tuple[str, ...] | None = None
        self._ends = False
        self._cost_usd = 0.0
        self._redacted = False
        self._line_began_at: float | None = None

    def take(self, event: Told) -> None:
        name = event.get("event")
        take = _TAKES.get(name) if isinstance(name, str) else None
        if take is not None:
            take(self, event)

    def restored(self) -> Restored:
        keys = sorted(self._entries, key=lambda key: self._begins[key])[-MAX_ENTRIES:]
        entries = [self._entries[key] for key in keys]
        last_caller = next((one for one in reversed(entries) if isinstance(one, CallerWords)), None)
        unheard = last_caller is not None and last_caller.text is None and _unanswered(entries)
        spoken = [one for one in entries if not _empty(one)]
        return Restored(
            entries=tuple(
                BotWords(one.text) if isinstance(one, BotWords) and one is not spoken[-1] else one
                for one in spoken
            ),
            caller_unheard=self._caller_speaks or unheard,
            instructions=self._instructions,
            tool_names=self._tool_names,
            ends=self._ends,
            cost_usd=self._cost_usd,
            redacted=self._redacted,
            line_began_at=self._line_began_at,
        )

    def _put(self, kind: str, item_id: str, entry: RestoredEntry, begins: float) -> None:
        key = (kind, item_id)
        self._begins.setdefault(key, begins)
        self._entries[key] = entry

    def caller_spoke(self, event: Told) -> None:
        item_id = _text(event, "item_id")
        if item_id and ("caller", item_id) not in self._entries:
            self._put("caller", item_id, CallerWords(None), _t(event))

    def caller_turn(self, event: Told) -> None:
        item_id, text = _text(event, "item_id"), _text(event, "text")
        if item_id is not None and text is not None:
            self._put("caller", item_id, CallerWords(text), _t(event))

    def bot_speaking(self, event: Told) -> None:
        item_id, heard = _text(event, "item_id"), _text(event, "heard_text")
        if item_id and heard is not None:
            self._put("bot", item_id, BotWords(heard, cut=True), _began(event))

    def bot_turn(self, event: Told) -> None:
        item_id, heard = _text(event, "item_id"), _text(event, "heard_text")
        if item_id and heard is not None:
            cut = heard != event.get("text") and event.get("interrupted") is not True
            self._put("bot", item_id, BotWords(heard, cut=cut), _began(event))

    def tool_started(self, event: Told) -> None:
        self._tool(event, None)

    def tool_call(self, event: Told) -> None:
        if event.get("outcome") != "cancelled":
            self._tool(event, _text(event, "output"))
        elif ("tool", _text(event, "call_id")) not in self._entries:
            self._tool(event, None)  # it may or may not have done its work

    def _tool(self, event: Told, output: str | None) -> None:
        call_id, name = _text(event, "call_id"), _text(event, "tool_name")
        if call_id and name:
            arguments = _json(_text(event, "arguments"))
            repeatable = event.get("side_effects") is False
            self._put("tool", call_id, ToolRun(call_id, name, arguments, output, repeatable), _t(event))

    def author_told(self, event: Told) -> None:
        text = _text(event, "text")
        if text:
            self._put("author", str(len(self._entries)), AuthorWords(text), _t(event))

    def model_changed(self, event: Told) -> None:
        self._instructions = _text(event, "instructions") or self._instructions
        names = event.get("tool_names")
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):  # pyright: ignore[reportUnknownVariableType]
            self._tool_names = tuple(names)  # pyright: ignore[reportUnknownArgumentType]

    def redaction(self, event: Told) -> None:
        self._redacted = event.get("on") is True

    def end_asked(self, _event: Told) -> None:
        self._ends = True

    def used(self, event: Told) -> None:
        cost_usd = event.get("cost_usd")
        if isinstance(cost_usd, int | float) and math.isfinite(cost_usd):
            self._cost_usd += max(cost_usd, 0.0)

    def line_began(self, event: Told) -> None:
        if self._line_began_at is None:
            self._line_began_at = _unix_time(event)

    def carrier_told(self, event: Told) -> None:
        if event.get("type") == "mediaStreamStarted":
            self.line_began(event)

    def caller_started(self, _event: Told) -> None:
        self._caller_speaks = True

    def caller_stopped(self, _event: Told) -> None:
        self._caller_speaks = False


_TAKES: Mapping[str, Callable[[_Reading, Told], None]] = {
    "author_told": _Reading.author_told,
    "bot_speaking": _Reading.bot_speaking,
    "bot_turn": _Reading.bot_turn,
    "caller_spoke": _Reading.caller_spoke,
    "caller_turn": _Reading.caller_turn,
    "end_asked": _Reading.end_asked,
    "media_started": _Reading.line_began,
    "model_changed": _Reading.model_changed,
    "redaction": _Reading.redaction,
    "stream_event": _Reading.carrier_told,
    "tool_call": _Reading.tool_call,
    "tool_started": _Reading.tool_started,
    "usage": _Reading.used,
    "user_started_speaking": _Reading.caller_started,
    "user_stopped_speaking": _Reading.caller_stopped,
}

RESTORED_EVENTS = frozenset(_TAKES)
"""The events that a conversation is restored from."""


def _unanswered(entries: list[RestoredEntry]) -> bool:
    """Whether nothing was said after the caller's last turn."""
    for entry in reversed(entries):
        if isinstance(entry, CallerWords):
            return True
        if isinstance(entry, BotWords) and entry.text:
            return False
    return False


def _empty(entry: RestoredEntry) -> bool:
    return isinstance(entry, CallerWords | BotWords) and entry.text == ""


def _text(event: Told, name: str) -> str | None:
    value = event.get(name)
    return value if isinstance(value, str) else None


def _t(event: Told) -> float:
    return _number(event.get("t"))


def _unix_time(event: Told) -> float | None:
    try:
        moment = datetime.fromisoformat(_text(event, "time") or "")
        return None if moment.tzinfo is None else moment.timestamp()
    except (ValueError, OverflowError):
        return None


def _began(event: Told) -> float:
    """Return about when an item began to be heard."""
    return _t(event) - _number(event.get("heard_ms")) / 1000


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        number = float(value)
    except OverflowError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _json(arguments: str | None) -> str:
    """Return a tool call's arguments, which a session refuses unless they are JSON."""
    try:
        json.loads(arguments or "")
    except (ValueError, RecursionError):
        return "{}"
    return arguments or "{}"
