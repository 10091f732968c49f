"""Items of a conversation stand where a client wants them."""

from __future__ import annotations

import pytest

from callpipe.transports.realtime.emulator.conversation import Conversation
from callpipe.transports.realtime.emulator.errors import RequestError
from callpipe.transports.realtime.emulator.items import FunctionCall, FunctionCallOutput, Message, Text


def message(item_id: str) -> Message:
    return Message(item_id, "user", [Text("input_text", item_id)])


@pytest.fixture
def conversation() -> Conversation:
    conversation = Conversation("conv")
    for item_id in ("a", "b", "c"):
        conversation.append(message(item_id))
    return conversation


def ids(conversation: Conversation) -> list[str]:
    return [item.id for item in conversation]


@pytest.mark.parametrize(
    ("after", "previous", "order"),
    [(None, "c", "abcx"), ("root", None, "xabc"), ("a", "a", "axbc"), ("b", "b", "abxc"), ("c", "c", "abcx")],
)
def test_an_item_is_put_where_it_belongs(
    conversation: Conversation, after: str | None, previous: str | None, order: str
) -> None:
    assert conversation.insert(message("x"), after) == previous
    assert ids(conversation) == list(order)


def test_the_first_item_has_none_before_it() -> None:
    conversation = Conversation("conv")

    assert conversation.append(message("a")) is None
    assert conversation.append(message("b")) == "a"
    assert conversation.append(message("c")) == "b"


@pytest.mark.parametrize(
    ("item", "after", "code"),
    [
        (message("b"), None, "item_create_duplicate_item_id"),
        (message("x"), "unknown", None),
        (FunctionCallOutput("o", "call", "{}"), None, "invalid_tool_call_id"),
    ],
)
def test_what_has_no_place_is_refused(
    conversation: Conversation, item: Message | FunctionCallOutput, after: str | None, code: str | None
) -> None:
    with pytest.raises(RequestError) as refused:
        conversation.insert(item, after)

    assert code is None or code in repr(vars(refused.value))
    assert ids(conversation) == ["a", "b", "c"]


def test_an_output_follows_its_call(conversation: Conversation) -> None:
    conversation.append(FunctionCall("f", "call", "book", "{}"))

    assert conversation.insert(FunctionCallOutput("o", "call", "{}"), None) == "f"
