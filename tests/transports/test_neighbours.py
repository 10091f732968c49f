"""Where the lane's frames go: past what pipecat puts around a pipeline, as far as that only passes them."""

from pipecat.frames.frames import Frame
from pipecat.pipeline.pipeline import Pipeline, PipelineSink, PipelineSource
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callpipe.transports.lane import DOWNSTREAM, UPSTREAM, MediaProcessor
from callpipe.transports.neighbours import audio_goes_to, neighbour


class Passing(MediaProcessor):
    """A lane processor that changes nothing."""


class Counting(Pipeline):
    """A pipeline that does something with frames itself."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)


def worker_of(*processors: FrameProcessor) -> PipelineWorker:
    return PipelineWorker(
        Pipeline(list(processors)), enable_rtvi=False, enable_turn_tracking=False, idle_timeout_secs=None
    )


def test_a_nested_pipeline_is_entered_and_left_directly() -> None:
    first, inside, also_inside, last = Passing(), Passing(), Passing(), Passing()
    worker = worker_of(first, Pipeline([Pipeline([inside, also_inside])]), last)
    assert neighbour(first, DOWNSTREAM) is inside
    assert neighbour(inside, DOWNSTREAM) is also_inside
    assert neighbour(also_inside, DOWNSTREAM) is last
    assert neighbour(last, UPSTREAM) is also_inside
    assert neighbour(also_inside, UPSTREAM) is inside
    assert neighbour(inside, UPSTREAM) is first
    assert audio_goes_to(also_inside) is last
    del worker


def test_the_worker_gets_what_leaves_the_outermost_pipeline_and_audio_only_if_it_asked() -> None:
    only = Passing()
    worker = worker_of(only)
    above, below = neighbour(only, UPSTREAM), neighbour(only, DOWNSTREAM)
    assert isinstance(above, PipelineSource)
    assert isinstance(below, PipelineSink)
    for end, push_frame in ((above, "_upstream_push_frame"), (below, "_downstream_push_frame")):
        assert vars(end)[push_frame].__self__ is worker
    assert audio_goes_to(only) is None
    worker.set_reached_downstream_filter((Frame,))
    assert audio_goes_to(only) is below


def test_a_pipeline_that_does_something_itself_is_not_skipped() -> None:
    first, inside, last = Passing(), Passing(), Passing()
    counting = Counting([inside])
    worker = worker_of(first, counting, last)
    assert neighbour(first, DOWNSTREAM) is counting
    assert neighbour(last, UPSTREAM) is counting
    del worker


def test_a_processor_that_is_linked_to_nobody_has_no_neighbours() -> None:
    alone = Passing()
    assert neighbour(alone, DOWNSTREAM) is None
    assert neighbour(alone, UPSTREAM) is None
    assert audio_goes_to(alone) is None
