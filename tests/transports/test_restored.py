"""What a bot is told of the conversation that another process began."""

import json

import pytest

from callpipe.transports.restored import AuthorWords, BotWords, CallerWords, Restored, RestoredEntry, ToolRun

SEEN = ToolRun("t-1", "book", '{"at": 7}', '{"table": 4}')
UNSEEN = ToolRun("t-2", "charge", "{}", None)


def test_a_stock_model_is_told_the_conversation_as_the_caller_heard_it() -> None:
    entries = (CallerWords("hello"), BotWords("good evening", cut=True), AuthorWords("be brief"), SEEN)
    called = {"id": "t-1", "type": "function", "function": {"name": "book", "arguments": '{"at": 7}'}}
    assert Restored(entries).messages() == [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "good evening"},
        {"role": "system", "content": "be brief"},
        {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "t-1", "content": '{"table": 4}'},
    ]


def test_a_tool_that_nobody_saw_end_is_told_as_unknown() -> None:
    restored = Restored((SEEN, UNSEEN, CallerWords("well?")))
    assert restored.unknown_tools == [UNSEEN]
    answer = restored.messages()[3]
    assert answer["tool_call_id"] == "t-2"
    assert json.loads(answer["content"])["status"] == "unknown"


@pytest.mark.parametrize("text", [None, ""])
def test_words_that_nobody_knows_are_told_as_inaudible(text: str | None) -> None:
    assert Restored((CallerWords(text),)).messages() == [{"role": "user", "content": "[inaudible]"}]


@pytest.mark.parametrize(
    ("entries", "cut"),
    [
        ((), False),
        ((BotWords("good ev", cut=True),), True),
        ((BotWords("good evening"),), False),
        ((BotWords("good ev", cut=True), CallerWords("hello")), False),
        ((BotWords("hello"), BotWords("good ev", cut=True)), True),
    ],
)
def test_the_bot_was_cut_when_its_words_are_the_last_and_broke_off(
    entries: tuple[RestoredEntry, ...], cut: bool
) -> None:
    assert Restored(entries).bot_cut is cut


def test_a_tool_is_not_run_twice_unless_its_author_says_so() -> None:
    assert not UNSEEN.repeatable
    assert not Restored().ends
    assert not Restored().redacted
    assert not Restored().caller_unheard
