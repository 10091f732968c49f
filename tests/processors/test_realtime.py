"""The realtime processor in a pipeline, in virtual time, against a scripted server on an in-memory socket."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker, ProcessorUnusablePolicy
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from callpipe.processors.errors import ModelSessionRefusedError, ModelSocketLostError, ModelUnreachableError
from callpipe.processors.realtime import RealtimeLLM, model_url
from callpipe.transports.audio.formats import PCM_8K, PCM_24K, PCMU_8K, AudioFormat, Tracks
from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.errors import Fault, FormatMismatchError, SocketClosedError, SocketRefusedError
from callpipe.transports.frames import (
    BargeInFrame,
    BotTurnFrame,
    CallerTurnFrame,
    EncodedAudio,
    InputEncodedAudioFrame,
    ModelFaultFrame,
    OutputEncodedAudioFrame,
    PlayheadFrame,
    PlayoutClearedFrame,
    PlayoutFinishedFrame,
    SessionReadyFrame,
    ToolCallFrame,
    ToolResultFrame,
    TurnLatencyFrame,
    UsageFrame,
)
from callpipe.transports.lane import UPSTREAM, MediaProcessor
from callpipe.transports.loopback import LoopbackSocket, socket_pair
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket import WebSocket

PACKETS = Path(__file__).parents[1] / "packets" / "realtime"
KEY = "sk-very-secret"
PCMU = RealtimeSettings(audio_format=PCMU_8K)


GOLDEN: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in PACKETS.glob("*.json")
}  # fmt: skip


class Model:
    """The server's end of the socket. It confirms settings; everything else a test says itself."""

    def __init__(
        self, wire: list[str], *, refusal: SocketRefusedError | None = None, confirms: bool = True
    ) -> None:
        self.wire = wire
        self.received: list[dict[str, Any]] = []
        self.urls: list[str] = []
        self.headers: Mapping[str, str] = {}
        self.deadline_s = 0.0
        self.closed: SocketClosedError | None = None
        self._refusal = refusal
        self._confirms = confirms
        self._socket: LoopbackSocket | None = None
        self._listening: asyncio.Task[None] | None = None

    async def connect(self, url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        self.urls.append(url)
        self.headers, self.deadline_s = headers, deadline_s
        await asyncio.sleep(0.1)
        if self._refusal is not None:
            raise self._refusal
        ours, theirs = socket_pair()
        self._socket = theirs
        self._listening = asyncio.create_task(self._listen(theirs))
        return ours

    async def _listen(self, socket: LoopbackSocket) -> None:
        try:
            while True:
                event = json.loads(await socket.receive())
                self.received.append(event)
                self.wire.append(event["type"])
                if event["type"] == "session.update" and self._confirms:
                    self.say("session.updated")
        except SocketClosedError as closed:
            self.closed = closed

    @property
    def socket(self) -> LoopbackSocket:
        assert self._socket is not None
        return self._socket

    def say(self, event_type: str, **changes: Any) -> None:
        self.socket.send(json.dumps(GOLDEN[event_type] | changes))

    def begin(self, response_id: str = "resp_1") -> None:
        self.say("response.created", response={"id": response_id})

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

    def process_audio(self, frame: Frame) -> Frame | None:
        now = asyncio.get_running_loop().time()
        if isinstance(frame, TTSAudioRawFrame):
            self.playhead.sent(len(frame.audio) / 48, now, frame.context_id)
        elif isinstance(frame, OutputEncodedAudioFrame):
            self.playhead.sent(frame.encoded.duration_ms, now, frame.context_id)
        return super().process_audio(frame)

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


class Stock(FrameProcessor):
    """A processor with pipecat's own queues."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


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
) -> AsyncGenerator[Call]:
    """A call whose first second has passed."""
    wire: list[str] = []
    model = Model(wire, refusal=refusal, confirms=confirms)
    clock = asyncio.get_running_loop().time
    llm = RealtimeLLM(settings=settings, api_key=KEY, greeting=greeting, connect=model.connect, clock=clock)
    before, the_line, behind = Seen(), Line(wire), Seen()
    chain = [before, llm, *between, *([the_line] if line else []), behind]
    worker = PipelineWorker(
        Pipeline(chain),
        enable_rtvi=False,
        idle_timeout_secs=None,
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


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in virtual time."""

    @functools.wraps(test)
    def in_virtual_time(*args: Any, **kwargs: Any) -> None:
        run_virtual(asyncio.wait_for(test(*args, **kwargs), 120))

    return in_virtual_time


def pcmu(payload: str = "/////w==") -> InputEncodedAudioFrame:
    return InputEncodedAudioFrame(EncodedAudio(payload=payload))


# Setting up.


@virtual
async def test_the_session_is_opened_with_the_key_in_the_handshake_alone() -> None:
    async with call() as on:
        assert on.model.urls == ["wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1"]
        assert on.model.headers == {"Authorization": f"Bearer {KEY}"}
        assert on.model.deadline_s == 10
        assert on.model.types() == ["session.update"]
        ready = on.behind.all(SessionReadyFrame)
        assert [(one.model, round(one.connect_ms)) for one in ready] == [("gpt-realtime-2.1", 100)]


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?model=m"),
        ("http://127.0.0.1:8080/v1/", "ws://127.0.0.1:8080/v1/realtime?model=m"),
        ("ws://127.0.0.1:8080/v1", "ws://127.0.0.1:8080/v1/realtime?model=m"),
        ("wss://x.openai.azure.com/openai/v1", "wss://x.openai.azure.com/openai/v1/realtime?model=m"),
    ],
)
def test_the_address_may_be_written_for_http_or_websockets(base_url: str, url: str) -> None:
    assert model_url(base_url, "m") == url


