from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.transports.bandwidth.emulator.errors import ScriptError
from callpipe.transports.bandwidth.emulator.script import (
    CutIn,
    HangUp,
    Play,
    Say,
    Silence,
    WaitForBot,
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
  - play: cough.wav
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
        Play(file=tmp_path / "cough.wav"),
        HangUp(),
    )
    assert "When" not in repr(script)


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("steps: [", "YAML at line 1"),
        ("- say: hello", "no mapping"),
        ("{1: 2}", "no mapping"),
        ("name: x", "no list of steps"),
        ("steps: []", "no list of steps"),
        ("steps: [{shout: x}]", "step 1 is none of say, play, wait_for_bot, cut_in, silence, hang_up"),
        ("steps: [hang_up, {say: a, play: b}]", "step 2 must have one name"),
        ("steps: [3]", "step 1 is no mapping"),
        ("steps: [say]", "step 1, say, has a wrong text"),
        ("steps: [{say: 3}]", "step 1, say, has a wrong text"),
        ("steps: [{cut_in: {say: x}}]", "step 1, cut_in, has a wrong after_ms"),
        ("steps: [{cut_in: 3}]", "step 1 is no mapping"),
        ("steps: [{silence: {ms: -1}}]", "step 1, silence, has a wrong ms"),
        ("steps: [{wait_for_bot: {quite_ms: 3}}]", "step 1, wait_for_bot, has a wrong quite_ms"),
        ("steps: [hang_up]\nlingers: 3", "the script has a wrong lingers"),
    ],
)
def test_refuses_anything_else_in_one_sentence(text: str, explanation: str) -> None:
    with pytest.raises(ScriptError) as wrong:
        parse_script(text)
    assert explanation in wrong.value.explanation
    assert "\n" not in wrong.value.explanation


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
