"""A whole call in virtual time: an emulated carrier and an emulated model, and callpipe between them.

The carrier answers to a line that delays, the model speaks in tones that an ear can read, and both ends keep
what really happened: what the caller heard, what the model was told.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from pipecat.frames.frames import Frame
from pipecat.observers.base_observer import BaseObserver, FramePushed

from callpipe.pipelines import Bot, Call, Parties, Pipeline
from callpipe.pipelines.call_life import CallLife, Deadlines
from callpipe.pipelines.ongoing import OngoingCall
from callpipe.pipelines.settings import Recording, Settings
from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.bandwidth.emulator import Caller, CallerScript, CallReport, Carrier, Line
from callpipe.transports.bandwidth.transport import BandwidthTransport, receive_start
from callpipe.transports.call_events import CallEventFrame
from callpipe.transports.loopback import Latency, socket_pair
from callpipe.transports.realtime.emulator.served_session import EmulatorSettings, inline, serve_session
from callpipe.transports.realtime.emulator.session_log import SessionLog
from callpipe.transports.speech.interfaces import CallTool, Ear, Heard, Say, ToolOutput, Voice
from callpipe.transports.speech.tones import ToneDetector, ToneVoice
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket import WebSocket

MODEL_LINE = Latency(one_way_ms=20, jitter_ms=10, seed=7)
"""The way to the model, and back."""

STREAM = (
    "<Response>"
    '<StartStream name="one" mode="bidirectional" destination="wss://bot.example/media"/>'
    '<StopStream name="one" wait="true"/><Hangup/>'
    "</Response>"
)

PATIENT = Deadlines(end_s=math.inf, cancel_s=math.inf)
"""The recording is written by a thread, and virtual time does not wait for threads."""


class Deaf:
    """An ear for conversations in which only who speaks when matters."""

    def hear(self, pcm: bytes, sample_rate: int) -> str:
        del pcm, sample_rate
        return ""


class Reciter:
    """A brain that greets, and answers every turn, with the next of its texts; over again after the last."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.voice: Voice = ToneVoice()
        self.ear: Ear = Deaf()
        self._texts = itertools.cycle(texts)

    def detector(self) -> ToneDetector:
        # Silence long enough for a turn to end is the session's affair.
        return ToneDetector(silence_ms=100)

    def greet(self, instructions: str) -> list[Say | CallTool]:
        del instructions
        return self._next()

    def answer(
        self,
        instructions: str,
        tools: Sequence[Mapping[str, object]],
        history: Sequence[Heard | Say | CallTool | ToolOutput],
    ) -> list[Say | CallTool]:
        del instructions, tools, history
        return self._next()

    def _next(self) -> list[Say | CallTool]:
        return [Say(next(self._texts))]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that callpipe sent.

    Attributes:
        at: When, in virtual seconds.
        to: ``carrier`` or ``model``.
        text: The message.
    """

    at: float
    to: str
    text: str = field(repr=False)

    @property
    def kind(self) -> str:
        """What it says it is."""
        message = json.loads(self.text)
        return message["eventType"] if self.to == "carrier" else message["type"]

    @property
    def audio(self) -> bytes:
        """The audio it brings, as encoded on the wire; empty for other messages."""
        message = json.loads(self.text)
        return base64.b64decode(message.get("audio") or message.get("media", {}).get("payload", ""))


class TappedSocket:
    """A WebSocket that notes every message sent on it."""

    def __init__(self, socket: WebSocket, to: str, sent: list[Sent]) -> None:
        self._socket = socket
        self._to = to
        self._sent = sent
        self._clock = asyncio.get_running_loop().time

    def send(self, message: bytes | str) -> None:
        text = message.decode() if isinstance(message, bytes) else message
        self._sent.append(Sent(self._clock(), self._to, text))
        self._socket.send(message)

    async def receive(self) -> str | bytes:
        return await self._socket.receive()

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        await self._socket.close(code, reason, deadline_s=deadline_s)


class Witness(BaseObserver):
    """Keeps the call's events."""

    def __init__(self) -> None:
        super().__init__(observe_every_push=False)  # pyright: ignore[reportUnknownMemberType]  pipecat's **kwargs
        self.events: list[CallEventFrame] = []
        self._seen: set[int] = set()

    async def on_push_frame(self, data: FramePushed) -> None:
        frame: Frame = data.frame
        if isinstance(frame, CallEventFrame) and frame.id not in self._seen:
            self._seen.add(frame.id)
            self.events.append(frame)


