"""A conversation is restored from a journal, whatever became of the journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.pipelines.records.journal import read_journal
from callpipe.pipelines.records.restore import MAX_ENTRIES, RESTORED_EVENTS, restore
from callpipe.transports.restored import (
    UNKNOWN_OUTCOME,
    AuthorWords,
    BotWords,
    CallerWords,
    Restored,
    ToolRun,
)


def event(t: float, name: str, /, **fields: Any) -> dict[str, Any]:
    return {"t": t, "time": "2026-11-20T04:30:00.000+00:00", "event": name, **fields}


def bot_turn(t: float, item_id: str, text: str, heard: str | None = None, **more: Any) -> dict[str, Any]:
    told = {"item_id": item_id, "text": text, "heard_text": text if heard is None else heard}
    return event(t, "bot_turn", **told, heard_ms=500.0, **({"interrupted": False} | more))


GREETED = bot_turn(2.0, "i1", "Hello, how can I help?")


def test_turns_tools_and_messages_come_in_the_order_they_happened() -> None:
    restored = restore(
        [
            event(0.0, "call_started", call_id="c-1"),
            GREETED,
            event(3.0, "author_told", text="The caller is a regular."),
            event(5.0, "caller_spoke", item_id="c1"),
            event(5.1, "tool_started", call_id="t1", tool_name="book", arguments='{"at":7}', side_effects=True),
            event(5.4, "caller_turn", item_id="c1", text="A table for seven."),
            event(5.6, "tool_call", call_id="t1", tool_name="book", arguments='{"at":7}', output='"done"'),
            bot_turn(8.0, "i2", "Booked. Anything else?"),
        ]
    )
    assert restored.entries == (
        BotWords("Hello, how can I help?"),
        AuthorWords("The caller is a regular."),
        CallerWords("A table for seven."),
        ToolRun("t1", "book", '{"at":7}', '"done"'),
        BotWords("Booked. Anything else?"),
    )
    assert not restored.caller_unheard
    assert not restored.bot_cut


def test_an_item_being_said_when_the_process_died_is_known_as_far_as_it_was_heard() -> None:
    told = [
        event(3.0, "bot_speaking", item_id="i2", heard_text="We open at", heard_ms=1000.0),
        event(4.0, "bot_speaking", item_id="i2", heard_text="We open at nine in the", heard_ms=2000.0),
    ]
    restored = restore([GREETED, *told])
    assert restored.entries[-1] == BotWords("We open at nine in the", cut=True)
    assert restored.bot_cut
    after = restore([GREETED, *told, event(5.0, "caller_turn", item_id="c1", text="And on Sundays?")])
    assert after.entries[1:] == (BotWords("We open at nine in the"), CallerWords("And on Sundays?"))
    assert not after.bot_cut, "the caller has spoken since"


def test_what_a_lost_media_stream_cut_off_is_cut_and_what_the_caller_cut_off_is_not() -> None:
    assert restore([bot_turn(2.0, "i1", "One two three", "One two")]).bot_cut
    assert not restore([bot_turn(2.0, "i1", "One two three", "One two", interrupted=True)]).bot_cut


def test_nothing_heard_of_an_item_leaves_no_trace() -> None:
    assert restore([bot_turn(2.0, "i1", "One two three", "")]).entries == ()


@pytest.mark.parametrize(
    "events",
    [
        [event(3.0, "user_started_speaking")],
        [event(3.0, "caller_spoke", item_id="c1")],
        [
            event(3.0, "caller_spoke", item_id="c1"),
            event(4.0, "bot_turn", item_id="i", heard_text="", text="x"),
        ],
    ],
)
def test_a_caller_whose_words_nobody_knows_is_to_be_asked(events: list[dict[str, Any]]) -> None:
    assert restore([GREETED, *events]).caller_unheard


def test_a_turn_that_was_answered_without_a_transcript_is_not_asked_about() -> None:
    told = [GREETED, event(3.0, "caller_spoke", item_id="c1"), bot_turn(6.0, "i2", "Of course.")]
    restored = restore([*told, event(7.0, "user_started_speaking"), event(8.0, "user_stopped_speaking")])
    assert not restored.caller_unheard
    assert restored.entries[1] == CallerWords(None)


def test_a_tool_that_nobody_saw_end_is_unknown() -> None:
    started = event(3.0, "tool_started", call_id="t1", tool_name="book", arguments="{broken", side_effects=True)
    looked = event(3.1, "tool_started", call_id="t2", tool_name="look", arguments="{}", side_effects=False)
    restored = restore([started, looked])
    assert restored.entries == (
        ToolRun("t1", "book", "{}", None),
        ToolRun("t2", "look", "{}", None, repeatable=True),
    )
    assert len(restored.unknown_tools) == 2


def test_a_tool_that_was_cancelled_is_unknown_unless_it_was_run_again() -> None:
    told = {"call_id": "t1", "tool_name": "look", "arguments": "{}"}
    cancelled = event(5.0, "tool_call", **told, output='"ended"', outcome="cancelled")
    assert restore([event(3.0, "tool_started", **told), cancelled]).unknown_tools
    assert restore([cancelled]).unknown_tools
    again = event(4.0, "tool_call", **told, output='"found"', outcome="ok")
    assert restore([event(3.0, "tool_started", **told), again, cancelled]).entries == (
        ToolRun("t1", "look", "{}", '"found"'),
    )


def test_what_the_author_changed_and_an_end_that_was_asked_for_hold() -> None:
    restored = restore(
        [
            event(1.0, "model_changed", instructions="Be brief.", tool_names=None),
            event(2.0, "model_changed", instructions=None, tool_names=["a", "b"]),
            event(3.0, "end_asked"),
        ]
    )
    assert restored == Restored(instructions="Be brief.", tool_names=("a", "b"), ends=True)


MORNING = "2026-01-15T08:00:00.250+00:00"
NOON = "2026-01-15T12:00:00.000+00:00"


def began(name: str, time: str, **fields: str) -> dict[str, Any]:
    return event(1.0, name, **fields) | {"time": time}


@pytest.mark.parametrize(
    ("events", "began_at"),
    [
        ([began("media_started", MORNING), began("media_started", NOON)], 1_768_464_000.25),
        (
            [began("stream_event", MORNING, type="mediaStreamStarted"), began("media_started", NOON)],
            1_768_464_000.25,
        ),
        ([began("stream_event", MORNING, type="mediaStreamStopped")], None),
        ([began("media_started", ""), began("media_started", "2026-01-15T08:00:00")], None),
    ],
)
def test_when_the_line_began_is_told_by_the_first_that_knows(
    events: list[dict[str, Any]], began_at: float | None
) -> None:
    assert restore(events).line_began_at == began_at


def test_for_a_stock_service_the_conversation_is_messages() -> None:
    entries = (
        BotWords("Hello."),
        CallerWords(None),
        AuthorWords("Regular."),
        ToolRun("t1", "book", '{"at":7}', None),
    )
    called = {"id": "t1", "type": "function", "function": {"name": "book", "arguments": '{"at":7}'}}
    assert Restored(entries).messages() == [
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "[inaudible]"},
        {"role": "system", "content": "Regular."},
        {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "t1", "content": UNKNOWN_OUTCOME},
    ]


def test_no_word_is_shown() -> None:
    said = restore([GREETED, event(1.0, "model_changed", instructions="secret", tool_names=None)])
    assert "Hello" not in repr(said)
    assert "secret" not in repr(said)


def test_a_long_call_is_restored_from_its_end() -> None:
    turns = (event(n, "caller_turn", item_id=f"c{n}", text=f"{n}") for n in range(MAX_ENTRIES + 10))
    restored = restore(turns)
    assert len(restored.entries) == MAX_ENTRIES
    assert restored.entries[-1] == CallerWords(f"{MAX_ENTRIES + 9}")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["item_id", "text", "heard_text", "heard_ms", "call_id", "tool_name", "arguments", "output", "t",
     "side_effects", "instructions", "tool_names", "interrupted", "time", "type"]
)  # fmt: skip


def some_event(name: object, fields: dict[str, object]) -> object:
    return {"event": name, "t": 1.0, "time": "", **fields}


some_events = st.builds(
    some_event,
    st.sampled_from(sorted(RESTORED_EVENTS)) | anything,
    st.dictionaries(names, anything | st.sampled_from(["a", "{}"]), max_size=8),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(some_events | anything, max_size=12))
def test_whatever_a_journal_holds_nothing_escapes_and_a_session_can_take_it(events: list[object]) -> None:
    restored = restore(events)
    for entry in restored.entries:
        if isinstance(entry, ToolRun):
            json.loads(entry.arguments)
        elif not isinstance(entry, CallerWords):
            assert entry.text
    json.dumps(restored.messages())


@settings(max_examples=100, deadline=None)
@given(torn=st.integers(0, 400), garbage=st.binary(max_size=40))
def test_a_torn_journal_is_read_up_to_the_tear(
    torn: int, garbage: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path: Path = tmp_path_factory.mktemp("torn") / "journal.jsonl"
    lines = "".join(
        json.dumps(event(n, "caller_turn", item_id=f"c{n}", text=f"turn {n}")) + "\n" for n in range(5)
    ).encode()
    path.write_bytes(lines[:torn] + garbage + b"\n" + lines)
    restored = restore(read_journal(path))
    assert [entry for entry in restored.entries if isinstance(entry, CallerWords)][-1].text == "turn 4"
