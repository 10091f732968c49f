"""What is wrong with a bot, in one sentence with the line of its author's that it is about."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

from pydantic import ValidationError

from callpipe.processors.tools.errors import ToolDefinitionError
from callpipe.transports.errors import CallpipeError

from .errors import BotLoadError

_HERE = Path(__file__).resolve().parents[1]
_NOT_THE_AUTHORS = (
    *(str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")),
    *(str(_HERE / room) for room in ("pipelines", "processors", "transports")),
)
"""Folders of Python, of what is installed, and of callpipe."""


def loading_error(path: Path, failure: BaseException) -> BotLoadError:
    """Return the error that names what failed in a bot, and the line: the deepest that its author wrote.

    Args:
        path: The bot file.
        failure: What was raised while it was imported, or while its pipeline was built.
    """
    match failure:
        case BotLoadError():
            return failure
        case SyntaxError(filename=str(filename), lineno=line):
            return BotLoadError(_as_given(path, filename), line, failure.msg)
        case ToolDefinitionError():
            filename, _, line = failure.place.rpartition(":")
            explanation = f"tool {failure.tool}: {failure.problem}"
            return BotLoadError(_as_given(path, filename), int(line) if line.isdigit() else None, explanation)
        case _:
            filename, line = _place(path, failure)
            return BotLoadError(_as_given(path, filename), line, _sentence(failure))


def _place(path: Path, failure: BaseException) -> tuple[str, int | None]:
    """Return the deepest line of the bot file, or of what its author put beside it."""
    bot = str(path.resolve())
    for step in reversed(traceback.extract_tb(failure.__traceback__)):
        filename = str(Path(step.filename).resolve())
        if filename == bot or (Path(filename).exists() and not filename.startswith(_NOT_THE_AUTHORS)):
            return filename, step.lineno
    return bot, None


def _as_given(path: Path, filename: str) -> Path:
    """Return a file's path as the author wrote it, where it is the bot file."""
    return path if Path(filename).resolve() == path.resolve() else Path(filename)


def _sentence(failure: BaseException) -> str:
    match failure:
        case ValidationError():
            return _wrong_setting(failure)
        case CallpipeError():
            words = str(failure)
        case SystemExit():
            words = "the file ends Python: SystemExit"
        case _:
            words = f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__
    return " ".join(words.split())


def _wrong_setting(failure: ValidationError) -> str:
    first = failure.errors(include_url=False, include_context=False)[0]
    problem = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"{failure.title}: {problem}"
    return f"{failure.title}: {'.'.join(map(str, first['loc']))} = {first['input']!r}: {problem}"