@dataclass
class HeldCall:
    """What is left of a call.

    Attributes:
        reason: Why callpipe says it ended.
        events: The call's events, in order.
        report: The carrier's.
        model: What was said on the model's wire.
        sent: What callpipe sent, to the carrier and to the model, in this order.
        recording: Where the recording is, if one was made.
    """

    reason: str
    events: list[CallEventFrame]
    report: CallReport
    model: SessionLog
    sent: list[Sent] = field(repr=False)
    recording: Path


@dataclass(frozen=True)
class Scene:
    """A call that is to be held.

    Attributes:
        script: What the caller does.
        texts: What the model says, one text for each response.
        build: Makes the pipeline.
        line: The caller's line.
        model: How the model behaves in time.
        told_prebuffer_ms: What the playhead is told of the line's prebuffer.
        connect_s: How long the model's socket takes to open.
        folder: Where the recording goes; None records nothing.
    """

    script: CallerScript
    texts: Sequence[str]
    build: Callable[[Call], Pipeline]
    line: Line = field(default_factory=Line)
    model: EmulatorSettings = field(default_factory=EmulatorSettings)
    told_prebuffer_ms: float = 0.0
    connect_s: float = 0.0
    folder: Path | None = None

    def hold(self) -> HeldCall:
        """Hold the call, in virtual time."""
        return run_virtual(_Stage(self).hold())


class _Stage:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        # Reads the environment, which no event loop may wait for.
        self._settings = Settings(recording=Recording.ON if scene.folder else Recording.OFF)
        self._log = SessionLog()
        self._witness = Witness()
        self._tasks: list[asyncio.Task[Any]] = []
        self._sent: list[Sent] = []
        self._reason = "never began"

    async def hold(self) -> HeldCall:
        scene = self._scene
        carrier = Carrier(
            initiate_url="https://bot.example/initiate",
            username="carrier",
            password="secret",
            line=scene.line,
            http=httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, text=STREAM))),
            connect=self._answer,
            run_blocking=inline,
            clock=asyncio.get_running_loop().time,
            max_call_s=3_600,
        )
        report = await carrier.place_call(Caller(scene.script, ToneVoice()))
        await asyncio.gather(*self._tasks)
        folder = scene.folder or Path("nowhere")
        return HeldCall(
            self._reason, self._witness.events, report, self._log, self._sent, folder / "recording.wav"
        )

    async def _answer(self, url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        del url, headers, deadline_s
        theirs, ours = socket_pair()
        tapped = TappedSocket(ours, "carrier", self._sent)
        self._tasks.append(asyncio.create_task(self._talk(tapped)))
        return theirs

    async def _talk(self, socket: WebSocket) -> None:
        clock = asyncio.get_running_loop().time
        bot = Bot("virtual")
        bot.pipeline(self._scene.build)
        start = await receive_start(socket, deadline_s=5)
        ongoing = OngoingCall(start.call_id, bot.name, Parties(), clock())
        ongoing.open_generation(clock())
        call = Call(
            call_id=start.call_id,
            generation=1,
            bot=bot.name,
            bot_version="v",
            parties=Parties(),
            settings=self._settings,
            transport=BandwidthTransport(
                socket, start, clock=clock, playhead=Playhead(prebuffer_ms=self._scene.told_prebuffer_ms)
            ),
            folder=self._scene.folder or Path("nowhere"),
            connect=self._reach_model,
            clock=clock,
        )
        life = CallLife(bot, call, ongoing, observers=[self._witness], deadlines=PATIENT)
        self._reason = await life.run()

    async def _reach_model(self, url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        del headers, deadline_s
        scene = self._scene
        await asyncio.sleep(scene.connect_s)
        ours, theirs = socket_pair(MODEL_LINE, MODEL_LINE)
        served = serve_session(
            theirs,
            Reciter(scene.texts),
            settings=scene.model,
            clock=asyncio.get_running_loop().time,
            run=inline,
            log=self._log,
            model=parse_qs(urlsplit(url).query)["model"][0],
        )
        self._tasks.append(asyncio.create_task(served))
        return TappedSocket(ours, "model", self._sent)


def sentences(durations_ms: Sequence[float], seed: int) -> list[str]:
    """Return texts that last so long, each beginning with its number, and no two alike."""
    letters = random.Random(seed)
    return [
        f"{number:03d}" + "".join(letters.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=round(duration_ms / 40) - 3))
        for number, duration_ms in enumerate(durations_ms)
    ]
