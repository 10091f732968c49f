"""What a caller expects of the bot: met, late, missing, unreached; and what the report says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from callpipe.transports.bandwidth.emulator import Caller, CallReport, ScriptError, Sightings, parse_script
from callpipe.transports.bandwidth.emulator.expectations import Watch
from callpipe.transports.bandwidth.emulator.listener import Listener
from callpipe.transports.bandwidth.emulator.script import Expect
from callpipe.transports.bandwidth.emulator.sightings import plain_words
from callpipe.transports.speech.tones import ToneEar, ToneVoice
from callpipe.transports.virtual_time import run_virtual

if TYPE_CHECKING:
    from .conftest import BotSocket, Kit

HELLO = "Hello, it's Luigi's!"


def speech(text: str) -> bytes:
    return b"".join(ToneVoice().speak(text))


async def greets(socket: BotSocket) -> None:
    """Greets at once, and answers the first words with a question."""
    socket.play(speech(HELLO))
    await socket.until_speech()
    await socket.until_silence()
    socket.play(speech("A table for two?"))
    await socket.until_closed()


def held(kit: Kit, script: str, bot: Any, sightings: Sightings | None = None) -> CallReport:
    server = kit.server({"/initiate": kit.bxml(kit.stream_and_wait)}, bot)

    async def main() -> CallReport:
        caller = Caller(parse_script(script, source="caller.yaml"), ToneVoice(), ToneEar())
        return await server.carrier().place_call(caller, sightings=sightings)

    return run_virtual(main())


def test_what_was_expected_came_about(kit: Kit) -> None:
    script = """
steps:
  - expect: {bot: speaks, within_ms: 200}
  - expect: {words: hello its LUIGIS, within_ms: 100}
  - say: book
  - expect: {words: table for two, within_ms: 400}
