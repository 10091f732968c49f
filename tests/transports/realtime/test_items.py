"""What the conversation holds of an interrupted item is what the caller heard of it."""

import json
from typing import Any

import pytest

from callpipe.transports.realtime.items import BotItem, BotItems

MAX_CLOSED_ITEMS = 256


def item(**given: Any) -> BotItem:
    fields: dict[str, Any] = {"generated_ms": 1_000.0, "text": "ten chars."}
    return BotItem("item-1", "response-1", **fields | given)


@pytest.mark.parametrize(
    ("given", "heard_ms", "whole"),
    [
        ({"complete": True}, 980.0, True),
        ({"complete": True}, 979.0, False),
        ({"complete": False}, 1_000.0, False),
        ({"complete": True, "late": True}, 1_000.0, False),
    ],
)
def test_an_item_is_heard_when_a_packet_is_missing_at_the_most(
    given: dict[str, Any], heard_ms: float, whole: bool
) -> None:
    assert item(**given).is_heard(heard_ms) is whole


@pytest.mark.parametrize(
    ("given", "correction"),
    [
        ({"heard_ms": 400.9}, ("conversation.item.truncate", 400)),
        ({"heard_ms": 1.0, "content_index": 2}, ("conversation.item.truncate", 1)),
        ({"heard_ms": 1_500.0}, ("conversation.item.truncate", 1_000)),
        ({"heard_ms": 0.9}, ("conversation.item.delete", None)),
        ({"heard_ms": None}, ("conversation.item.delete", None)),
        ({"heard_ms": 990.0, "complete": True}, None),
        ({"heard_ms": 400.0, "erased": True}, None),
        ({"heard_ms": 0.0, "generated_ms": 0.0}, None),
    ],
)
def test_the_conversation_is_corrected_to_what_was_heard(
    given: dict[str, Any], correction: tuple[str, int | None] | None
) -> None:
    interrupted = item(**given)
    message = interrupted.correction()
    if correction is None:
        assert message is None
        return
    assert message is not None
    event = json.loads(message)
    assert (event["type"], event.get("audio_end_ms")) == correction
    assert event.get("content_index", 0) == (interrupted.content_index if correction[1] else 0)
    assert event["item_id"] == "item-1"
    assert interrupted.erased is (correction[0] == "conversation.item.delete")


@pytest.mark.parametrize(
    ("given", "speaking"),
    [
        ({}, True),
        ({"generated_ms": 0.0}, False),
        ({"generated_ms": 0.5}, True),
        ({"complete": True}, False),
        ({"cut": True}, False),
    ],
)
def test_an_item_speaks_from_its_first_audio_until_it_is_complete_or_cut(
    given: dict[str, Any], speaking: bool
) -> None:
    assert item(**given).speaking is speaking


@pytest.mark.parametrize(
    ("heard_ms", "words"), [(None, ""), (380.0, "ten"), (979.0, "ten"), (980.0, "ten chars.")]
)
def test_a_turn_tells_the_words_that_were_heard_whole(heard_ms: float | None, words: str) -> None:
    turn = item(heard_ms=heard_ms, cut=True).turn(5.0)
    assert turn.heard_text == words
    assert turn.heard_ms == (heard_ms or 0.0)
    assert turn.interrupted


def test_no_more_is_heard_than_was_generated() -> None:
    assert item(heard_ms=1_200.0).turn(5.0).heard_ms == 1_000.0


def test_items_are_found_by_response_until_they_are_closed() -> None:
    items = BotItems()
    first, second = items.open("a", "r1"), items.open("b", "r2")
    assert items.of("r1") == [first]
    assert list(items) == [first, second]
    items.close(first)
    assert items.is_closed("a")
    assert not items.is_closed("b")
    assert items.get("a") is None
    assert list(items) == [second]


def test_the_latest_closed_items_are_remembered() -> None:
    items = BotItems()
    for number in range(MAX_CLOSED_ITEMS + 1):
        items.close(items.open(str(number), "r"))
    assert not items.is_closed("0")
    assert items.is_closed("1")