def test_a_models_name_does_not_leave_its_place() -> None:
    assert model_url("https://a/v1", "m&x=1#y").endswith("?model=m%26x%3D1%23y")


@virtual
async def test_caller_audio_waits_for_the_session_and_follows_the_greeting() -> None:
    async with call(greeting="Good morning.", confirms=False) as on:
        await on.caller_says(*(pcmu(payload) for payload in ("AAAA", "AQEB", "AgIC")))
        assert on.model.types() == ["session.update"]

        on.model.say("session.updated")
        await asyncio.sleep(0.01)
        await on.caller_says(pcmu("AwMD"))

        assert on.model.types()[1:] == ["response.create"] + ["input_audio_buffer.append"] * 4
        assert [event.get("audio") for event in on.model.received[2:]] == ["AAAA", "AQEB", "AgIC", "AwMD"]


@pytest.mark.parametrize("offered", [None, PCM_8K, PCM_24K])
def test_a_session_in_pcmu_takes_pcmu_only(offered: AudioFormat | None) -> None:
    llm = RealtimeLLM(settings=PCMU, api_key=KEY)

    with pytest.raises(FormatMismatchError, match="PCMU 8 kHz is taken"):
        llm.formats(Tracks(caller=offered))


def test_the_callers_audio_ends_here_and_the_bots_begins() -> None:
    llm = RealtimeLLM(settings=RealtimeSettings(), api_key=KEY)

    assert llm.formats(Tracks(caller=PCM_24K)) == Tracks(caller=None, bot=PCM_24K)


# Audio.


@virtual
async def test_pcmu_payloads_pass_untouched_both_ways() -> None:
    async with call() as on:
        await on.caller_says(pcmu("/v38+w=="))
        on.model.begin()
        on.model.say("response.output_audio.delta", delta="/3//")
        await asyncio.sleep(0.01)

        assert on.model.last("input_audio_buffer.append")["audio"] == "/v38+w=="
        (audio,) = on.behind.all(OutputEncodedAudioFrame)
        assert (audio.encoded.payload, audio.context_id) == ("/3//", "item_bot_1")
        assert on.behind.all(InputEncodedAudioFrame) == []


@virtual
async def test_pcm_passes_both_ways() -> None:
    async with call(RealtimeSettings()) as on:
        await on.caller_says(InputAudioRawFrame(b"\1\2" * 480, 24_000, 1))
        on.model.begin()
        on.model.say("response.output_audio.delta", delta=base64.b64encode(b"\3\4" * 240).decode())
        on.model.say("response.output_audio.done")
        await asyncio.sleep(0.01)

        assert base64.b64decode(on.model.last("input_audio_buffer.append")["audio"]) == b"\1\2" * 480
        (audio,) = on.behind.all(TTSAudioRawFrame)
        assert (audio.audio, audio.sample_rate, audio.context_id) == (b"\3\4" * 240, 24_000, "item_bot_1")
        names = on.behind.names(TTSStartedFrame, TTSAudioRawFrame, TTSStoppedFrame)
        assert names == ["TTSStartedFrame", "TTSAudioRawFrame", "TTSStoppedFrame"]
        assert on.behind.all(InputAudioRawFrame) == []


