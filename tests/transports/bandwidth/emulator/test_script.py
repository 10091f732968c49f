from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.transports.bandwidth.emulator import script as script_module
from callpipe.transports.bandwidth.emulator.errors import ScriptError
from callpipe.transports.bandwidth.emulator.script import (
    CutIn,
    Expect,
    HangUp,
    Play,
    Press,
    Say,
    Silence,
    WaitForBot,
    WaitForHangUp,
    load_script,
    parse_script,
)

SCRIPT = """
name: Asks and cuts in
linger_s: 5
steps:
  - wait_for_bot
  - wait_for_bot: {quiet_ms: 500}
  - wait_for_bot:
  - say: When do you open?
  - say: {text: "Yes, no?"}
  - cut_in: {after_ms: 1200, say: Never mind.}
  - silence: {ms: 300}
  - silence: 40
  - play: cough.wav
  - press: 1#
  - expect: see you
  - expect: {tool: book, arguments: {seats: 2}, within_ms: 3000}
  - expect: {bot: quiet}
  - wait_for_hang_up
  - hang_up
"""


def test_reads_every_step_in_its_short_and_long_form(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(SCRIPT)
    script = load_script(path)
    assert (script.name, script.linger_s) == ("Asks and cuts in", 5)
    assert script.steps == (
        WaitForBot(quiet_ms=700, deadline_s=15),
        WaitForBot(quiet_ms=500, deadline_s=15),
        WaitForBot(),
        Say(text="When do you open?"),
        Say(text="Yes, no?"),
        CutIn(after_ms=1200, say="Never mind."),
        Silence(ms=300),
        Silence(ms=40),
        Play(file=tmp_path / "cough.wav"),
        Press(keys="1#"),
        Expect(words="see you"),
        Expect(tool="book", arguments={"seats": 2}, within_ms=3_000),
        Expect(bot="quiet"),
        WaitForHangUp(),
        HangUp(),
    )
    assert "When" not in repr(script)
    assert script.place(4) == f"{path}:8: step 4, say"
    assert parse_script("steps: [hang_up]").place(1) == "step 1, hang_up"


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("steps: [", "YAML at line 1"),
        ("- say: hello", "no mapping"),
        ("{1: 2}", "no mapping"),
        ("name: x", "no list of steps"),
        ("steps: []", "no list of steps"),
        (
            "steps: [{shout: x}]",
            "step 1 is 'shout', which is none of say, play, wait_for_bot, cut_in",
        ),
        ("steps: [hang_up, {say: a, play: b}]", "step 2 must have one name"),
        ("steps: [3]", "step 1 must have one name, such as - say: When do you open?"),
        ("steps: [say]", "step 1, say, has a wrong text"),
        ("steps: [{say: 3}]", "step 1, say, has a wrong text"),
        ("steps: [{cut_in: {say: x}}]", "step 1, cut_in, has a wrong after_ms"),
        (
            "steps: [{cut_in: 3}]",
            "step 1, cut_in, has a value it does not take; write - cut_in: {after_ms: 1200",
        ),
        ("steps: [{silence: {ms: -1}}]", "step 1, silence, has a wrong ms"),
        ("steps: [{wait_for_bot: {quite_ms: 3}}]", "step 1, wait_for_bot, has a wrong quite_ms"),
        ("steps: [{expect: {words: a, tool: b}}]", "step 1, expect, is wrong: give one of words, tool and bot"),
        ("steps: [{expect: {words: a, arguments: {b: 1}}}]", "arguments go with a tool"),
        (
            "steps: [{expect: {within_ms: 3}}]",
            "give one of words, tool and bot; write it like - expect",
        ),
        ("steps: [{expect: '?!'}]", "words have a letter or a digit"),
        ("steps: [{expect: {bot: sings}}]", "step 1, expect, has a wrong bot"),
        ("steps: [{press: 0123}]", "step 1, press, has a wrong keys: input should be a valid string"),
        ("steps: [{press: 1a}]", "step 1, press, has a wrong keys"),
        ("steps: [{wait_for_hang_up: 3}]", "write - wait_for_hang_up: {deadline_s: 30}"),
        ("steps: [hang_up]\nlingers: 3", "the script has 'lingers'; a script has name, steps, linger_s"),
    ],
)
def test_refuses_anything_else_in_one_sentence(text: str, explanation: str) -> None:
    with pytest.raises(ScriptError) as wrong:
        parse_script(text)
    assert explanation in wrong.value.explanation
    assert "\n" not in wrong.value.explanation


def test_a_mistake_is_named_with_file_line_and_step(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("name: x\nsteps:\n  - wait_for_bot\n\n  - cut_in: {say: x}\n")
    with pytest.raises(ScriptError) as wrong:
        load_script(path)
    assert str(wrong.value) == (
        f"{path}:5: step 2, cut_in, has a wrong after_ms: field required;"
        " write it like - cut_in: {after_ms: 1200, say: Never mind.}"
    )
    path.write_text("steps:\n  - say: 'x\n")
    with pytest.raises(ScriptError, match=f"{path}:3: no YAML, "):
        load_script(path)


def test_every_step_has_an_example_that_can_be_read() -> None:
    for name, example in script_module._EXAMPLES.items():  # pyright: ignore[reportPrivateUsage]
        (step,) = parse_script(f"steps:\n  - {example}").steps
        assert script_module.step_name(step) == name
    assert script_module._EXAMPLES.keys() == script_module.STEPS.keys()  # pyright: ignore[reportPrivateUsage]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"nothing\.yaml can't be read"):
        load_script(tmp_path / "nothing.yaml")


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=40) | st.text(max_size=20).map(lambda text: f"steps: [{{say: {text}}}]"))
def test_whatever_is_written_only_the_documented_error_escapes(text: str) -> None:
    try:
        parse_script(text)
    except ScriptError:
        return
