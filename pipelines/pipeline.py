"""A pipeline whose joints are checked when it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.pipeline import Pipeline as StockPipeline
from pipecat.processors.frame_processor import FrameProcessor

from callpipe.processors.mulaw import MulawDecoder, MulawEncoder
from callpipe.processors.realtime import RealtimeLLM
from callpipe.processors.resampler import Resampler
from callpipe.processors.tools import ToolRouter
from callpipe.transports.audio.formats import Encoding, Tracks
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.lane import MediaProcessor

from .errors import PipelineFormatError
from .stock_formats import stock_formats

_CONVERSIONS: tuple[tuple[tuple[str, Callable[[], MediaProcessor]], ...], ...] = (
    (("MulawDecoder()", MulawDecoder),),
    (("MulawEncoder()", MulawEncoder),),
    *(
        (step,)
        for step in ((f"Resampler({rate})", lambda rate=rate: Resampler(rate)) for rate in (8000, 16000, 24000))
    ),
    *(
        (("MulawDecoder()", MulawDecoder), (f"Resampler({rate})", lambda rate=rate: Resampler(rate)))
        for rate in (16000, 24000)
    ),
    (("Resampler(8000)", lambda: Resampler(8000)), ("MulawEncoder()", MulawEncoder)),
)
"""What may be put between two processors that don't fit, the shortest first."""


@dataclass(frozen=True, slots=True)
class Joint:
    """What flows behind one processor of a pipeline.

    Attributes:
        processor: The processor's class name.
        tracks: The format of each track behind it.
        note: What an author should know of this place; empty mostly.
    """

    processor: str
    tracks: Tracks
    note: str = ""


class Pipeline(StockPipeline):
    """Processors in the order in which audio flows: from the transport's input to its output.

    Stock pipecat processors may stand anywhere. Of those that say which audio they take, the joints are checked
    too (see `stock_formats`); others are taken to pass audio on as it is.

    Args:
        processors: The processors.
        observers: pipecat observers that watch this call's pipeline.

    Raises:
        PipelineFormatError: Two processors don't fit; the message names both and what to put between.
    """

    def __init__(self, processors: Sequence[FrameProcessor], *, observers: Sequence[BaseObserver] = ()) -> None:
        self.observers = tuple(observers)
        self.joints = tuple(_joints(list(_flat(processors))))
        super().__init__(list(processors))


def _flat(processors: Sequence[FrameProcessor]) -> Iterator[FrameProcessor]:
    for processor in processors:
        if isinstance(processor, StockPipeline):
            yield from _flat(processor.processors[1:-1])  # without pipecat's own source and sink
        else:
            yield processor


def _joints(processors: Sequence[FrameProcessor]) -> Iterator[Joint]:
    _check_tools(processors)
    tracks = Tracks()
    givers = {"caller": "the start of the pipeline", "bot": "the start of the pipeline"}
    for processor in processors:
        name = type(processor).__name__
        try:
            after = _formats(processor, tracks)
        except FormatMismatchError as mismatch:
            raise _refusal(processor, mismatch, tracks, givers[mismatch.track]) from None
        if after.caller != tracks.caller:
            givers["caller"] = name
        if after.bot != tracks.bot:
            givers["bot"] = name
        tracks = after
        is_stock = not isinstance(processor, MediaProcessor)
        yield Joint(name, tracks, _what_a_stock_processor_misses(tracks) if is_stock else "")


def _formats(processor: FrameProcessor, tracks: Tracks) -> Tracks:
    if isinstance(processor, MediaProcessor):
        return processor.formats(tracks)
    return stock_formats(processor, tracks)


def _what_a_stock_processor_misses(tracks: Tracks) -> str:
    encoded = [
        track
        for track, audio_format in (("caller", tracks.caller), ("bot", tracks.bot))
        if audio_format is not None and audio_format.encoding is not Encoding.PCM
    ]
    return f"hears nothing of the {' and the '.join(encoded)}: put MulawDecoder() before it" if encoded else ""


def _refusal(
    taker: FrameProcessor, mismatch: FormatMismatchError, tracks: Tracks, giver: str
) -> PipelineFormatError:
    name = type(taker).__name__
    between = _what_fits_between(taker, tracks)
    mend = f"put {' and '.join(between)} between them" if between else f"{name} can't stand here"
    return PipelineFormatError(f"{name} does not fit behind {giver}: {mismatch}; {mend}", giver, name, between)


def _what_fits_between(taker: FrameProcessor, tracks: Tracks) -> tuple[str, ...]:
    for conversion in _CONVERSIONS:
        after = tracks
        try:
            for _, step in conversion:
                after = step().formats(after)
            _formats(taker, after)
        except FormatMismatchError:
            continue
        return tuple(text for text, _ in conversion)
    return ()


def _check_tools(processors: Sequence[FrameProcessor]) -> None:
    """Refuse a model that knows tools nobody runs: each of its calls would stay unanswered."""
    offered = {tool.name for model in processors if isinstance(model, RealtimeLLM) for tool in model.tools}
    routed = {tool.name for router in processors if isinstance(router, ToolRouter) for tool in router.tools}
    if unrouted := sorted(offered - routed):
        raise PipelineFormatError(
            f"RealtimeLLM is told of {', '.join(unrouted)}, and no ToolRouter runs "
            f"{'it' if len(unrouted) == 1 else 'them'}: put ToolRouter(tools) behind RealtimeLLM",
            "RealtimeLLM",
            "ToolRouter",
        )
