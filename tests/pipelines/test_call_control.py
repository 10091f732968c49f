"""Why a call ends with the apology: the words of callpipe's own errors, and nobody else's."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from pipecat.frames.frames import ErrorFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callpipe.pipelines.call_control import CallControl
from callpipe.pipelines.ongoing import Apologise
from callpipe.processors.errors import ModelUnreachableError


class Unusable(FrameProcessor):
    """A processor that can't go on."""

    @property
    def is_usable(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (None, "Unusable can't go on"),
        (ValueError("the caller said 4711"), "Unusable can't go on (ValueError)"),
        (
            ModelUnreachableError("status 401", 401),
            "Unusable can't go on: the model can't be reached: status 401",
        ),
    ],
)
async def test_the_reason_has_the_errors_words_when_they_hold_no_callers(
    failure: Exception | None, reason: str
) -> None:
    intents: list[Any] = []
    control = CallControl(SimpleNamespace(wants=intents.append), asyncio.Event())  # pyright: ignore[reportArgumentType]
    frame = ErrorFrame("the caller said 4711", processor=Unusable(), exception=failure)
    await control.process_event(frame, FrameDirection.UPSTREAM)
    assert intents == [Apologise(reason)]
