"""What is seen of a call beside its audio: when the bot's words began, and its tool calls."""

from __future__ import annotations

from typing import Any

import pytest

from callpipe.transports.bandwidth.emulator.sightings import Sightings


def test_words_are_of_the_latest_burst_unless_their_beginning_is_told() -> None:
    sightings = Sightings()
    sightings.bot_said("before anything was heard")
    sightings.follow(500.0, None)
    sightings.bot_said("still nothing")
    sightings.follow(900.0, 320.0)
    sightings.bot_said("hello")
    sightings.bot_said("earlier", 0.0)
    sightings.bot_said("")

    assert [heard.began_ms for heard in sightings.words] == [0, 0, 320, 0]


@pytest.mark.parametrize(
    ("written", "arguments"),
    [('{"guests": 2}', {"guests": 2}), ("", {}), ("[2]", {}), ('{"guests": ', {}), ("[" * 100_000, {})],
)
def test_a_tool_call_is_seen_whatever_the_model_wrote(written: str, arguments: dict[str, Any]) -> None:
    sightings = Sightings()
    sightings.tool_called("early", "{}")
    sightings.follow(900.0, None)
    sightings.tool_called("book", written)

    early, call = sightings.tool_calls
    assert (early.at_ms, call.at_ms, call.name) == (0, 900, "book")
    assert call.arguments == arguments


def test_nothing_is_told_unless_somebody_says_so() -> None:
    assert not Sightings().tells_tools
    assert not Sightings().tells_words
