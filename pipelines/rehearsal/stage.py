"""Holds one rehearsed call: the emulated carrier and model, and the whole of callpipe between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from callpipe.processors.model_link import ROLLOVER_AFTER_S
from callpipe.processors.mulaw import MulawDecoder, MulawEncoder
from callpipe.processors.realtime import RealtimeLLM
from callpipe.processors.resampler import Resampler
from callpipe.processors.tools import ToolRouter, tool
from callpipe.transports.audio.formats import PCM_24K
from callpipe.transports.bandwidth.emulator import Caller, CallReport, Carrier
from callpipe.transports.frames import EncodedAudio
from callpipe.transports.realtime.emulator import (
    EmulatedEndpoint,
    EmulatorSettings,
    RealtimeEmulatorServer,
    SessionLog,
)
from callpipe.transports.realtime.endpoints import TRIPPING_FAILURES, Breakers, RealtimeEndpoint
from callpipe.transports.realtime.pace import Pace, Paces
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.speech.interfaces import Brain
from callpipe.transports.speech.tones import CHARACTER_MS, ToneEar, ToneVoice
from callpipe.transports.websocket import WebSocket

from ..bot import Bot
from ..call import Call
from ..pipeline import Pipeline
from ..records.call_records import CallRecords
from ..server import Server
from ..settings import Recording, Settings
from ..switchboard import Switchboard
from ..trials.in_memory import carrier_in_memory
from .conversation import (
    APOLOGY,
    GREETING,
    HOLDING_PHRASE,
    TOOL_RESULT,
    TOOL_S,
    Memory,
    RehearsalBrain,
    caller_script,
)
from .faults import Rehearsal
from .measures import Evidence, Span, utterances

MODEL = EmulatorSettings(connect_delay_ms=100, first_audio_delay_ms=300)
"""How the model behaves in time."""

TURN_END_S = 0.5
"""Silence after which the model takes a turn for ended."""

NAME = "rehearsal"
_USERNAME, _PASSWORD = "carrier", "of this rehearsal only"
_LONGEST_CALL_S = 150.0

Clock = Callable[[], float]


class RehearsedBot:
    """The bot of one rehearsed call, and its model's brains.

    Args:
        rehearsal: What is rehearsed.
        clock: Monotonic seconds.

    Attributes:
        bot: The bot.
        elsewhere: Where else the model is reached.
        memory: What the model's sessions were told.
        tool_began: When the tool began to run, each time.
    """

    def __init__(self, rehearsal: Rehearsal, clock: Clock) -> None:
        self.bot = Bot(NAME, apology=APOLOGY)
        self.bot.pipeline(self._build)
        self.elsewhere: list[RealtimeEndpoint] = []
        self.memory = Memory()
        self.tool_began: list[float] = []
        self._rehearsal = rehearsal
        self._clock = clock

    def brain(self) -> Brain:
        """Make the brain of one session."""
        return RehearsalBrain(self.memory)

    def _build(self, call: Call) -> Pipeline:
        @tool
        async def look_up(key: str) -> str:
            """Look something up.

            Args:
                key: What.
            """
            del key
            self.tool_began.append(self._clock())
            await asyncio.sleep(TOOL_S)
            return TOOL_RESULT

        router = ToolRouter([look_up])
        model = RealtimeLLM(
            settings=RealtimeSettings(instructions="You are rehearsing."),
            tools=router.tools,
            api_key=call.settings.api_key(),
            base_url=call.settings.openai_base_url,
            greeting=" ".join(GREETING),
            holding_phrase=_holding_phrase(),
            endpoints=self.elsewhere,
            rollover_after_s=self._rehearsal.rollover_after_s or ROLLOVER_AFTER_S,
            breakers=self._breakers(call.settings.openai_base_url),
            paces=_Heard(),
            connect=call.connect,
            clock=call.clock,
        )
        return Pipeline(
            [
                call.transport.input(),
                MulawDecoder(),
                Resampler(24_000),
                model,
                router,
                Resampler(8_000),
                MulawEncoder(),
                call.transport.output(),
            ]
        )

    def _breakers(self, first_url: str) -> Breakers:
        """Return what the other calls of this process have found of the model's places."""
        breakers = Breakers()
        first = breakers.of(RealtimeEndpoint(first_url, ""))
        for _ in range(TRIPPING_FAILURES if self._rehearsal.first_rests else 0):
            first.failed(self._clock())
        return breakers


@dataclass(frozen=True)
class Stage:
    """Where a call is held.

    Attributes:
        carrier: Places it.
        models: The model, place by place.
    """

    carrier: Carrier
    models: Sequence[EmulatedEndpoint | RealtimeEmulatorServer]

    @property
    def logs(self) -> list[SessionLog]:
        """What was said on the model's wires, session by session."""
        return [log for model in self.models for log in model.logs]


class _Heard(Paces):
    """A process that has held calls before: it knows how fast the voice speaks."""

    def of(self, settings: RealtimeSettings) -> Pace:
        """Return the pace of the tones."""
        del settings
        return Pace(CHARACTER_MS)


OpenStage = Callable[[Rehearsal, RehearsedBot, Path], AbstractAsyncContextManager[Stage]]


async def hold_in_virtual_time(rehearsal: Rehearsal, folder: Path) -> Evidence:
    """Hold a call over sockets in memory; for a loop of `virtual_time`."""
    return await _hold(rehearsal, folder, _in_memory, asyncio.get_running_loop().time)


