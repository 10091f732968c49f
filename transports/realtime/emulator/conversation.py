"""The conversation of a session: its items in order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import cast

from ...speech.interfaces import CallTool, Heard, Say, ToolOutput
from .errors import RequestError
from .items import FunctionCall, FunctionCallOutput, Item, Message, ModelSpeech
from .usage import ContextPart

ROOT = "root"
"""Stands, as a predecessor, for the place before the first item."""


class Conversation:
    """Items in order, found by their ids."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def append(self, item: Item) -> str | None:
        """Add an item at the end and return the id of the one before it."""
        previous = self._items[-1].id if self._items else None
        self._items.append(item)
        return previous

    def insert(self, item: Item, after: str | None) -> str | None:
        """Add an item behind another and return the id of the one before it.

        Args:
            item: The new item.
            after: An item's id, ``root`` for the beginning, None for the end.

        Raises:
            RequestError: The item's id is taken, there is no item `after`, or an output's call is unknown.
        """
        if any(known.id == item.id for known in self._items):
            raise RequestError(
                f"Error adding item: the item with id '{item.id}' already exists.",
                "item_create_duplicate_item_id",
                "item.id",
            )
        if isinstance(item, FunctionCallOutput) and self._call(item.call_id) is None:
            raise RequestError(
                f"Tool call ID '{item.call_id}' not found in conversation.",
                "invalid_tool_call_id",
                "item.call_id",
            )
        if after is None:
            return self.append(item)
        place = 0 if after == ROOT else self._place(after) + 1
        if place == 0 and after != ROOT:
            raise RequestError(
                f"Error adding item: the previous item with id '{after}' does not exist.",
                "item_create_invalid_previous_item_id",
                "previous_item_id",
            )
        self._items.insert(place, item)
        return self._items[place - 1].id if place else None

    def delete(self, item_id: str) -> None:
        """Remove an item.

        Raises:
            RequestError: There is no such item.
        """
        self._items.remove(self._found(item_id, "deleting", "delete"))

    def retrieve(self, item_id: str) -> Item:
        """Return an item.

        Raises:
            RequestError: There is no such item.
        """
        return self._found(item_id, "retrieving", "retrieve")

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Cut the model's audio at `audio_end_ms` and delete its transcript.

        Raises:
            RequestError: There is no such item or content, it is no audio of the model, or it is shorter.
        """
        item = self._found(item_id, "truncating", "truncate")
        content = item.content if isinstance(item, Message) else []
        speech = content[content_index] if content_index < len(content) else None
        if content and speech is None:
            raise RequestError(
                f"Error truncating item: the item has no content part {content_index}.",
                "invalid_value",
                "content_index",
            )
        if not isinstance(speech, ModelSpeech) or speech.audio_ms == 0:
            raise RequestError("Only model output audio messages can be truncated", "invalid_value", "item_id")
        if audio_end_ms > speech.length_ms:
            raise RequestError(
                f"Audio content of {speech.length_ms}ms is already shorter than {audio_end_ms}ms",
                "invalid_value",
                "audio_end_ms",
            )
        speech.audio_ms = float(audio_end_ms)
        speech.transcript = None

    def previous(self, item_id: str) -> str | None:
        """Return the id of the item before another; None when there is none, or the other one was deleted."""
        place = self._place(item_id)
        return self._items[place - 1].id if place > 0 else None

    def _place(self, item_id: str) -> int:
        return next((number for number, item in enumerate(self._items) if item.id == item_id), -1)

    def _found(self, item_id: str, doing: str, verb: str) -> Item:
        place = self._place(item_id)
        if place < 0:
            raise RequestError(
                f"Error {doing} item: the item with id '{item_id}' does not exist.",
                f"item_{verb}_invalid_item_id",
                "item_id",
            )
        return self._items[place]

    def _call(self, call_id: str) -> FunctionCall | None:
        calls = (item for item in self._items if isinstance(item, FunctionCall))
        return next((call for call in calls if call.call_id == call_id), None)


def history(items: Iterable[Item]) -> list[Heard | Say | CallTool | ToolOutput]:
    """Return what a brain knows of the conversation: of the model's own words, those that were heard."""
    names: dict[str, str] = {}
    told: list[Heard | Say | CallTool | ToolOutput] = []
    for item in items:
        match item:
            case Message(role="user"):
                told.append(Heard(item.understood))
            case Message(role="assistant"):
                told.append(Say(item.understood))
            case FunctionCall():
                names[item.call_id] = item.name
                told.append(CallTool(item.name, _arguments(item.arguments)))
            case FunctionCallOutput():
                told.append(ToolOutput(names.get(item.call_id, ""), item.output))
            case _:
                pass
    return told


def system_messages(items: Iterable[Item]) -> list[str]:
    """Return the instructions that were given in mid-conversation."""
    return [item.understood for item in items if isinstance(item, Message) and item.role == "system"]


def context(items: Iterable[Item]) -> list[ContextPart]:
    """Return what the items take in a response's context."""
    return [ContextPart((item.id,), item.tokens) for item in items]


def _arguments(text: str) -> dict[str, object]:
    """A client may bring any text as a call's arguments; what is no object counts as none."""
    try:
        arguments: object = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", arguments) if isinstance(arguments, dict) else {}