@virtual
async def test_audio_of_another_format_is_reported_and_not_sent() -> None:
    async with call(RealtimeSettings()) as on:
        await on.caller_says(InputAudioRawFrame(bytes(320), 8_000, 1), pcmu())

        assert "input_audio_buffer.append" not in on.model.types()
        assert [type(error.exception) for error in on.errors] == [FormatMismatchError] * 2


@virtual
async def test_the_wait_for_an_answer_is_told() -> None:
    async with call() as on:
        on.model.say("input_audio_buffer.speech_started")
        on.model.say("input_audio_buffer.speech_stopped")
        await asyncio.sleep(0.5)
        on.model.begin()
        on.model.speak(PCMU_8K, 300)
        await asyncio.sleep(0.01)

        latencies = on.behind.all(TurnLatencyFrame)
        assert [(round(one.response_ms), one.wire_ms) for one in latencies] == [(500, 0)]
        for seen in (on.before, on.behind):
            speech = seen.names(UserStartedSpeakingFrame, UserStoppedSpeakingFrame)
            assert speech == ["UserStartedSpeakingFrame", "UserStoppedSpeakingFrame"]


# Barge-in.


@pytest.mark.parametrize("between", [(), (Stock,)])
@virtual
async def test_the_carrier_is_cleared_before_the_model_is_told(
    between: tuple[type[FrameProcessor], ...],
) -> None:
    async with call(between=tuple(one() for one in between)) as on:
        on.model.begin()
        on.model.speak(PCMU_8K, 3000)
        await asyncio.sleep(0.74)
        on.model.say("input_audio_buffer.speech_started")
        on.model.speak(PCMU_8K, 500)
        on.model.end(status="cancelled")
        await asyncio.sleep(0.3)

        assert on.wire[-2:] == ["clear", "conversation.item.truncate"]
        truncate = on.model.last("conversation.item.truncate")
        assert (truncate["item_id"], truncate["audio_end_ms"]) == ("item_1", pytest.approx(740, abs=1))
        assert "response.cancel" not in on.wire
        (barge_in,) = on.behind.all(BargeInFrame)
        assert (barge_in.believed_ms, barge_in.generated_ms) == (truncate["audio_end_ms"], 3000)
        interruption = [isinstance(frame, InterruptionFrame) for frame in on.behind.frames].index(True)
        assert not any(isinstance(frame, OutputEncodedAudioFrame) for frame in on.behind.frames[interruption:])
        (turn,) = on.behind.all(BotTurnFrame)
        assert turn.interrupted


@virtual
async def test_without_a_transport_of_ours_the_model_is_told_after_a_quarter_second() -> None:
    async with call(line=False) as on:
        on.model.begin()
        on.model.speak(PCMU_8K, 3000)
        await asyncio.sleep(0.74)
        on.model.say("input_audio_buffer.speech_started")
        await asyncio.sleep(0.24)
        assert "conversation.item.truncate" not in on.wire
        await asyncio.sleep(0.02)

        assert on.model.last("conversation.item.truncate")["audio_end_ms"] == pytest.approx(740, abs=1)


@virtual
async def test_speech_while_nothing_is_said_interrupts_nobody() -> None:
    async with call() as on:
        on.model.say("input_audio_buffer.speech_started")
        await asyncio.sleep(0.01)

        assert on.behind.all(InterruptionFrame) == []


@pytest.mark.parametrize("from_behind", [False, True])
@virtual
async def test_an_interruption_from_elsewhere_stops_the_model(from_behind: bool) -> None:
    async with call() as on:
        on.model.begin()
        on.model.speak(PCMU_8K, 2000)
        await asyncio.sleep(0.5)
        if from_behind:
            await on.behind.broadcast_interruption()
            await on.line.queue_frame(InterruptionFrame())
        else:
            await on.before.broadcast_interruption()
        on.model.speak(PCMU_8K, 500)
        await asyncio.sleep(0.01)

        assert on.wire.count("response.cancel") == 1
        assert on.model.last("response.cancel")["response_id"] == "resp_1"
        assert on.model.last("conversation.item.truncate")["audio_end_ms"] == pytest.approx(500, abs=1)
        assert len(on.behind.all(OutputEncodedAudioFrame)) == 20


