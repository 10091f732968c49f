"""A bot file that can't be used gives one sentence with file and line."""

import os
import sys
from pathlib import Path

import pytest

from callpipe.pipelines.bot import Bot, load_bot
from callpipe.pipelines.call import rehearsal_call
from callpipe.pipelines.errors import BotLoadError
from callpipe.pipelines.settings import Settings

GOOD = """
from callpipe.pipelines import Bot
bot = Bot("concierge")
"""


def written(tmp_path: Path, content: str, name: str = "concierge.py") -> Path:
    path = tmp_path / name
    path.write_text(content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BotLoadError) as refused:
        load_bot(path)
    return str(refused.value).removeprefix(str(path))


def test_a_bot_is_loaded_with_the_version_of_its_content(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    first, again = load_bot(path), load_bot(path)
    changed = load_bot(written(tmp_path, GOOD + "# changed"))
    assert first.name == "concierge"
    assert first.path == path
    assert first.version == again.version != changed.version


def test_a_bot_without_a_pipeline_is_refused_with_what_is_missing() -> None:
    with pytest.raises(BotLoadError, match=r"decorate a function with @bot\.pipeline"):
        Bot("desk").build(rehearsal_call("desk", Settings()))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nobody.py") == ": No such file or directory"


def test_a_file_that_is_no_python_is_refused(tmp_path: Path) -> None:
    assert "must end in .py" in refusal(written(tmp_path, GOOD, "bot.txt"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("import nobody_has_this", ":1: ModuleNotFoundError: No module named 'nobody_has_this'"),
        ("x = 1\nx = 1 / 0", ":2: ZeroDivisionError: division by zero"),
        ("def f(:", ":1: invalid syntax"),
        ("import sys\n\nsys.exit(3)", ":3: the file ends Python: SystemExit"),
        (
            "import json\njson.loads('{')",
            ":2: JSONDecodeError: Expecting property name",
        ),
        ("raise ValueError('one\\ntwo')", ":1: ValueError: one two"),
        (
            "from callpipe.processors.tools import tool\n\n\n@tool\ndef open_door() -> str:\n    return 'x'\n",
            ":4: tool open_door: it has no docstring",
        ),
        (
            "from callpipe.transports.realtime import RealtimeSettings\nRealtimeSettings(voise='cedar')",
            ":2: RealtimeSettings: there is no setting 'voise'; did you mean 'voice'?",
        ),
        (
            "from callpipe.transports.realtime import RealtimeSettings\nRealtimeSettings(speed=9)",
            ":2: RealtimeSettings: speed = 9: Input should be less than or equal to 1.5",
        ),
        ("x = 1", ": the file has no Bot; it takes one: bot = Bot('concierge')"),
        (GOOD + "other = Bot('other')", ": the file has 2 Bots; it takes one: bot = Bot('concierge')"),
        (
            "from callpipe.pipelines import Bot\n\nBot('No Name!')",
            ":3: ValueError: 'No Name!' is no name of a bot",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, content: str, sentence: str) -> None:
    assert refusal(written(tmp_path, content)).startswith(sentence)


def test_what_is_wrong_in_a_file_beside_it_is_said_with_that_files_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    written(tmp_path, "x = 1\ny = x / 0", "prices_of_ours.py")
    written(tmp_path, "def f(:", "broken_of_ours.py")
    for name, sentence in (
        ("prices_of_ours", ":2: ZeroDivisionError: division by zero"),
        ("broken_of_ours", ":1: invalid syntax"),
    ):
        with pytest.raises(BotLoadError) as refused:
            load_bot(written(tmp_path, f"import {name}"))
        assert str(refused.value) == f"{tmp_path / name}.py{sentence}"


def test_a_bot_named_by_a_relative_path_is_told_of_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "x = 1\nx = 1 / 0")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BotLoadError, match=r"^concierge\.py:2: ZeroDivisionError"):
        load_bot(Path("concierge.py"))


def test_two_names_of_one_bot_are_one_bot(tmp_path: Path) -> None:
    assert load_bot(written(tmp_path, GOOD + "same = bot")).name == "concierge"


@pytest.mark.parametrize("name", ["", "Luigi's", "a/b", "-a", "a" * 64])
def test_a_name_that_can_be_no_url_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a bot"):
        Bot(name)


def test_a_file_that_changes_within_a_second_is_loaded_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "hasty.py"
    for name in ("one", "two"):
        path.write_text(f"from callpipe.pipelines import Bot\nbot = Bot('{name}')\n")
        os.utime(path, (1_000_000, 1_000_000))
        assert load_bot(path).name == name
