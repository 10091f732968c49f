"""What a new session is told of the conversation."""

from __future__ import annotations

import json
from typing import Any

from openai.types.realtime import ConversationItemCreateEvent

from callpipe.transports.audio.formats import PCM_24K
from callpipe.transports.call_events import BotTurnFrame
from callpipe.transports.frames import EncodedAudio, ToolCallFrame
from callpipe.transports.realtime.history import History

MAX_AUDIO_MS = 30_000.0
MAX_ENTRIES = 1_000


def audio(ms: float = 500) -> EncodedAudio:
    return EncodedAudio(audio=b"\1\0" * (PCM_24K.size(ms) // 2), audio_format=PCM_24K)


def heard(item_id: str, words: str) -> BotTurnFrame:
    return BotTurnFrame(0.0, item_id, "all the words", words, 1000, 500, interrupted=True)


def replayed(history: History, **said: str) -> list[dict[str, Any]]:
    events = [json.loads(message) for message in history.replay(said)]
    for event in events:
        ConversationItemCreateEvent.model_validate(event)
    return [event["item"] for event in events]


def brief(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    def content(item: dict[str, Any]) -> str:
        if item["type"] != "message":
            return item.get("output") or item["arguments"]
        part = item["content"][0]
        return part.get("text") or f"{len(part['audio'])} of base64"

    return [(item.get("role") or item["type"], content(item)) for item in items]


def test_everything_is_told_in_its_order_as_what_it_is() -> None:
    history = History()
    history.author_told("The caller is a guest.")
    history.bot_began("b1")
    history.bot_said(heard("b1", "Good morning."))
    history.caller_spoke("c1", audio())
    history.tool_called(ToolCallFrame("call_1", "look_up", '{"key":1}'))
    history.caller_said("c1", "What is the price?")
    history.tool_answered("call_1", '{"euros":80}')
    history.bot_began("b2")

    items = replayed(history, b2="Eighty")

    assert brief(items) == [
        ("system", "The caller is a guest."),
        ("assistant", "Good morning."),
        ("user", "What is the price?"),
        ("function_call", '{"key":1}'),
        ("function_call_output", '{"euros":80}'),
        ("assistant", "Eighty"),
    ]
    assert [item["content"][0]["type"] for item in items if item["type"] == "message"] == [
        "input_text",
        "output_text",
        "input_text",
        "output_text",
    ]
    assert items[3]["call_id"] == items[4]["call_id"] == "call_1"
    assert len({item["id"] for item in items}) == 6
    assert all(len(item["id"]) <= 32 for item in items)


def test_a_turn_without_a_transcript_is_told_as_audio() -> None:
    history = History()
    history.caller_spoke("c1", audio(40))

    (item,) = replayed(history)

    assert item["content"] == [{"type": "input_audio", "audio": audio(40).payload}]


def test_what_was_not_heard_or_said_is_not_told() -> None:
    history = History()
    history.bot_began("b1")
    history.bot_said(heard("b1", ""))
    history.bot_began("b2")
    history.caller_spoke("c1", audio())
    history.caller_said("c1", "")

    assert replayed(history) == []


def test_a_turn_that_is_told_of_again_corrects_nothing() -> None:
    history = History()
    history.bot_began("b1")
    replayed(history, b1="all the words")
    assert history.bot_said(heard("b1", "all")) != []
    assert history.bot_said(heard("b1", "all")) == []


def test_an_output_without_its_call_is_not_told() -> None:
    history = History()
    history.tool_answered("call_1", "{}")

    assert replayed(history) == []


def test_a_turn_of_which_nothing_is_left_is_told_as_such() -> None:
    history = History()
    for number in range(3):
        history.caller_spoke(f"c{number}", audio(MAX_AUDIO_MS / 2))

    assert [text for _, text in brief(replayed(history))][:1] == ["[inaudible]"]
    assert sum("base64" in text for _, text in brief(replayed(history))) == 2


def test_a_turn_that_is_told_twice_is_one() -> None:
    history = History()
    history.caller_spoke("c1", audio())
    history.caller_spoke("c1")

    assert len(replayed(history)) == 1


def test_an_item_that_is_cut_after_it_was_told_is_told_again_as_it_was_heard() -> None:
    history = History()
    history.caller_spoke("c1", audio())
    history.bot_began("b1")
    history.bot_began("b2")
    first, second, third = replayed(history, b1="one two three", b2="four five")

    corrected = [json.loads(message) for message in history.bot_said(heard("b1", "one two"))]
    dropped = [json.loads(message) for message in history.bot_said(heard("b2", ""))]

    assert [event["type"] for event in corrected] == ["conversation.item.delete", "conversation.item.create"]
    assert corrected[0]["item_id"] == second["id"]
    assert corrected[1]["previous_item_id"] == first["id"]
    assert corrected[1]["item"]["content"][0]["text"] == "one two"
    assert dropped == [{"type": "conversation.item.delete", "item_id": third["id"]}]


def test_a_correction_follows_one_that_was_corrected_before() -> None:
    history = History()
    history.bot_began("b1")
    history.bot_began("b2")
    replayed(history, b1="one two three", b2="four five")

    _, first = (json.loads(message) for message in history.bot_said(heard("b1", "one")))
    _, second = (json.loads(message) for message in history.bot_said(heard("b2", "four")))

    assert first["previous_item_id"] == "root"
    assert second["previous_item_id"] == first["item"]["id"]


def test_what_was_heard_as_it_was_told_needs_no_correction() -> None:
    history = History()
    history.bot_began("b1")
    replayed(history, b1="one two")

    assert history.bot_said(heard("b1", "one two")) == []


def test_the_oldest_is_forgotten() -> None:
    history = History()
    for number in range(MAX_ENTRIES + 10):
        history.author_told(str(number))

    items = replayed(history)

    assert len(items) == MAX_ENTRIES
    assert brief(items)[0] == ("system", "10")


def test_content_stays_out_of_what_entries_show() -> None:
    history = History()
    history.author_told("my secret")
    history.tool_answered("call_1", "my secret")
    history.caller_spoke("c1", audio())
    history.caller_said("c1", "my secret")
    shown: list[str] = [repr(vars(history))]

    assert "my secret" not in "".join(shown)