# Events and tools.


@virtual
async def test_turns_and_usage_are_told_and_transcripts_serve_stock_processors() -> None:
    async with call() as on:
        on.model.say("input_audio_buffer.committed")
        on.model.say("conversation.item.input_audio_transcription.completed")
        on.model.begin()
        on.model.say("response.output_audio_transcript.done", item_id="item_1")
        on.model.speak(PCMU_8K, 400)
        on.model.end()
        await on.line.finish()

        assert [turn.text for turn in on.behind.all(CallerTurnFrame)] == ["I would like a table for two."]
        assert [one.text for one in on.behind.all(TranscriptionFrame)] == ["I would like a table for two."]
        (turn,) = on.behind.all(BotTurnFrame)
        assert (turn.heard_text, turn.heard_ms) == ("A table for two, gladly.", 400)
        assert len(on.behind.all(UsageFrame)) == 2


@virtual
async def test_a_tool_call_goes_down_and_its_answer_to_the_model() -> None:
    async with call() as on:
        on.model.begin()
        on.model.say("response.function_call_arguments.done")
        on.model.end()
        await asyncio.sleep(0.01)
        (tool_call,) = on.behind.all(ToolCallFrame)
        assert (tool_call.call_id, tool_call.tool_name) == ("call_1", "book_table")

        await on.answers("call_1")
        await on.answers("call_1")

        assert on.model.types()[1:] == ["conversation.item.create", "response.create"]
        assert on.model.last("conversation.item.create")["item"]["call_id"] == "call_1"
        assert on.before.all(ToolResultFrame) == []


@virtual
async def test_the_call_ends_when_the_goodbye_was_heard() -> None:
    async with call() as on:
        on.model.begin()
        on.model.say("response.function_call_arguments.done")
        on.model.end()
        await asyncio.sleep(0.01)
        await on.answers("call_1", ends_call=True)
        on.model.begin("resp_2")
        on.model.speak(PCMU_8K, 900, "item_2", "resp_2")
        on.model.end("resp_2")
        await asyncio.sleep(0.5)
        assert not on.run.done()
        await on.line.finish()

        await on.is_over(within_s=1)
        assert len(on.behind.all(EndFrame)) == 1
        assert on.model.closed is not None


@virtual
async def test_the_call_ends_though_the_goodbye_never_comes() -> None:
    async with call() as on:
        on.model.begin()
        on.model.say("response.function_call_arguments.done")
        on.model.end()
        await asyncio.sleep(0.01)
        await on.answers("call_1", ends_call=True)

        await asyncio.sleep(19.5)
        assert not on.run.done()
        await on.is_over(within_s=1)


# What goes wrong.


@virtual
async def test_a_server_that_says_anything_is_survived() -> None:
    async with call() as on:
        for message in ("", "{", '"x"', '{"type":"new.thing"}', '{"type":"response.done"}', "\N{SNOWMAN}"):
            on.model.socket.send(message)
        on.model.socket.send_binary(b"\xff\x00")
        on.model.say("error")
        on.model.begin()
        on.model.speak(PCMU_8K, 100)
        await on.caller_says(pcmu())

        codes = [fault.code for fault in on.behind.all(ModelFaultFrame)]
        assert codes == ["malformed_event"] * 3 + ["unknown_event", "invalid_value"] or set(codes) == {
            "malformed_event", "unknown_event", "invalid_value"
        }  # fmt: skip
        assert len(on.behind.all(OutputEncodedAudioFrame)) == 1
        assert "input_audio_buffer.append" in on.model.types()
        assert on.errors == []


