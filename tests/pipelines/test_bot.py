"""A bot file that can't be used gives one sentence with file and line."""

from pathlib import Path

import pytest

from callpipe.pipelines.bot import Bot, load_bot
from callpipe.pipelines.errors import BotLoadError

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


def test_two_names_of_one_bot_are_one_bot(tmp_path: Path) -> None:
    assert load_bot(written(tmp_path, GOOD + "same = bot")).name == "concierge"


@pytest.mark.parametrize("name", ["", "Luigi's", "a/b", "-a", "a" * 64])
def test_a_name_that_can_be_no_url_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a bot"):
        Bot(name)
