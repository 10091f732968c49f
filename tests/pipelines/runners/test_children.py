"""How many runners each bot gets, and what a server that begins is told."""

from pathlib import Path

import pytest

from callpipe.pipelines.errors import SettingsError
from callpipe.pipelines.runners.children import BotFile, Expected, with_workers

A, B = Path("bots/a.py"), Path("bots/b.py")


def test_a_bot_gets_one_runner_unless_told_otherwise() -> None:
    assert with_workers([A, B], []) == [BotFile(A, 1), BotFile(B, 1)]


@pytest.mark.parametrize("name", ["a", "a.py", "bots/a.py"])
def test_a_bot_file_is_named_as_one_likes(name: str) -> None:
    assert with_workers([A, B], [f"{name}=3"]) == [BotFile(A, 3), BotFile(B, 1)]


@pytest.mark.parametrize("option", ["a", "a=", "=2", "c=2", "a=0", "a=-1", "a=x", "a=1.5", "a=2=3", "", "a=²"])
def test_an_option_that_says_nothing_is_named_with_its_mend(option: str) -> None:
    with pytest.raises(SettingsError, match=r"--workers has .* a=2, b=2") as refused:
        with_workers([A, B], [option])
    assert repr(option) in str(refused.value)


def test_a_name_that_two_files_have_is_refused() -> None:
    other = Path("other/a.py")
    with pytest.raises(SettingsError):
        with_workers([A, other], ["a=2"])
    assert with_workers([A, other], ["other/a.py=2"]) == [BotFile(A, 1), BotFile(other, 2)]


@pytest.mark.parametrize("expected", [Expected((), ()), Expected((7, 81), ("a", "b-2"))])
def test_a_server_is_told_whom_it_will_meet(expected: Expected) -> None:
    assert Expected.read(expected.written() + "\n") == expected