"""
    report = held(kit, script, greets)
    assert [expectation.met for expectation in report.expectations] == [True, True, True]
    assert report.shortcomings == []
    assert [heard.text for heard in report.spoken] == [HELLO, "A table for two?"]
    a_sample_ms = 0.125  # a tone's first sample is silent
    assert [expectation.after_ms for expectation in report.expectations[:2]] == [a_sample_ms] * 2
    answered_ms = report.expectations[2].after_ms
    assert answered_ms is not None
    assert 200 <= answered_ms <= 260


@pytest.mark.parametrize(
    ("script", "shortcoming"),
    [
        (
            "- expect: {words: goodbye, within_ms: 300}",
            "caller.yaml:2: step 1, expect: expected the bot to say 'goodbye' within 300 ms; instead it said "
            "\"Hello, it's Luigi's!\"",
        ),
        (
            "- wait_for_bot\n- {say: book}\n- expect: {words: two, within_ms: 100}",
            "caller.yaml:4: step 3, expect: expected the bot to say 'two' within 100 ms;"
            " instead it said nothing",
        ),
        (
            "- wait_for_bot\n- {say: book}\n- wait_for_bot\n- expect: {words: two, within_ms: 100}",
            "caller.yaml:5: step 4, expect: expected the bot to say 'two' within 100 ms;"
            " instead it came after 200 ms",
        ),
        (
            "- {wait_for_bot: {quiet_ms: 200}}\n- expect: {words: two, within_ms: 2000}\n- say: x",
            "caller.yaml:3: step 2, expect: expected the bot to say 'two' within 2000 ms; instead it said "
            "\"Hello, it's Luigi's!\"",
        ),
        (
            "- {cut_in: {after_ms: 100, say: x}}\n- expect: {bot: quiet, within_ms: 100}",
            "caller.yaml:3: step 2, expect: expected the bot to be quiet within 100 ms;"
            " instead it went on speaking",
        ),
        (
            "- wait_for_hang_up: {deadline_s: 3}",
            "the caller lost patience at caller.yaml:2: step 1, wait_for_hang_up",
        ),
    ],
)
def test_what_did_not_come_about_is_told_with_what_did(kit: Kit, script: str, shortcoming: str) -> None:
    report = held(kit, f"steps:\n{script}", greets)
    assert report.shortcomings == [shortcoming]
    assert report.ending.ended_by == "caller"


def test_an_expectation_that_fails_ends_the_call(kit: Kit) -> None:
    report = held(kit, "steps: [{expect: {words: a, within_ms: 500}}, {say: never said}]", greets)
    assert report.named("caller says") == []
    assert report.ended_at - (report.answered_at or 0) < 3


async def says_goodbye(socket: BotSocket) -> None:
    socket.play(speech("Good day to you"))
    for _ in range(10):
        await socket.next()


def test_words_with_which_the_bot_hangs_up_were_still_heard(kit: Kit) -> None:
    report = held(kit, "steps: [{expect: good}, wait_for_hang_up]", says_goodbye)
    assert report.ending.ended_by == "bot"
    assert report.shortcomings == []
    unmet = held(kit, "steps: [{expect: welcome}]", says_goodbye)
    (shortcoming,) = unmet.shortcomings
    assert "expected the bot to say 'welcome' within 10000 ms; instead it said 'Good" in shortcoming


def test_a_bot_that_hangs_up_before_the_caller_has_spoken_is_a_shortcoming(kit: Kit) -> None:
    report = held(kit, "steps: [wait_for_bot, {say: hello}, {say: more}]", says_goodbye)
    assert report.shortcomings == [
        "caller.yaml:1: step 2, say: expected to say; instead the call had ended",
    ]


def test_a_bot_that_stops_when_the_caller_cuts_in(kit: Kit) -> None:
    async def stops(socket: BotSocket) -> None:
        socket.play(speech("x" * 100))
        await socket.until_speech()
        socket.clear()
        await socket.until_closed()

    script = "steps: [{cut_in: {after_ms: 300, say: stop it}}, {expect: {bot: quiet, within_ms: 100}}]"
    report = held(kit, script, stops)
    assert report.shortcomings == []
    assert report.cuts


def test_tool_calls_are_matched_by_name_and_arguments_each_once(kit: Kit) -> None:
    sightings = Sightings(tells_tools=True)

    async def calls(socket: BotSocket) -> None:
        await socket.until_speech()
        await socket.until_silence()
        sightings.tool_called("book", '{"seats": 2, "name": "Rossi"}')
        sightings.tool_called("book", "[1]")
        await socket.until_closed()

    book = "{expect: {tool: book, arguments: {seats: 2}, within_ms: 500}}"
    report = held(kit, f"steps: [{{say: two}}, {book}]", calls, sightings)
    assert report.shortcomings == []
    assert "book(seats=2) within 500 ms, after 2" in str(report.expectations[0])

    sightings = Sightings(tells_tools=True)
    report = held(kit, f"steps: [{{say: two}}, {book}, {book}]", calls, sightings)
    (shortcoming,) = report.shortcomings
    assert shortcoming.endswith("expected the call book(seats=2) within 500 ms; instead it called book()")

    sightings = Sightings(tells_tools=True)
    report = held(kit, "steps: [{say: two}, {expect: {tool: pay, within_ms: 400}}]", calls, sightings)
    (shortcoming,) = report.shortcomings
    assert shortcoming.endswith('instead it called book(seats=2, name="Rossi") and book()')


def test_what_nobody_can_judge_is_refused_before_the_call(kit: Kit) -> None:
    with pytest.raises(ScriptError, match="a carrier can't see the tool calls of a server; expect words here"):
        held(kit, "steps: [{expect: {tool: book}}]", greets)

    async def deaf() -> None:
        caller = Caller(parse_script("steps: [{expect: hello}]"))
        await kit.server({}).carrier().place_call(caller)

    with pytest.raises(ScriptError, match="step 1, expect: nobody listens to the bot's words"):
        run_virtual(deaf())


def test_words_may_still_come_while_a_burst_is_being_turned_into_words() -> None:
    listener, sightings = Listener(), Sightings()
    watch, expect = Watch(listener, sightings), Expect(words="hello", within_ms=100)
    listener.hear(b"\x00\x10" * 400, playing=True)
    for _ in range(100):
        listener.hear(bytes(320), playing=False)
    sightings.listening = 1
    assert watch.may_still_come(expect)
    sightings.listening = 0
    assert not watch.may_still_come(expect)


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert plain_words("  It's two, O'Clock?! ") == " its two oclock "
    assert plain_words("…") == "  "
