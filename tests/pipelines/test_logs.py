"""Log messages are one line each, as text or JSON, with the call they are about and without what was said."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callpipe.pipelines import Call, Pipeline, passthrough_call
from callpipe.pipelines.logs import LogFormat, log_to_stderr
from callpipe.processors import MulawDecoder
from callpipe.transports.lane import MediaProcessor

from .steered_call import Stage, hold_call

SECRET = "my card is 4242"


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    logger.remove()
    logger.add(sys.stderr)
    root.handlers[:] = before
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_message_is_a_line_with_its_call(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("INFO")
    with logger.contextualize(call_id="c-1"):
        logger.info("one\ntwo {}", "{three}")
        logger.info("call c-1: told once")
        logger.debug("not this")
    logger.info("no call")
    assert [line.split("INFO    ")[1] for line in lines(capsys)] == [
        "call c-1: one two {three}",
        "call c-1: told once",
        "no call",
    ]


def test_json_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("INFO", LogFormat.JSON)
    with logger.contextualize(call_id="c-1"):
        logger.warning('with "quotes"\nand é')
    (told,) = (json.loads(line) for line in lines(capsys))
    assert told["message"] == 'with "quotes" and é'
    assert (told["level"], told["call_id"]) == ("WARNING", "c-1")
    assert told["source"].startswith(f"{__name__}:")
    assert told["time"].endswith("+00:00")


@pytest.mark.parametrize("log_format", LogFormat)
def test_an_exception_is_its_type_and_places(log_format: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("INFO", log_format)
    try:
        raise LookupError(SECRET)
    except LookupError as failure:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
        logging.getLogger("asyncio").error("Task failed: %s", failure)
        logging.getLogger("httpx").info("HTTP Request")
    told = lines(capsys)
    assert len(told) == 2
    assert "LookupError" in told[0]
    assert f"{Path(__file__).name}:" in told[0]
    assert "4242" not in str(told)


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (f"Bot#1 exception (bot.py:7): {SECRET}", "Bot#1 exception (bot.py:7)"),
        (f"Bot#1 error: {SECRET}\n{SECRET}", "Bot#1 error"),
        (f"Error cleaning up Bot#1: {SECRET}", "Error cleaning up Bot#1"),
        (f"W: Something went wrong: ErrorFrame(error: {SECRET})", "W: Something went wrong"),
        ("W: timed out waiting for task to cancel", "W: timed out waiting for task to cancel"),
    ],
)
def test_of_another_librarys_error_only_what_and_where_is_told(
    message: str, kept: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log_to_stderr("INFO")
    theirs = logger.patch(lambda record: record.update(name="pipecat.processors.frame_processor"))
    theirs.error("{}", message)
    theirs.info("{}", message)
    (line,) = lines(capsys)
    assert line.endswith(kept)


class Breaking(FrameProcessor):
    """A stock processor of an author's that raises with a caller's words."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            raise LookupError(SECRET)
        await self.push_frame(frame, direction)


class BreakingLane(MediaProcessor):
    """A lane processor of an author's that does."""

    def process_audio(self, frame: Frame) -> Frame | None:
        if isinstance(frame, InputAudioRawFrame):
            raise LookupError(SECRET)
        return frame


@pytest.mark.parametrize("breaking", [Breaking, BreakingLane])
def test_an_authors_processor_that_raises_is_told_without_its_words(
    breaking: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(call: Call) -> Pipeline:
        logger.info("built")
        first, *rest = passthrough_call(call, instructions="Be brief.").processors[1:-1]
        return Pipeline([first, MulawDecoder(), breaking(), rest[-1]])

    async def play(stage: Stage) -> None:
        await asyncio.sleep(0.2)

    log_to_stderr("INFO", LogFormat.JSON)
    hold_call(play, build)
    told = lines(capsys)
    assert "4242" not in str(told)
    assert "test_logs.py" in str(told)
    assert {json.loads(line)["call_id"] for line in told} == {"c-1"}
    assert any("built" in line for line in told)
