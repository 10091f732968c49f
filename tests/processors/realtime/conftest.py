"""A call with the realtime processor in its pipeline, against a scripted server on an in-memory socket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterruptionFrame,
    StartFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker, ProcessorUnusablePolicy
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from callpipe.processors.realtime import RealtimeLLM
from callpipe.transports.audio.formats import PCMU_8K, AudioFormat
from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.errors import SocketClosedError, SocketRefusedError
from callpipe.transports.frames import (
    OutputEncodedAudioFrame,
    PlayheadFrame,
    PlayoutClearedFrame,
    PlayoutFinishedFrame,
    PlayoutStartedFrame,
    ToolResultFrame,
)
from callpipe.transports.lane import UPSTREAM, MediaProcessor, Rest
from callpipe.transports.loopback import LoopbackSocket, socket_pair
from callpipe.transports.realtime.endpoints import Breakers
from callpipe.transports.realtime.pace import Paces
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.websocket import Connect, WebSocket

PACKETS = Path(__file__).parents[2] / "packets" / "realtime"
KEY = "sk-very-secret"
Wrap = Callable[[LoopbackSocket], WebSocket]
PCMU = RealtimeSettings(audio_format=PCMU_8K)


GOLDEN: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in PACKETS.glob("*.json")
}  # fmt: skip


class Model:
    """The server's end of the socket. It confirms settings; everything else a test says itself."""

    def __init__(
        self,
        wire: list[str],
        *,
        refusal: SocketRefusedError | None = None,
        confirms: bool = True,
        wrap: Wrap = lambda socket: socket,
    ) -> None:
        self.wire = wire
        self.received: list[dict[str, Any]] = []
        self.urls: list[str] = []
        self.headers: Mapping[str, str] = {}
        self.deadline_s = 0.0
        self.closed: SocketClosedError | None = None
        self.ended: list[LoopbackSocket] = []
        self.takes_s = 0.1
        self.sockets: list[LoopbackSocket] = []
        self._silent = False
        self._opened_at = 0
        self._refusal = refusal
        self._confirms = confirms
        self._wrap = wrap
        self._listening: list[asyncio.Task[None]] = []

    async def connect(self, url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        self.urls.append(url)
        self.headers, self.deadline_s = headers, deadline_s
        await asyncio.sleep(self.takes_s)
        if self._refusal is not None:
            raise self._refusal
        ours, theirs = socket_pair()
        self._silent = False
        self._opened_at = len(self.received)
        self.sockets.append(theirs)
        self._listening.append(asyncio.create_task(self._listen(theirs)))
        return self._wrap(ours)

    async def _listen(self, socket: LoopbackSocket) -> None:
        try:
            while True:
                event = json.loads(await socket.receive())
                self.received.append(event)
                self.wire.append(event["type"])
                if event["type"] == "session.update" and self._confirms and not self._silent:
                    socket.send(json.dumps(GOLDEN["session.updated"]))
        except SocketClosedError as closed:
            self.closed = closed
            self.ended.append(socket)

    @property
    def socket(self) -> LoopbackSocket:
        return self.sockets[-1]

    def since_opened(self) -> list[dict[str, Any]]:
        """What was received since the newest socket was opened."""
        return self.received[self._opened_at :]

    def heard_since_opened(self) -> bytes:
        """The caller's audio that was received since then."""
        appended = (event for event in self.since_opened() if event["type"] == "input_audio_buffer.append")
        return b"".join(base64.b64decode(event["audio"]) for event in appended)

    def falls_silent(self) -> None:
        """Answer nothing any more on the newest socket."""
        self._silent = True

    def say(self, event_type: str, **changes: Any) -> None:
        self.socket.send(json.dumps(GOLDEN[event_type] | changes))

    def begin(self, response_id: str = "resp_1") -> None:
        self.say("response.created", response={"id": response_id})

    def begin_what_was_asked_for(self) -> None:
        asked = self.last("response.create")["response"]
        self.say("response.created", response={"id": "resp_1", "metadata": asked["metadata"]})

    def end(self, response_id: str = "resp_1", status: str = "completed") -> None:
        self.say(
            "response.done",
            response=GOLDEN["response.done"]["response"] | {"id": response_id, "status": status},
        )

    def speak(
        self, audio_format: AudioFormat, ms: float, item_id: str = "item_1", response_id: str = "resp_1"
    ) -> None:
        for _ in range(int(ms // 100)):
            delta = base64.b64encode(bytes(audio_format.size(100))).decode()
            self.say(
                "response.output_audio.delta",
                event_id="",
                item_id=item_id,
                response_id=response_id,
                delta=delta,
            )

    def types(self) -> list[str]:
        return [event["type"] for event in self.received]

    def last(self, event_type: str) -> dict[str, Any]:
        return next(event for event in reversed(self.received) if event["type"] == event_type)


class Seen(MediaProcessor):
    """Stands at an end of the pipeline and keeps what comes by."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []

    def process_audio(self, frame: Frame) -> Frame | None:
        self.frames.append(frame)
        return frame

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        self.frames.append(frame)
        await self.push_frame(frame, direction)

    def all(self, kind: type[Frame]) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def names(self, *kinds: type[Frame]) -> list[str]:
        return [type(frame).__name__ for frame in self.frames if isinstance(frame, kinds)]


class Line(Seen):
    """What the transport's output does, by a playhead: plays at once, clears, and tells."""

    def __init__(self, wire: list[str]) -> None:
        super().__init__()
        self.wire = wire
        self.playhead = Playhead()
        self.began: dict[str, PlayoutStartedFrame] = {}

    def process_audio(self, frame: Frame) -> Frame | None:
        now = asyncio.get_running_loop().time()
        if isinstance(frame, TTSAudioRawFrame):
            heard_at = self.playhead.sent(len(frame.audio) / 48, now, frame.context_id)
            self.began.setdefault(frame.context_id or "", PlayoutStartedFrame("", now, heard_at))
        elif isinstance(frame, OutputEncodedAudioFrame):
            heard_at = self.playhead.sent(frame.encoded.duration_ms, now, frame.context_id)
            self.began.setdefault(frame.context_id or "", PlayoutStartedFrame("", now, heard_at))
        return super().process_audio(frame)

    def pass_audio(self, frame: Frame) -> Rest:
        rest = super().pass_audio(frame)
        return rest if all(began.context_id for began in self.began.values()) else self._tell(rest)

    async def _tell(self, rest: Rest) -> None:
        if rest is not None:
            await rest
        for context_id, began in self.began.items():
            if not began.context_id:
                began.context_id = context_id
                await self.push_frame(began, UPSTREAM)

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_event(frame, direction)
        now = asyncio.get_running_loop().time()
        if isinstance(frame, StartFrame):
            await self.push_frame(PlayheadFrame(self.playhead), UPSTREAM)
        elif isinstance(frame, InterruptionFrame):
            self.wire.append("clear")
            await self.push_frame(PlayoutClearedFrame(now, self.playhead.cleared(now)), UPSTREAM)

    async def finish(self) -> None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(self.playhead.ends_at - now, 0) + 0.001)
        await self.push_frame(PlayoutFinishedFrame(self.playhead.ends_at), UPSTREAM)


@dataclass
class Call:
    model: Model
    llm: RealtimeLLM
    before: Seen
    line: Line
    behind: Seen
    worker: PipelineWorker
    wire: list[str]
    run: asyncio.Task[None]
    errors: list[ErrorFrame] = field(default_factory=list[ErrorFrame])

    async def caller_says(self, *frames: Frame) -> None:
        for frame in frames:
            await self.before.queue_frame(frame)
        await asyncio.sleep(0.01)

    async def is_over(self, *, within_s: float) -> None:
        # pipecat's runner swallows a cancellation: `wait_for` would take a call that hangs for one that ended.
        await asyncio.wait([self.run], timeout=within_s)
        assert self.run.done()

    async def answers(self, call_id: str, *, ends_call: bool = False) -> None:
        result = ToolResultFrame(call_id, "book_table", "{}", "ok", ends_call=ends_call)
        await self.behind.push_frame(result, UPSTREAM)
        await asyncio.sleep(0.01)


@asynccontextmanager
async def call(
    settings: RealtimeSettings = PCMU,
    *,
    between: tuple[FrameProcessor, ...] = (),
    line: bool = True,
    greeting: str | None = None,
    refusal: SocketRefusedError | None = None,
    confirms: bool = True,
    lasts_s: float = 1.0,
    wrap: Wrap = lambda socket: socket,
    connect: Connect | None = None,
    through: Callable[[Connect], Connect] = lambda connect: connect,
    breakers: Breakers | None = None,
    paces: Paces | None = None,
    metrics: bool = False,
    **more: Any,
) -> AsyncGenerator[Call]:
    """A call whose first second has passed; `more` goes to the processor."""
    wire: list[str] = []
    model = Model(wire, refusal=refusal, confirms=confirms, wrap=wrap)
    clock = asyncio.get_running_loop().time
    llm = RealtimeLLM(
        settings=settings,
        api_key=KEY,
        greeting=greeting,
        connect=through(connect or model.connect),
        clock=clock,
        breakers=breakers or Breakers(),
        paces=paces or Paces(),
        **more,
    )
    before, the_line, behind = Seen(), Line(wire), Seen()
    chain = [before, llm, *between, *([the_line] if line else []), behind]
    worker = PipelineWorker(
        Pipeline(chain),
        enable_rtvi=False,
        idle_timeout_secs=None,
        params=PipelineParams(enable_metrics=metrics),
        processor_unusable_policy=ProcessorUnusablePolicy.END,
    )
    errors: list[ErrorFrame] = []

    async def note_error(_worker: PipelineWorker, error: ErrorFrame) -> None:
        errors.append(error)

    worker.add_event_handler("on_pipeline_error", note_error)  # pyright: ignore[reportUnknownMemberType]  pipecat's
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    await asyncio.sleep(lasts_s)
    try:
        yield Call(model, llm, before, the_line, behind, worker, wire, run, errors)
    finally:
        if not run.done():
            await worker.cancel()
        await run


PlaceCall = Callable[..., AbstractAsyncContextManager[Call]]


@pytest.fixture
def place_call() -> PlaceCall:
    """Place a call whose first second has passed; takes what `call` takes."""
    return call
