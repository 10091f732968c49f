"""A trial call: a carrier calls a bot in memory, in virtual time; seconds of a call take milliseconds.

Everything of callpipe takes part, from the carrier's webhook to the media stream, and an emulated model
answers. Caller and model speak in tones, which either understands without error. For tests: see `phone`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from loguru import logger
from pipecat.observers.base_observer import BaseObserver
from pydantic import SecretStr

from callpipe.processors.disk import shared_writer
from callpipe.processors.tools.threads import running_threads
from callpipe.transports.bandwidth.emulator import (
    Caller,
    CallReport,
    HeardWords,
    Line,
    SeenToolCall,
    Sightings,
)
from callpipe.transports.call_events import CallerTurnFrame, CallEventFrame
from callpipe.transports.realtime.emulator import EmulatedEndpoint, EmulatorSettings, FaultPlan
from callpipe.transports.speech.interfaces import Brain
from callpipe.transports.speech.tones import ToneVoice
from callpipe.transports.virtual_time import VirtualTimeLoop

from ..bot import Bot
from ..call import Call, rehearsal_call
from ..call_life import Deadlines
from ..records.call_records import CallRecords
from ..settings import Recording, Settings
from ..switchboard import Switchboard
from .in_memory import carrier_in_memory
from .sightings_observer import SightingsObserver

MODEL = EmulatorSettings(connect_delay_ms=100, first_audio_delay_ms=300)
"""How the emulated model behaves in time."""

_DISK_S = 5.0
"""How long, in real time, the journal may take to be written."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Trial:
    """How trial calls are held.

    Attributes:
        bot: Who is called.
        brain: Makes the brain of each of the model's sessions.
        folder: Where the calls' journals, transcripts and recordings go.
        line: What the caller's line is like.
        faults: What the model does wrong.
        recording: Whether the call is recorded.
        max_call_s: The longest a call may last, in virtual seconds.
        settings: Further settings, by the fields of `Settings`; the environment plays no part.
    """

    bot: Bot
    brain: Callable[[], Brain]
    folder: Path
    line: Line = field(default_factory=Line)
    faults: FaultPlan | None = None
    recording: Recording = Recording.OFF
    max_call_s: float = 600.0
    settings: dict[str, Any] = field(default_factory=dict[str, Any])

    def operator(self) -> Settings:
        """Return the settings of the server that answers."""
        given: dict[str, Any] = {
            "public_url": "https://bots.example.com",
            "webhook_username": "carrier",
            "webhook_password": SecretStr("of this trial only"),
            "openai_api_key": SecretStr("of this trial only"),
            "openai_base_url": "https://model.example.com/v1",
            "recording": self.recording,
            "data_dir": self.folder,
        }
        return Settings.model_construct(**(given | self.settings))

    def check(self) -> None:
        """Build the bot's pipeline once, so that what is wrong with it is raised here and not on a call.

        Raises:
            Exception: What the bot's function raises.
        """
        self.bot.build(rehearsal_call(self.bot.name, self.operator()))

    @asynccontextmanager
    async def open(self, logged: list[str]) -> AsyncGenerator[OpenTrial]:
        """Open the server; for a loop of `virtual_time`.

        Args:
            logged: Where is kept what is logged.
        """
        clock = asyncio.get_running_loop().time
        model = EmulatedEndpoint(self.brain, settings=MODEL, faults=self.faults)
        trial = OpenTrial(self, logged)
        settings = self.operator()
        switchboard = Switchboard(
            [self.bot],
            settings,
            CallRecords(self.folder, clock=clock),
            observers=trial.observers,
            connect=model.connect,
            deadlines=Deadlines(),
            clock=clock,
        )
        announcer, longest = ToneVoice(), self.max_call_s
        calling = carrier_in_memory(
            switchboard, settings, self.bot.name, line=self.line, announcer=announcer, max_call_s=longest
        )
        async with calling as carrier:
            try:
                trial.place = carrier.place_call
                yield trial
            finally:
                await switchboard.close()
                await model.close()


class OpenTrial:
    """A server that takes trial calls, one after the other.

    Args:
        trial: How they are held.
        logged: What is logged as a warning or an error.

    Attributes:
        sightings: What is known of the call while it goes on.
        events: The call's events so far, as the journal gets them.
        place: Places the call.
    """

    def __init__(self, trial: Trial, logged: list[str]) -> None:
        self._trial = trial
        self._logged = logged
        self.sightings = Sightings(tells_tools=True)
        self.events: list[CallEventFrame] = []
        self.place: Callable[..., Coroutine[Any, Any, CallReport]]

    def observers(self, call: Call) -> list[BaseObserver]:
        """Return what watches the pipeline of a call."""
        del call
        return [SightingsObserver(self.sightings, self.events)]

    async def call(self, caller: Caller) -> TrialCall:
        """Place a call and return what came of it, when it is over."""
        report = await self.place(caller, sightings=self.sightings)
        folder = CallRecords(self._trial.folder).folder(report.call_id)
        return TrialCall(report, self.events, folder, self._logged)


@dataclass(frozen=True)
class TrialCall:
    """What came of a trial call.

    Attributes:
        report: What the carrier and the caller saw.
        events: The call's events, as the journal has them.
        folder: Where the journal, the transcript and the recording are.
        logged: What callpipe and the bot logged as warnings and errors.
    """

    report: CallReport
    events: list[CallEventFrame]
    folder: Path
    logged: list[str] = field(repr=False)

    @property
    def heard(self) -> list[HeardWords]:
        """What the caller heard the bot say, utterance by utterance."""
        return self.report.spoken

    @property
    def said(self) -> list[str]:
        """What the caller said."""
        return [event.words for event in self.report.events if event.name in ("caller says", "caller cuts in")]

    @property
    def understood(self) -> list[str]:
        """What the model understood of it, turn by turn."""
        return [event.text for event in self.events if isinstance(event, CallerTurnFrame)]

    @property
    def called(self) -> list[SeenToolCall]:
        """The tools that the model called."""
        return self.report.tool_calls

    @property
    def ended_by(self) -> str:
        """Who hung up: ``caller``, ``bot`` or ``carrier``."""
        return self.report.ending.ended_by


class TrialTime:
    """Runs one coroutine after the other in virtual time that stands still while tools run in threads.

    Attributes:
        logged: What was logged as a warning or an error meanwhile.
    """

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.logged: list[str] = []

    def run(self, main: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end; what it has begun goes on with the next one."""
        return self._runner.run(main)


@contextmanager
def trial_time() -> Generator[TrialTime]:
    """Yield what runs trial calls; at the end their journals and recordings are on disk."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(running_threads)) as runner:
        time = TrialTime(runner)
        sink = logger.add(time.logged.append, level="WARNING", format="{message}")
        try:
            yield time
        finally:
            logger.remove(sink)
    shared_writer().wait(_DISK_S)
