from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callpipe.transports.errors import Fault
from callpipe.transports.realtime.emulator.brains import Script, ScriptError

SCRIPT = r"""
greeting: Hello!
rules:
  - when: table for (?P<size>\w+)
    call: {tool: book_table, arguments: {party_size: "{size}"}}
  - after: book_table
    say: Your table is number {table.number}.
fallback: Pardon?
"""


def test_a_script_is_read() -> None:
    script = Script.parse(SCRIPT)
    assert script.greeting == "Hello!"
    assert [rule.after for rule in script.rules] == [None, "book_table"]
    assert script.fallback == "Pardon?"


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "bot.yaml"
    file.write_text(SCRIPT, encoding="utf-8")
    assert Script.load(file) == Script.parse(SCRIPT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [", "bot.yaml: line 1: no YAML, expected the node content, but found '<stream end>'"),
        ("greeting: \x00", "bot.yaml: no YAML that can be read"),
        ("[" * 2_000, "bot.yaml: no YAML that can be read"),
        ("- hello", "bot.yaml: Input should be a valid dictionary or instance of Script"),
        ("greting: hello", "bot.yaml: greting: Extra inputs are not permitted"),
        ("rules: [{when: a}]", "bot.yaml: rules.0: a rule needs say, call or both"),
        ("rules: [{say: a}]", "bot.yaml: rules.0: a rule needs when, after or both"),
        ("rules: [{when: '(', say: a}]", "bot.yaml: rules.0.when: no regular expression, "),
        ("rules: [{when: '[[a]', say: a}]", "bot.yaml: rules.0.when: no regular expression, "),
        ("rules: [{when: 'a{99999999999}', say: a}]", "bot.yaml: rules.0.when: no regular expression, "),
        ("rules: [{when: a, say: '{b}'}]", "bot.yaml: rules.0: {b} is no named group of when"),
        ("rules: [{when: a, call: {arguments: {}}}]", "bot.yaml: rules.0.call.tool: Field required"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        Script.parse(text, "bot.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert caught.value.fault is Fault.BOT_AUTHOR


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"^bot\.yaml: it can't be read"):
        Script.load(tmp_path / "bot.yaml")
    (tmp_path / "bot.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ScriptError, match=r"^bot\.yaml: it can't be read"):
        Script.load(tmp_path / "bot.yaml")


def parses_or_explains(text: str) -> None:
    try:
        script = Script.parse(text)
    except ScriptError:
        return
    assert isinstance(script, Script)


@given(st.text(max_size=80))
@example("!!timestamp x")
@example("!!python/object:os.system x")
@example("&a [*a]")
@example("rules: &a [*a]")
@example("? [a]\n: b")
@example("greeting: !!int ''")
@settings(deadline=None)
def test_any_text_is_a_script_or_a_script_error(text: str) -> None:
    parses_or_explains(text)


_value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["{a}", r"(?P<a>\w)", "("]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=6), values, max_size=3),
)
_keys = st.sampled_from(["greeting", "rules", "fallback", "when", "after", "say", "call", "tool", "arguments"])
_rule = st.dictionaries(_keys, _value, max_size=4)


@given(st.dictionaries(_keys, _value | st.lists(_rule, max_size=3), max_size=4))
@settings(deadline=None)
def test_any_yaml_is_a_script_or_a_script_error(document: object) -> None:
    parses_or_explains(yaml.safe_dump(document))


def test_broken_copies_of_a_script_are_scripts_or_script_errors() -> None:
    chance = random.Random(0)
    for _ in range(2_000):
        text = list(SCRIPT)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(text))
            text[at : at + chance.randint(0, 4)] = chance.choice(
                ["", "{", "]", ":", "\n", "\t", "- ", "'", "&a ", "*a"]
            )
        parses_or_explains("".join(text))
