"""Every call ends: in order, when it must, and whatever a processor does about it."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import CancelFrame, EndFrame, EndWorkerFrame, Frame, StartFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup

from callpipe.pipelines import Bot, Call, Parties, Pipeline
from callpipe.pipelines.call_life import CallLife, Deadlines
from callpipe.pipelines.ongoing import Apologise, HangUp, OngoingCall
from callpipe.pipelines.settings import Settings
from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.bandwidth.transport import BandwidthTransport
from callpipe.transports.errors import SocketClosedError
from callpipe.transports.frames import EncodedAudio, OutputEncodedAudioFrame
from callpipe.transports.lane import UPSTREAM, MediaProcessor
from callpipe.transports.loopback import LoopbackSocket, socket_pair
from callpipe.transports.virtual_time import run_virtual

DEADLINES = Deadlines(start_s=10, end_s=5, cancel_s=2, leave_s=2)
SETTINGS = Settings()
START = StartMessage(account_id="1", call_id="c-1", stream_id="s-1", stream_name="generation-1")


class Misbehaving(FrameProcessor):
    """A stock processor that does something bad at a moment of its life."""

    def __init__(self, at: type[Frame] | str, misdeed: Callable[[], Coroutine[Any, Any, None]]) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._at = at
        self._misdeed = misdeed

    async def setup(self, setup: FrameProcessorSetup) -> None:
        await super().setup(setup)
        if self._at == "setup":
            await self._misdeed()

    async def cleanup(self) -> None:
        await super().cleanup()
        if self._at == "cleanup":
            await self._misdeed()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(self._at, type) and isinstance(frame, self._at):
            await self._misdeed()
        await self.push_frame(frame, direction)


async def hang() -> None:
    await asyncio.get_running_loop().create_future()


async def stay_through_cancellation() -> None:
    """Hang, and swallow the first cancellation as some libraries do."""
    try:
        await hang()
    except asyncio.CancelledError:
        await hang()


async def fail() -> None:
    raise RuntimeError("on purpose")


class Speaking(MediaProcessor):
    """Says something when the call starts, then ends the call as a bot does."""

    def __init__(self, *, audio_ms: int, ends: bool = True) -> None:
        super().__init__()
        self._audio_ms = audio_ms
        self._ends = ends

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            encoded = EncodedAudio(audio=b"\x55" * self._audio_ms * 8)
            await self.push_frame(OutputEncodedAudioFrame(encoded, "item"))
            if self._ends:
                await self.push_frame(EndWorkerFrame(), UPSTREAM)


class Carrier:
    """The far end of a media socket: notes what comes and when the socket closes."""

    def __init__(self, socket: LoopbackSocket) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self.closed_at: float | None = None

    async def run(self) -> None:
        try:
            while True:
                self.messages.append(json.loads(await self.socket.receive()))
        except SocketClosedError:
            self.closed_at = asyncio.get_running_loop().time()


class Outcome:
    """How a life ended."""

    def __init__(self, reason: str, at: float, ongoing: OngoingCall, carrier: Carrier, left: int) -> None:
        self.reason = reason
        self.at = at
        self.intent = ongoing.intent
        self.carrier = carrier
        self.tasks_left = left


def live(
    processors: Callable[[], list[FrameProcessor]],
    then: Callable[[CallLife, Carrier], object] = lambda _life, _carrier: None,
    *,
    after_s: float = 1.0,
    max_call_s: float = 60.0,
) -> Outcome:
    """Run one generation in virtual time; after a while do something to it."""

    async def main() -> Outcome:
        loop = asyncio.get_running_loop()
        ours, theirs = socket_pair()
        carrier = Carrier(theirs)
        listening = asyncio.create_task(carrier.run())
        bot = Bot("test", max_call_s=max_call_s)

        @bot.pipeline
        def build(call: Call) -> Pipeline:  # pyright: ignore[reportUnusedFunction]
            return Pipeline([call.transport.input(), *processors(), call.transport.output()])

        ongoing = OngoingCall("c-1", "test", Parties(), loop.time())
        ongoing.open_generation(loop.time())
        transport = BandwidthTransport(ours, START, clock=loop.time)
        call = Call("c-1", 1, "test", "v", Parties(), SETTINGS, transport, Path("nowhere"), clock=loop.time)
        life = CallLife(bot, call, ongoing, observers=[], deadlines=DEADLINES)
        loop.call_later(after_s, then, life, carrier)
        reason = await asyncio.wait_for(life.run(), 120)
        ended_at = loop.time()
        await asyncio.wait_for(listening, 5)
        await asyncio.sleep(1)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        return Outcome(reason, ended_at, ongoing, carrier, len(left))

    return run_virtual(main())


def caller_hangs_up(_life: CallLife, carrier: Carrier) -> None:
    carrier.socket.send('{"eventType":"stop","metadata":{"callId":"c-1"}}')


def line_breaks(_life: CallLife, carrier: Carrier) -> None:
    carrier.socket.abort()


def test_a_bot_that_ends_is_heard_out_and_hangs_up() -> None:
    outcome = live(lambda: [Speaking(audio_ms=2000)])
    assert outcome.reason == "bot"
    assert outcome.intent == HangUp()
    assert outcome.carrier.closed_at is not None
    assert outcome.carrier.closed_at == pytest.approx(2.0, abs=0.1)
    assert outcome.tasks_left == 0


def test_a_caller_who_hangs_up_ends_the_call_at_once() -> None:
    outcome = live(lambda: [Speaking(audio_ms=30_000, ends=False)], caller_hangs_up)
    assert outcome.reason == "caller"
    assert outcome.at < 1.5
    assert outcome.tasks_left == 0


def test_a_line_that_breaks_leaves_no_intent_so_the_call_may_go_on() -> None:
    outcome = live(list, line_breaks)
    assert outcome.intent is None
    assert outcome.at < 1.5


def test_a_call_ends_at_its_longest_duration() -> None:
    outcome = live(list, max_call_s=30)
    assert outcome.reason == "max duration"
    assert outcome.intent == HangUp()
    assert 30 <= outcome.at < 31


def test_a_server_that_stops_ends_its_calls() -> None:
    outcome = live(list, lambda life, _carrier: life.end("server stopped"))
    assert outcome.reason == "server stopped"
    assert outcome.intent == HangUp()
    assert outcome.at < 1.5


@pytest.mark.parametrize("misdeed", [hang, fail, stay_through_cancellation])
@pytest.mark.parametrize("at", [EndFrame, CancelFrame, "cleanup"])
def test_nothing_a_processor_does_at_the_end_keeps_the_call(
    at: type[Frame] | str, misdeed: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    outcome = live(lambda: [Misbehaving(at, misdeed)], caller_hangs_up)
    assert outcome.at <= 1 + DEADLINES.end_s + 2 * DEADLINES.cancel_s + DEADLINES.leave_s + 0.5
    assert outcome.carrier.closed_at is not None


@pytest.mark.parametrize("misdeed", [hang, fail])
@pytest.mark.parametrize("at", [StartFrame, "setup"])
def test_a_processor_that_never_starts_ends_the_call_with_an_apology(
    at: type[Frame] | str, misdeed: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    outcome = live(lambda: [Misbehaving(at, misdeed)], after_s=60)
    assert outcome.reason == "bot failed"
    assert isinstance(outcome.intent, Apologise)
    assert outcome.at <= 2 * DEADLINES.start_s + 1


def test_a_bot_whose_function_raises_apologises(logged: list[str]) -> None:
    def broken() -> list[FrameProcessor]:
        raise LookupError("no such thing")

    outcome = live(broken)
    assert outcome.reason == "bot failed"
    assert isinstance(outcome.intent, Apologise)
    assert outcome.at < 1
    assert any("LookupError" in line for line in logged)
