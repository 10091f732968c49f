"""One call in a pipeline: the transport, its neighbours, and the carrier's end of the socket."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pipecat.frames.frames import EndFrame, Frame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection
from pipecat.workers.runner import WorkerRunner

from callpipe.transports.bandwidth import BandwidthTransport
from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.errors import SocketClosedError
from callpipe.transports.lane import MediaProcessor
from callpipe.transports.loopback import LoopbackSocket, socket_pair
from callpipe.transports.websocket import WebSocket

START = StartMessage(account_id="a", call_id="c", stream_id="s", stream_name="n")


class Neighbour(MediaProcessor):
    """Stands before or behind the output and writes down what comes by, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, Frame]] = []

    def process_audio(self, frame: Frame) -> Frame | None:
        self._note(frame)
        return frame

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        self._note(frame)
        await self.push_frame(frame, direction)

    def _note(self, frame: Frame) -> None:
        self.seen.append((round(asyncio.get_running_loop().time(), 3), frame))

    def times(self, *kinds: type[Frame]) -> list[tuple[float, str]]:
        return [(at, type(frame).__name__) for at, frame in self.seen if isinstance(frame, kinds)]

    def only(self, kind: type[Frame]) -> Any:
        (frame,) = (frame for _, frame in self.seen if isinstance(frame, kind))
        return frame


@dataclass
class Phone:
    """The carrier's end of the socket: what it is sent, and when."""

    socket: LoopbackSocket
    sent: list[tuple[float, Any]] = field(default_factory=list[tuple[float, Any]])
    closed_at: float | None = None

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                message = json.loads(await self.socket.receive())
                self.sent.append((round(loop.time(), 3), message))
        except SocketClosedError:
            self.closed_at = round(loop.time(), 3)

    @property
    def order(self) -> list[str]:
        """Each message's payload, or its event type when it has none."""
        return [message.get("media", {}).get("payload", message["eventType"]) for _, message in self.sent]


@dataclass
class Call:
    phone: Phone
    socket: WebSocket
    transport: BandwidthTransport
    before: Neighbour
    behind: Neighbour
    worker: PipelineWorker
    run: asyncio.Task[None]

    async def say(self, *frames: Frame) -> None:
        for frame in frames:
            await self.before.push_frame(frame)

    def attach(self) -> None:
        self.transport.attach(self.socket, START)

    async def end(self) -> None:
        await self.worker.queue_frame(EndFrame())
        await self.run


@asynccontextmanager
async def call(
    wrap: Callable[[LoopbackSocket], WebSocket] = lambda socket: socket,
    first: Sequence[str] = (),
    *,
    attached: bool = True,
    **settings: Any,
) -> AsyncGenerator[Call]:
    ours, theirs = socket_pair()
    for message in first:
        theirs.send(message)
    socket, clock = wrap(ours), asyncio.get_running_loop().time
    if attached:
        transport = BandwidthTransport(socket, START, clock=clock, **settings)
    else:
        transport = BandwidthTransport(clock=clock, **settings)
    before, behind, phone = Neighbour(), Neighbour(), Phone(theirs)
    pipeline = Pipeline([transport.input(), before, transport.output(), behind])
    worker = PipelineWorker(pipeline, enable_rtvi=False, idle_timeout_secs=None)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    listening = asyncio.create_task(phone.listen())
    await asyncio.sleep(1.0)  # virtual: what follows counts from here
    try:
        yield Call(phone, socket, transport, before, behind, worker, run)
    finally:
        if not run.done():
            await worker.cancel()
        await run
        if not transport.attached:
            await theirs.close()
        await listening


PlaceCall = Callable[..., AbstractAsyncContextManager[Call]]


@pytest.fixture
def place_call() -> PlaceCall:
    """Place a call whose first second has passed.

    `wrap` may stand between the transport and its socket, `first` is sent before the pipeline starts, settings
    go to the transport. Without `attached` the pipeline waits for its stream.
    """
    return call