@pytest.mark.parametrize(
    ("status", "fault"),
    [(401, Fault.OPERATOR), (404, Fault.BOT_AUTHOR), (503, Fault.MODEL), (None, Fault.MODEL)],
)
@virtual
async def test_a_refused_connection_ends_the_call_with_one_error(
    status: int | None, fault: Fault, logged: list[str]
) -> None:
    async with call(refusal=SocketRefusedError("refused", status)) as on:
        await on.is_over(within_s=2)

        (error,) = on.errors
        assert isinstance(error.exception, ModelUnreachableError)
        assert (error.exception.status, error.exception.fault) == (status, fault)
        assert [one.code for one in on.behind.all(ModelFaultFrame)] == ["unreachable"]
        assert not on.llm.is_usable
    assert not any(KEY in message for message in logged)


@virtual
async def test_refused_settings_end_the_call_with_the_servers_words() -> None:
    async with call(confirms=False) as on:
        on.model.say("error")
        await on.is_over(within_s=2)

        (error,) = on.errors
        assert isinstance(error.exception, ModelSessionRefusedError)
        assert (error.exception.code, error.exception.fault) == ("invalid_value", Fault.BOT_AUTHOR)
        assert "purple" in error.error


@virtual
async def test_settings_that_are_never_confirmed_end_the_call() -> None:
    async with call(confirms=False) as on:
        await on.is_over(within_s=12)

        (error,) = on.errors
        assert isinstance(error.exception, ModelSessionRefusedError)
        assert error.exception.fault is Fault.MODEL


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011])
@virtual
async def test_a_socket_that_dies_in_the_middle_ends_the_call_with_one_error(code: int) -> None:
    async with call() as on:
        on.model.begin()
        on.model.speak(PCMU_8K, 500)
        await on.model.socket.close(code, "gone")
        await on.caller_says(*(pcmu() for _ in range(50)))
        await on.is_over(within_s=2)

        (error,) = on.errors
        assert isinstance(error.exception, ModelSocketLostError)
        assert error.exception.code == code
        assert [one.code for one in on.behind.all(ModelFaultFrame)] == ["socket_closed"]


@virtual
async def test_a_cancelled_call_closes_its_socket_and_tells_what_was_heard() -> None:
    async with call() as on:
        on.model.begin()
        on.model.speak(PCMU_8K, 2000)
        await asyncio.sleep(0.5)
        await on.worker.cancel()
        await on.run

        assert on.model.closed is not None
        assert [round(turn.heard_ms) for turn in on.behind.all(BotTurnFrame)] == [500]
        assert len(on.behind.all(CancelFrame)) == 1


@virtual
async def test_a_call_cancelled_while_connecting_is_over_at_once() -> None:
    async with call(lasts_s=0.05) as on:
        began = asyncio.get_running_loop().time()
        await on.worker.cancel()
        await on.run

        assert asyncio.get_running_loop().time() - began < 2


class DeafSocket:
    """Wraps a socket whose peer never answers a close."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.send = socket.send
        self.receive = socket.receive

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        await asyncio.sleep(3600)


@virtual
async def test_a_server_that_does_not_close_holds_the_call_up_for_two_seconds_at_most() -> None:
    model = Model([])

    async def connect(url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        return DeafSocket(await model.connect(url, headers=headers, deadline_s=deadline_s))

    clock = asyncio.get_running_loop().time
    llm = RealtimeLLM(settings=PCMU, api_key=KEY, connect=connect, clock=clock)
    worker = PipelineWorker(Pipeline([Seen(), llm]), enable_rtvi=False, idle_timeout_secs=None)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    await asyncio.sleep(1)
    began = clock()
    await worker.queue_frame(EndFrame())
    await run

    assert clock() - began < 2.5


@virtual
async def test_no_word_of_the_call_and_no_key_is_logged(logged: list[str]) -> None:
    async with call(greeting="Good morning, Ada.") as on:
        on.model.say("input_audio_buffer.committed")
        on.model.say("conversation.item.input_audio_transcription.completed")
        on.model.begin()
        on.model.say("response.output_audio_transcript.done", item_id="item_1")
        on.model.speak(PCMU_8K, 200)
        on.model.say("response.function_call_arguments.done")
        on.model.end()
        await on.answers("call_1")
        await on.line.finish()
        assert len(on.behind.all(BotTurnFrame)) == 1

    content = ("table for two", "gladly", "2026-12-01", "Ada", KEY)
    assert len(logged) > 10
    assert [message for message in logged if any(words in message for words in content)] == []
