"""What a steering frame asks for when its author says no more."""

from __future__ import annotations

import pytest
from pipecat.frames.frames import SystemFrame

from callpipe.transports.steering import (
    ChangeFrame,
    EndWhenHeardFrame,
    FillerFrame,
    HoldFrame,
    MuteCallerFrame,
    ResumeFrame,
    SayFrame,
    SteeringFrame,
    TellFrame,
    ToolsChangedFrame,
    UnmuteCallerFrame,
)


def test_a_frame_asks_for_no_more_than_it_says() -> None:
    assert not TellFrame("They are a guest.").respond
    assert not UnmuteCallerFrame().when_heard
    assert (ChangeFrame().instructions, ChangeFrame().tools) == (None, None)


@pytest.mark.parametrize(
    "frame",
    [
        SayFrame("Your table is ready."),
        TellFrame("They are a guest.", respond=True),
        ChangeFrame("Be brief."),
        MuteCallerFrame(),
        UnmuteCallerFrame(when_heard=True),
        HoldFrame(),
        ResumeFrame(),
        EndWhenHeardFrame(),
        FillerFrame("t-1", "One moment.", 1_200.0),
    ],
)
def test_no_interruption_drops_a_frame_that_no_end_has_sent_back(frame: SteeringFrame) -> None:
    assert isinstance(frame, SystemFrame)
    assert not frame.turned


def test_what_the_router_is_told_is_not_taken_by_the_model() -> None:
    frame = ToolsChangedFrame([])
    assert not isinstance(frame, SteeringFrame)
    assert frame.tools == []
