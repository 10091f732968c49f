"""Frames say when, where and how much, and tool calls survive an interruption."""

from __future__ import annotations

import pytest
from pipecat.frames.frames import Frame

from callpipe.transports.encoded_audio import EncodedAudio
from callpipe.transports.frames import (
    InputEncodedAudioFrame,
    LineAudioFrame,
    OutputEncodedAudioFrame,
    ToolCallFrame,
    ToolResultFrame,
)

AUDIO = EncodedAudio(audio=bytes(160))


@pytest.mark.parametrize(
    "frame",
    [InputEncodedAudioFrame(AUDIO), OutputEncodedAudioFrame(AUDIO), LineAudioFrame(0, b"", b"", age_s=0.0)],
)
def test_a_packet_is_a_frame_as_any_other(frame: Frame) -> None:
    assert frame.name == f"{type(frame).__name__}#{frame.id}"
    assert frame.metadata == {}
    assert frame.metadata is frame.metadata
    assert (frame.pts, frame.broadcast_sibling_id) == (None, None)
    assert (frame.transport_source, frame.transport_destination) == (None, None)


def test_later_frames_have_greater_numbers() -> None:
    first, second = OutputEncodedAudioFrame(AUDIO), OutputEncodedAudioFrame(AUDIO)
    assert second.id > first.id


def test_a_packet_begins_the_track_unless_it_says_where_it_stands() -> None:
    frame = InputEncodedAudioFrame(AUDIO)
    assert (frame.position, frame.received_at) == (0, 0.0)
    assert OutputEncodedAudioFrame(AUDIO).context_id is None


def test_a_tool_call_and_its_answer_are_never_dropped() -> None:
    call, answer = ToolCallFrame("t", "book", "{}"), ToolResultFrame("t", "book", "{}", "ok")
    assert not call.interruptible
    assert not answer.interruptible
    assert (answer.duration_ms, answer.ends_call) == (0.0, False)
