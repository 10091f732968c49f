"""A new bot is whole, fits, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from callpipe.pipelines.bot import load_bot
from callpipe.pipelines.call import rehearsal_call
from callpipe.pipelines.new import NewBotError, write_new_bot
from callpipe.pipelines.settings import Settings
from callpipe.transports.bandwidth.emulator import load_script
from callpipe.transports.realtime.emulator.brains import Script


def test_a_new_bot_is_whole_and_fits(tmp_path: Path) -> None:
    files = write_new_bot("front-desk", tmp_path)
    folder = tmp_path / "front-desk"
    assert sorted(files) == sorted(folder.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["front-desk"]
    bot = load_bot(folder / "bot.py")
    assert bot.name == "front-desk"
    assert bot.build(rehearsal_call(bot.name, Settings())).joints[-1].processor == "BandwidthOutput"
    assert "Front desk" in (folder / "prompt.md").read_text()
    assert load_script(folder / "caller.yaml").steps
    assert Script.load(folder / "model.yaml").greeting == "Hello, this is Front desk. How can I help you?"
    assert not any("$" in path.read_text() for path in files)


@pytest.mark.parametrize("name", ["", "Front", "front_desk", "1st", "-x", "a/b", "../x", "a" * 64, "a b", "ä"])
def test_a_name_that_can_be_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(NewBotError, match="is no name of a bot"):
        write_new_bot(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_nothing_is_overwritten(kind: str, tmp_path: Path) -> None:
    there = tmp_path / "desk"
    match kind:
        case "folder":
            there.mkdir()
            (there / "bot.py").write_text("precious")
        case "file":
            there.write_text("precious")
        case _:
            there.symlink_to("nowhere")
    with pytest.raises(NewBotError, match="is there already, and nothing is overwritten"):
        write_new_bot("desk", tmp_path)
    assert kind != "folder" or (there / "bot.py").read_text() == "precious"


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_new_bot("desk", tmp_path / "nowhere")
