"""A call in virtual time whose bot's author steers it: a caller who speaks in tones, a model that obeys.

The caller hears what is played, at the pace of a line: what is cleared they never hear.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pipecat.observers.base_observer import BaseObserver

from callpipe.pipelines import Bot, Call, Parties, Pipeline, passthrough_call
from callpipe.pipelines.call_life import CallLife
from callpipe.pipelines.ongoing import OngoingCall
from callpipe.pipelines.records.journal import Journal, JournalObserver
from callpipe.pipelines.settings import Recording, Settings
from callpipe.processors.disk import shared_writer
from callpipe.transports.audio.g711 import decode_mulaw, encode_mulaw
from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.bandwidth.transport import BandwidthTransport
from callpipe.transports.call_events import CallEventFrame
from callpipe.transports.errors import SocketClosedError
from callpipe.transports.loopback import LoopbackSocket, socket_pair
from callpipe.transports.realtime.emulator.brains.replies import requested_sentence
from callpipe.transports.realtime.emulator.served_session import EmulatorSettings, inline, serve_session
from callpipe.transports.realtime.emulator.session_log import SessionLog
from callpipe.transports.restored import Restored
from callpipe.transports.speech.interfaces import CallTool, Ear, Heard, Say, ToolOutput, Voice
from callpipe.transports.speech.tones import ToneDetector, ToneEar, ToneVoice
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket import WebSocket

from .virtual_call import PATIENT, Witness

START = StartMessage(account_id="1", call_id="c-1", stream_id="s-1", stream_name="generation-1")
SETTINGS = Settings()
RECORDING = SETTINGS.model_copy(update={"recording": Recording.ON})
PACKET = 160
"""Samples of a packet: 20 ms at 8 kHz."""
SILENT_PACKET = base64.b64encode(b"\xff" * PACKET).decode()

Actions = Sequence[Say | CallTool]


class ObedientBrain:
    """Says what instructions dictate; answers the caller by a script; tells what tools gave back."""

    def __init__(self, script: Mapping[str, Actions]) -> None:
        self.voice: Voice = ToneVoice()
        self.ear: Ear = ToneEar()
        self.tools: list[str] = []
        self.instructions = ""
        self._script = script

    def detector(self) -> ToneDetector:
        return ToneDetector(silence_ms=100)

    def greet(self, instructions: str) -> list[Say | CallTool]:
        return [Say(requested_sentence(instructions) or "HELLO")]

    def answer(
        self,
        instructions: str,
        tools: Sequence[Mapping[str, object]],
        history: Sequence[Heard | Say | CallTool | ToolOutput],
    ) -> list[Say | CallTool]:
        self.instructions = instructions
        self.tools = [str(tool["name"]) for tool in tools]
        match next((entry for entry in reversed(history) if not isinstance(entry, Say)), None):
            case Heard(text):
                return list(self._script.get(text, [Say("WHAT")]))
            case ToolOutput(_, output):
                return [Say(f"GOT {json.loads(output)['result']}".upper())]
            case _:
                return [Say("WELL")]


class Stage:
    """One call, as its caller and its bot's author see it."""

    def __init__(self, call: Call, carrier: LoopbackSocket, log: SessionLog, brain: ObedientBrain) -> None:
        self.call = call
        self.model = log
        self.brain = brain
        self.events: list[CallEventFrame] = []
        self.reason = ""
        self._carrier = carrier
        self._clock = asyncio.get_running_loop().time
        self._to_say = b""
        self._heard = bytearray()
        self._playing: list[tuple[float, bytes]] = []
        self._ends_at = 0.0

    # The caller.

    def caller_says(self, text: str) -> None:
        """Begin to say something."""
        self._to_say += encode_mulaw(b"".join(ToneVoice(8_000).speak(text)))

    def heard(self) -> str:
        """What the caller has heard up to now."""
        pcm = b""
        for starts_at, audio in self._playing:
            played = audio[: max(round((self._clock() - starts_at) * 8_000), 0)]
            pcm += decode_mulaw(played)
        return ToneEar().hear(decode_mulaw(bytes(self._heard)) + pcm, 8_000)

    async def talk(self) -> None:
        """Send the caller's audio, packet by packet."""
        while True:
            packet, self._to_say = self._to_say[:PACKET], self._to_say[PACKET:]
            payload = base64.b64encode(packet.ljust(PACKET, b"\xff")).decode() if packet else SILENT_PACKET
            message = {"eventType": "media", "track": "inbound", "payload": payload}
            try:
                self._carrier.send(json.dumps(message))
            except SocketClosedError:
                return
            await asyncio.sleep(0.02)

    async def listen(self) -> None:
        """Play what is sent to the caller."""
        try:
            while True:
                message: dict[str, Any] = json.loads(await self._carrier.receive())
                if message["eventType"] == "playAudio":
                    audio = base64.b64decode(message["media"]["payload"])
                    starts_at = max(self._clock(), self._ends_at)
                    self._playing.append((starts_at, audio))
                    self._ends_at = starts_at + len(audio) / 8_000
                elif message["eventType"] == "clear":
                    self._clear()
        except SocketClosedError:
            return

    def _clear(self) -> None:
        now = self._clock()
        for starts_at, audio in self._playing:
            self._heard += audio[: max(round((now - starts_at) * 8_000), 0)]
        self._playing.clear()
        self._ends_at = now

    # The model's wire.

    def requests(self) -> list[dict[str, Any]]:
        """What responses were asked for."""
        return [dict(entry.event) for entry in self.model.client_events("response.create")]

    def messages(self, role: str) -> list[str]:
        """The messages that were added for a role."""
        items: list[Any] = [
            entry.event["item"] for entry in self.model.client_events("conversation.item.create")
        ]
        return [item["content"][0]["text"] for item in items if item.get("role") == role]

    def told(self, kind: type[CallEventFrame]) -> list[Any]:
        """The call's events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


Play = Callable[[Stage], Awaitable[None]]
Build = Callable[[Call], Pipeline]


def plain(call: Call) -> Pipeline:
    """A bot without tools."""
    return passthrough_call(call, instructions="Be brief.")


def hold_call(
    play: Play,
    build: Build = plain,
    *,
    script: Mapping[str, Actions] | None = None,
    ends: bool = False,
    folder: Path | None = None,
    restored: Restored | None = None,
) -> Stage:
    """Hold a call in virtual time and return what is left of it.

    Args:
        play: What caller and author do, from when the session is ready.
        build: Makes the pipeline.
        script: What the model answers to what it hears.
        ends: The call ends by itself within ten seconds after `play`; otherwise the caller hangs up.
        folder: Where recording and journal go; None keeps neither.
        restored: What an earlier media stream has left.
    """
    stage = run_virtual(
        _hold(play, build, ObedientBrain(script or {}), ends=ends, folder=folder, restored=restored)
    )
    assert shared_writer().wait(10)
    return stage


async def _hold(
    play: Play,
    build: Build,
    brain: ObedientBrain,
    *,
    ends: bool,
    folder: Path | None,
    restored: Restored | None,
) -> Stage:
    clock = asyncio.get_running_loop().time
    theirs, ours = socket_pair()
    log = SessionLog()
    sessions: list[asyncio.Task[SessionLog]] = []

    async def reach_model(url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        del headers, deadline_s
        to_model, at_model = socket_pair()
        timing = EmulatorSettings(first_audio_delay_ms=200)
        name = parse_qs(urlsplit(url).query)["model"][0]
        served = serve_session(at_model, brain, settings=timing, clock=clock, run=inline, log=log, model=name)
        sessions.append(asyncio.create_task(served))
        return to_model

    bot = Bot("steered")
    bot.pipeline(build)
    ongoing = OngoingCall(START.call_id, bot.name, Parties(), clock())
    ongoing.open_generation(clock())
    call = Call(
        call_id=START.call_id,
        generation=1,
        bot=bot.name,
        bot_version="v",
        parties=Parties(),
        settings=RECORDING if folder else SETTINGS,
        transport=BandwidthTransport(ours, START, clock=clock),
        folder=folder or Path("nowhere"),
        restored=restored,
        connect=reach_model,
        clock=clock,
    )
    witness = Witness()
    journal = Journal(call.journal_path, call_id=call.call_id, clock=clock) if folder else None
    observers: list[BaseObserver] = [witness] if journal is None else [witness, JournalObserver(journal)]
    deadlines = PATIENT if folder else None
    stage = Stage(call, theirs, log, brain)
    stage.events = witness.events
    life = asyncio.create_task(CallLife(bot, call, ongoing, observers=observers, deadlines=deadlines).run())
    ends_of_line = [asyncio.create_task(work) for work in (stage.talk(), stage.listen())]
    await asyncio.sleep(0.5)
    await play(stage)
    if not ends:
        await theirs.close()
    await asyncio.wait({life}, timeout=None if folder else 10)  # a disk's thread knows no virtual time
    assert life.done(), "the call did not end"
    stage.reason = life.result()
    if journal is not None:
        journal.close()
    for task in (*ends_of_line, *sessions):
        task.cancel()
    await asyncio.wait({*ends_of_line, *sessions})
    return stage
