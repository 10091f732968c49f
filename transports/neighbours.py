"""Who gets what a lane processor hands on: sources and sinks of pipecat's that only pass frames are skipped.

A nested pipeline is four processors of pipecat's to go through, at 4 microseconds each and more. Private
attributes of pipecat's are read here; tests/transports/test_neighbours.py holds their names.
"""

from __future__ import annotations

from pipecat.pipeline.pipeline import Pipeline, PipelineSink, PipelineSource
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

_PASSING = tuple(kind.process_frame for kind in (Pipeline, PipelineSource, PipelineSink))


def neighbour(processor: FrameProcessor, direction: FrameDirection) -> FrameProcessor | None:
    """Return the processor that gets a frame next, and does something with it."""
    following = _linked(processor, direction)
    while following is not None and type(following).process_frame in _PASSING:
        within = _within(following, direction)
        if within is None:
            break
        following = _linked(within, direction)
    return following


def audio_goes_to(processor: FrameProcessor) -> FrameProcessor | None:
    """Return who gets the audio that a processor hands on, or None when it can be dropped.

    The worker behind the outermost pipeline has no use for audio unless a handler asked for it.
    """
    following = neighbour(processor, FrameDirection.DOWNSTREAM)
    if isinstance(following, PipelineSink):
        owner = _owner(following, "_downstream_push_frame")
        if isinstance(owner, PipelineWorker) and not owner.reached_downstream_types:
            return None
    return following


def _within(passing: FrameProcessor, direction: FrameDirection) -> FrameProcessor | None:
    """Return whose neighbour follows a processor that only passes frames; None where a worker takes them."""
    if isinstance(passing, Pipeline):
        return passing.processors[0 if direction is FrameDirection.DOWNSTREAM else -1]
    if isinstance(passing, PipelineSink if direction is FrameDirection.UPSTREAM else PipelineSource):
        return passing
    name = "_downstream_push_frame" if isinstance(passing, PipelineSink) else "_upstream_push_frame"
    owner = _owner(passing, name)
    return owner if isinstance(owner, Pipeline) else None


def _linked(processor: FrameProcessor, direction: FrameDirection) -> FrameProcessor | None:
    return processor._next if direction is FrameDirection.DOWNSTREAM else processor._prev  # pyright: ignore[reportPrivateUsage]


def _owner(end: FrameProcessor, push_frame: str) -> object:
    return getattr(vars(end)[push_frame], "__self__", None)
