"""Writes a new bot into a folder of its own: the bot, its prompt, a caller's script, a test."""

from __future__ import annotations

import re
import tempfile
from importlib import resources
from pathlib import Path
from string import Template

from callpipe.transports.errors import Fault

from .errors import PipelinesError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_TEMPLATES = resources.files("callpipe.pipelines") / "new_bot"
_FILES = {
    "bot.py": "bot.py",
    "prompt.md": "prompt.md",
    "caller.yaml": "caller.yaml",
    "model.yaml": "model.yaml",
    "test_bot.py": "test_bot.py",
    ".env.example": "env.example",
}
"""Each file of a new bot, and its template."""


class NewBotError(PipelinesError):
    """A bot can't be made: its name can be none, or its folder is there."""

    fault = Fault.OPERATOR


def write_new_bot(name: str, into: Path) -> list[Path]:
    """Write a new bot and return its files. It is there whole, or not at all.

    Args:
        name: The bot's name, and its folder's.
        into: Where the folder is made.

    Raises:
        NewBotError: The name can be none, or something of that name is there.
        OSError: The folder can't be made.
    """
    if not _NAME.fullmatch(name):
        raise NewBotError(
            f"{name!r} is no name of a bot: use lower-case letters, digits and hyphens, a letter first"
        )
    folder = into / name
    if folder.exists() or folder.is_symlink():
        raise NewBotError(f"{folder} is there already, and nothing is overwritten")
    named = {"name": name, "title": name.replace("-", " ").capitalize()}
    with tempfile.TemporaryDirectory(dir=into, prefix=f".{name}.") as made:
        content = Path(made) / name
        content.mkdir()
        for file, template in _FILES.items():
            text = (_TEMPLATES / f"{template}.template").read_text(encoding="utf-8")
            (content / file).write_text(Template(text).substitute(named), encoding="utf-8")
        try:
            content.rename(folder)
        except OSError as taken:  # somebody else was faster
            raise NewBotError(f"{folder} can't be made: {taken.strerror}") from None
    return [folder / file for file in _FILES]