async def hold_in_real_time(rehearsal: Rehearsal, folder: Path) -> Evidence:
    """Hold a call over sockets of this machine; it takes as long as a call does."""
    return await _hold(rehearsal, folder, _on_ports, time.monotonic)


async def _hold(rehearsal: Rehearsal, folder: Path, open_stage: OpenStage, clock: Clock) -> Evidence:
    rehearsed = RehearsedBot(rehearsal, clock)
    async with open_stage(rehearsal, rehearsed, folder) as stage:
        report = await stage.carrier.place_call(Caller(caller_script(), ToneVoice()))
        return _evidence(report, stage.logs, rehearsed)


@asynccontextmanager
async def _in_memory(rehearsal: Rehearsal, rehearsed: RehearsedBot, folder: Path) -> AsyncGenerator[Stage]:
    clock = asyncio.get_running_loop().time
    places = {
        f"{number}.model.example.com": EmulatedEndpoint(rehearsed.brain, settings=MODEL, faults=plan)
        for number, plan in enumerate(rehearsal.plans(), 1)
    }
    first_url, *elsewhere = [f"https://{host}/v1" for host in places]
    rehearsed.elsewhere = [RealtimeEndpoint(url, "rehearsal") for url in elsewhere]
    settings = _settings(folder, "https://bots.example.com", first_url)
    records = CallRecords(folder, clock=clock)

    async def open_model(url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        place = places[urlsplit(url).hostname or ""]
        return await place.connect(url, headers=headers, deadline_s=deadline_s)

    switchboard = Switchboard([rehearsed.bot], settings, records, connect=open_model, clock=clock)

    calling = carrier_in_memory(switchboard, settings, NAME, announcer=ToneVoice(), max_call_s=_LONGEST_CALL_S)
    async with calling as carrier:
        try:
            yield Stage(carrier, list(places.values()))
        finally:
            await switchboard.close()
            for place in places.values():
                await place.close()


@asynccontextmanager
async def _on_ports(rehearsal: Rehearsal, rehearsed: RehearsedBot, folder: Path) -> AsyncGenerator[Stage]:
    places = [
        RealtimeEmulatorServer(rehearsed.brain, settings=MODEL, faults=plan) for plan in rehearsal.plans()
    ]
    listener = Server.listen("127.0.0.1", 0)
    async with AsyncExitStack() as opened:
        for place in places:
            await opened.enter_async_context(place)
        rehearsed.elsewhere = [RealtimeEndpoint(place.url, "rehearsal") for place in places[1:]]
        settings = _settings(folder, f"http://127.0.0.1:{listener.getsockname()[1]}", places[0].url)
        switchboard = Switchboard([rehearsed.bot], settings, CallRecords(folder))
        server = Server(switchboard, settings, listener)
        await server.start()
        try:
            yield Stage(_carrier(settings), places)
        finally:
            await server.stop()


def _holding_phrase() -> EncodedAudio:
    """Return what the caller hears while another session is looked for."""
    audio = b"".join(ToneVoice(PCM_24K.sample_rate).speak(HOLDING_PHRASE))
    return EncodedAudio(audio=audio, audio_format=PCM_24K)


def _settings(folder: Path, public_url: str, model_url: str) -> Settings:
    """Return settings of the rehearsal's own; the operator's play no part."""
    return Settings.model_construct(
        public_url=public_url,
        webhook_username=_USERNAME,
        webhook_password=SecretStr(_PASSWORD),
        openai_api_key=SecretStr("rehearsal"),
        openai_base_url=model_url,
        recording=Recording.OFF,
        data_dir=folder,
    )


def _carrier(settings: Settings, **network: Any) -> Carrier:
    webhooks = f"{settings.public_url}/bandwidth/{NAME}"
    return Carrier(
        initiate_url=f"{webhooks}/initiate",
        status_url=f"{webhooks}/disconnect",
        username=_USERNAME,
        password=_PASSWORD,
        announcer=ToneVoice(),
        max_call_s=_LONGEST_CALL_S,
        **network,
    )


def _evidence(report: CallReport, logs: Collection[SessionLog], rehearsed: RehearsedBot) -> Evidence:
    began = report.answered_at or report.started_at
    ear = ToneEar()
    said = utterances(report.said, ear.hear)
    tool_runs = [(began_at - began, began_at - began + TOOL_S) for began_at in rehearsed.tool_began]
    turn_ends = [(turn.end_s, turn.end_s + TURN_END_S) for turn in said]
    return Evidence(
        said=said,
        heard=utterances(report.heard, ear.hear),
        ended_s=report.ended_at - began,
        gave_up=report.gave_up is not None,
        model_busy=[*turn_ends, *tool_runs, *(span for log in logs for span in _model_busy(log, began))],
        asked=rehearsed.memory.asked,
        tool_runs=len(tool_runs),
        sessions=len(logs),
    )


def _model_busy(log: SessionLog, began: float) -> Iterator[Span]:
    """Return when a session was being opened, and when its model thought."""
    for created in log.server_events("session.created"):
        yield created.at - began - MODEL.connect_delay_ms / 1000, created.at - began
    for response in log.server_events("response.created"):
        yield response.at - began, response.at - began + MODEL.first_audio_delay_ms / 1000
