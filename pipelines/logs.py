"""Where log messages go, and how: to stderr, one line each, as text or as JSON; never with a call's content.

What callpipe logs holds no words, digits or numbers. What pipecat and the standard library's logging are told
may hold an exception's text, and so a caller's words: of that, only what went wrong and where is written, and
the journal has the rest.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
import sys
import traceback
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from loguru import logger

if TYPE_CHECKING:
    from loguru import Record


class LogFormat(StrEnum):
    """How log messages are written."""

    TEXT = "text"
    JSON = "json"


MAX_PLACES = 5
"""Places of a traceback that are told, the last ones."""

THEIR_LEVEL = logging.WARNING
"""Messages of other libraries below it are not written."""

_THEIRS = re.compile(r"pipecat\b|pipecat_")
_TOLD_OF_AN_ERROR = re.compile(
    r"(exception(?: \([^()]*:\d+\))?|error(?: [^:]*)?|failed|went wrong)(?: with)?: .*",
    re.IGNORECASE | re.DOTALL,
)
"""An error's own words begin behind the colon."""


def log_to_stderr(level: str, log_format: LogFormat = LogFormat.TEXT) -> None:
    """Write log messages to stderr from now on, those of the standard library's logging among them.

    Args:
        level: The lowest level that is written; for other libraries `THEIR_LEVEL`, when that is higher.
        log_format: Text, or an object a line.
    """
    lines = {LogFormat.TEXT: text_line, LogFormat.JSON: json_line}
    line = lines[log_format]

    def with_line(record: Record) -> str:
        record["extra"]["line"] = line(record)
        return "{extra[line]}\n"

    logger.remove()
    logger.add(sys.stderr, level=level, format=with_line, filter=_is_written, backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=THEIR_LEVEL, force=True)


def text_line(record: Record) -> str:
    """Return a message as a line of text."""
    call_id = record["extra"].get("call_id")
    message = safe_message(record)
    about = f"call {call_id}: " if call_id and str(call_id) not in message else ""
    failed = ", ".join(filter(None, [_type(record), *_places(record)[-1:]]))
    time = record["time"].strftime("%H:%M:%S.%f")[:-3]
    return f"{time} {record['level'].name:7} {about}{_one_line(message)}{f' ({failed})' if failed else ''}"


def json_line(record: Record) -> str:
    """Return a message as a JSON object: ``time``, ``level``, ``source``, ``message``.

    And where they are known ``call_id``, ``exception`` (its type) and ``places`` (its last ``file:line``s).
    """
    told: dict[str, Any] = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "source": f"{record['name']}:{record['line']}",
        "message": _one_line(safe_message(record)),
        "call_id": record["extra"].get("call_id"),
        "exception": _type(record),
        "places": _places(record),
    }
    return json.dumps({name: value for name, value in told.items() if value}, ensure_ascii=False, default=str)


def safe_message(record: Record) -> str:
    """Return a record's message; of another library's, without the words of the error it tells of."""
    message = record["message"]
    if not _is_theirs(record):
        return message
    exception = record["exception"]
    if exception is not None and exception.value is not None and str(exception.value):
        message = message.replace(str(exception.value), type(exception.value).__name__)
    return _TOLD_OF_AN_ERROR.sub(r"\1", message)


def _is_written(record: Record) -> bool:
    return not _is_theirs(record) or record["level"].no >= THEIR_LEVEL


def _is_theirs(record: Record) -> bool:
    return "stdlib" in record["extra"] or _THEIRS.match(record["name"] or "") is not None


def _type(record: Record) -> str:
    exception = record["exception"]
    return "" if exception is None or exception.type is None else exception.type.__name__


def _places(record: Record) -> list[str]:
    exception = record["exception"]
    if exception is None or exception.traceback is None:
        return []
    steps = traceback.extract_tb(exception.traceback)[-MAX_PLACES:]
    return [f"{step.filename}:{step.lineno}" for step in steps]


def _one_line(message: str) -> str:
    return " ".join(message.split())


class _ToLoguru(logging.Handler):
    """Hands records of the standard library's logging on."""

    def emit(self, record: logging.LogRecord) -> None:
        frame = inspect.currentframe()
        depth = 0
        while frame is not None and (depth == 0 or frame.f_globals.get("__name__") == logging.__name__):
            frame, depth = frame.f_back, depth + 1
        known = record.levelname in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        level = record.levelname if known else record.levelno
        logger.bind(stdlib=record.name).opt(depth=depth, exception=record.exc_info).log(
            level, "{}", record.getMessage()
        )
