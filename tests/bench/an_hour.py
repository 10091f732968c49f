"""One call for an hour in virtual time, without sockets: what a frame costs, and whether memory stays flat.

The whole way from the media socket to the model's and back, with recorder, journal and tools on; both ends
are in memory. Run as `python tests/bench/an_hour.py passthrough` (or `transcoding`) it prints what it measured.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from calls import frame
from pydantic import SecretStr
from talking_model import TEXT, ModelLeg

from callpipe.pipelines import Bot, Call, Parties, Pipeline, passthrough_call, realtime_call
from callpipe.pipelines.call_life import CallLife
from callpipe.pipelines.ongoing import OngoingCall
from callpipe.pipelines.records.journal import Journal, JournalObserver
from callpipe.pipelines.server import settle_memory
from callpipe.pipelines.settings import Recording, Settings
from callpipe.processors.disk import shared_writer
from callpipe.processors.tools import end_call
from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.bandwidth.transport import BandwidthTransport
from callpipe.transports.errors import SocketClosedError
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket import Take, WebSocket

MINUTES = 60
SETTLED_MINUTE = 10
"""Caches and bounded memories are full by then; memory is counted from then on, which makes minutes slower."""
FRAMES_A_MINUTE = 60 * 50
FRAMES_A_DELTA = 10
VARIANTS = ("passthrough", "transcoding")


@dataclass(frozen=True)
class Hour:
    """What an hour's call came to.

    Attributes:
        frame_us: CPU time for a caller's frame, and what the model said meanwhile: a median over minutes.
        growth_kb: How much more memory was allocated after the hour than after ten minutes, as tracemalloc
            counts it: RSS of one call tells more of the allocator than of the call.
    """

    frame_us: float
    growth_kb: float


class InMemory:
    """A socket whose far end is a function.

    Args:
        sent: Called with each message that is sent.
    """

    def __init__(self, sent: Callable[[bytes | str], None]) -> None:
        self._sent = sent
        self._messages: deque[str] = deque()
        self._came = asyncio.Event()
        self._closed = False
        self._take: Take | None = None

    def send(self, message: bytes | str) -> None:
        self._sent(message)

    def offer_to(self, take: Take) -> None:
        self._take = take

    async def receive(self) -> str | bytes:
        while not self._messages:
            if self._closed:
                raise SocketClosedError(1000)
            self._came.clear()
            await self._came.wait()
        return self._messages.popleft()

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        del code, reason, deadline_s
        self._closed = True
        self._came.set()

    def give(self, message: str) -> None:
        """Let a message come from the far end."""
        if self._take is None or self._messages or not self._take(message):
            self._messages.append(message)
            self._came.set()


class _Frame:
    """As much of picows' frame as the model's end reads."""

    msg_type = TEXT

    def __init__(self, message: bytes | str) -> None:
        self._message = message.encode() if isinstance(message, str) else message

    def get_payload_as_bytes(self) -> bytes:
        return self._message


class _Transport:
    """As much of picows' transport as the model's end uses."""

    def __init__(self, socket: InMemory) -> None:
        self._socket = socket

    def send(self, _kind: object, message: bytes) -> None:
        self._socket.give(message.decode())


class Model:
    """The far end of the model's socket."""

    def __init__(self) -> None:
        self.joined = asyncio.Event()
        self.leg = ModelLeg(lambda _number, _leg: self.joined.set())
        self.leg.on_audio = lambda _ms: None
        self.leg.on_delta = lambda _ms: None
        self.leg.on_response = lambda: None
        self.leg.on_barge_in = lambda: None

    async def connect(self, url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        del url, headers, deadline_s
        socket = InMemory(lambda message: self.leg.on_ws_frame(transport, _Frame(message)))  # pyright: ignore[reportArgumentType]
        transport = _Transport(socket)
        self.leg.on_ws_connected(transport)  # pyright: ignore[reportArgumentType]
        return socket


async def hold(variant: str, folder: Path, settings: Settings) -> Hour:
    """Hold a call for an hour, in virtual time."""
    clock = asyncio.get_running_loop().time
    model, media = Model(), InMemory(lambda _message: None)
    life = CallLife(
        *_prepared(variant, model, folder, settings, clock),
        observers=[JournalObserver(Journal(folder / "journal.jsonl", call_id="bench1", clock=clock))],
    )
    assert life.build()
    run = asyncio.create_task(life.run())
    life.attach(media, StartMessage("1", "bench1", "s-1", "bench"))
    await model.joined.wait()
    model.leg.begin_at(0)
    settle_memory()
    costs_us = [await _minute(minute, media, model.leg) for minute in range(SETTLED_MINUTE - 1)]
    tracemalloc.start()
    await _minute(SETTLED_MINUTE - 1, media, model.leg)  # what is held for half a minute is all traced then
    settled_kb = _allocated_kb()
    for minute in range(SETTLED_MINUTE, MINUTES):
        await _minute(minute, media, model.leg)
    grown_kb = _allocated_kb() - settled_kb
    tracemalloc.stop()
    await media.close()
    life.end("the hour is over")
    await run
    return Hour(sorted(costs_us)[len(costs_us) // 2], grown_kb)


def _prepared(
    variant: str, model: Model, folder: Path, settings: Settings, clock: Callable[[], float]
) -> tuple[Bot, Call, OngoingCall]:
    bot = Bot("bench")

    @bot.pipeline
    def answer(call: Call) -> Pipeline:  # pyright: ignore[reportUnusedFunction]
        pipeline = passthrough_call if variant == "passthrough" else realtime_call
        return pipeline(call, instructions="You answer call bench1.", tools=[end_call])

    ongoing = OngoingCall("bench1", bot.name, Parties(), clock())
    ongoing.open_generation(clock())
    call = Call(
        call_id="bench1",
        generation=1,
        bot=bot.name,
        bot_version="v",
        parties=Parties(),
        settings=settings,
        transport=BandwidthTransport(clock=clock),
        folder=folder,
        connect=model.connect,
        clock=clock,
    )
    return bot, call, ongoing


async def _minute(minute: int, media: InMemory, model: ModelLeg) -> float:
    """Hold a minute of the call; return the CPU time for each frame in microseconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    used_s = time.process_time()
    for number in range(FRAMES_A_MINUTE):
        media.give(frame(minute * FRAMES_A_MINUTE + number + 1, model).decode())
        if number % FRAMES_A_DELTA == 0:
            model.tick()
        await asyncio.sleep(began + (number + 1) * 0.02 - loop.time())
    # Virtual time does not wait for the disk's thread, whose queue is bounded.
    shared_writer().wait(60)
    return (time.process_time() - used_s) / FRAMES_A_MINUTE * 1e6


def _allocated_kb() -> float:
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / 1e3


def measure(variant: str) -> Hour:
    """Hold an hour's call in a process of its own."""
    command = [sys.executable, __file__, variant]
    told = subprocess.run(command, check=True, capture_output=True, env={**os.environ, "LOGURU_AUTOINIT": "0"})
    return Hour(**json.loads(told.stdout.splitlines()[-1]))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(openai_api_key=SecretStr("key"), recording=Recording.ON, data_dir=Path(folder))
        print(json.dumps(asdict(run_virtual(hold(sys.argv[1], Path(folder), settings)))))


if __name__ == "__main__":
    main()
