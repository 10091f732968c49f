"""A phone call on this machine: an emulated carrier calls the receptionist, over real sockets, in real time."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pipecat.observers.base_observer import BaseObserver
from pydantic import SecretStr
from rich.console import Console

from callpipe.transports.bandwidth.emulator import Caller, CallReport, Carrier, Sightings
from callpipe.transports.bandwidth.emulator.expectations import check_expectations
from callpipe.transports.realtime.emulator import RealtimeEmulatorServer
from callpipe.transports.speech.interfaces import Brain, Ear, Voice
from callpipe.transports.websocket import Connect, connect

from .bot import load_bot
from .call import Call
from .errors import DemoError
from .lives import Observers
from .records.call_records import CallRecords
from .records.journal import figures, read_journal
from .scenario import DEFAULT, SCENARIOS, Scenario
from .server import Server
from .settings import Recording, Settings
from .switchboard import Switchboard
from .timeline import LiveTimeline
from .trials.sightings_observer import SightingsObserver

_RECEPTIONIST = resources.files("callpipe.transports.realtime.emulator.brains") / "receptionist.yaml"
"""What the scripted model says."""


@dataclass(frozen=True, slots=True)
class _Cast:
    """Who takes part in a demo.

    Attributes:
        brain: The emulated model's brain; None when the real model answers.
        voice: The caller's voice.
        ear: The caller's ear; None where the bot's words are known from its transcript.
        banner: What is said of them at the start.
    """

    brain: Brain | None
    voice: Voice
    ear: Ear | None
    banner: str


async def run_demo(
    brain: str,
    settings: Settings,
    console: Console,
    json_path: Path | None,
    *,
    scenario: Scenario = SCENARIOS[DEFAULT],
    connect: Connect = connect,
) -> None:
    """Hold the call, show it live, and show what was kept of it.

    Args:
        brain: ``offline``, ``scripted`` or ``openai``.
        settings: The operator's settings; the demo brings its own URLs and credentials.
        console: Where to show it.
        json_path: Where to write the figures; None writes none.
        scenario: What happens on the call.
        connect: Opens the model's sockets.

    Raises:
        DemoError: The call did not go as it should.
        ScriptError: The scenario's script can't be followed.
        SettingsError: The real model is asked for, and has no key.
    """
    played = await asyncio.to_thread(scenario.make)
    cast = await asyncio.to_thread(_cast, brain, settings)
    caller = Caller(played.script, cast.voice, cast.ear)
    sightings = Sightings(tells_tools=True, tells_words=cast.ear is None)
    check_expectations(played.script, sightings, has_ear=cast.ear is not None)
    console.print(cast.banner, soft_wrap=True)
    console.print(f"{played.summary or f'The caller {scenario.what}.'}\n", style="dim")
    timeline = LiveTimeline(console)

    def observers(call: Call) -> list[BaseObserver]:
        return [*timeline.observers(call), SightingsObserver(sightings, [])]

    async with _served(cast.brain, settings, observers, connect) as (server, records, called):
        report = await _call(server, called, caller, sightings, timeline)
    if report is None:
        console.print("\nStopped; the call was ended.")
        return
    told = await asyncio.to_thread(_told, records.folder(report.call_id), report, played.told)
    timeline.show_summary(told)
    if json_path is not None:
        await asyncio.to_thread(json_path.write_text, json.dumps(told, indent=2) + "\n")
    _check(report)


def _cast(brain: str, settings: Settings) -> _Cast:
    """Make brain and voices ready; blocks for a second or two."""
    from callpipe.transports.realtime.emulator import brains  # noqa: PLC0415  only a demo needs them

    if brain == "scripted":
        scripted = brains.ScriptedBrain(brains.Script.parse(_RECEPTIONIST.read_text()))
        return _Cast(
            scripted, scripted.voice, scripted.ear, "The model is a script; caller and bot speak in tones."
        )
    offline = brains.OfflineBrain()
    offline.warm_up()
    if brain == "openai":
        settings.api_key()
        return _Cast(None, offline.voice, None, f"The model answers at {settings.openai_base_url}.")
    return _Cast(offline, offline.voice, None, offline.banner)


@asynccontextmanager
async def _served(
    brain: Brain | None, settings: Settings, observers: Observers, connect: Connect
) -> AsyncGenerator[tuple[Server, CallRecords, Settings]]:
    """Serve the receptionist, and the emulated model when there is one."""
    async with _model(brain) as model:
        listener = Server.listen("127.0.0.1", 0)
        called = settings.model_copy(
            update={
                "public_url": f"http://127.0.0.1:{listener.getsockname()[1]}",
                "webhook_username": "carrier",
                "webhook_password": SecretStr(secrets.token_urlsafe(16)),
                "recording": Recording.ON,
                **model,
            }
        )
        bot = await asyncio.to_thread(load_bot, Path(str(resources.files("callpipe.bots") / "receptionist.py")))
        records = CallRecords(settings.data_dir)
        switchboard = Switchboard([bot], called, records, observers=observers, connect=connect)
        server = Server(switchboard, called, listener)
        await server.start()
        try:
            yield server, records, called
        finally:
            await server.stop()


@asynccontextmanager
async def _model(brain: Brain | None) -> AsyncGenerator[dict[str, object]]:
    """Run the emulated model; yield the settings that lead to it."""
    if brain is None:
        yield {}
        return
    key = secrets.token_urlsafe(16)
    async with RealtimeEmulatorServer(lambda: brain, api_key=key) as model:
        yield {"openai_base_url": model.url, "openai_api_key": SecretStr(key)}


async def _call(
    server: Server, settings: Settings, caller: Caller, sightings: Sightings, timeline: LiveTimeline
) -> CallReport | None:
    """Place the call; None when a signal ended it."""
    serving = settings.serving()
    webhooks = f"{serving.public_url}/bandwidth/receptionist"
    carrier = Carrier(
        initiate_url=f"{webhooks}/initiate",
        status_url=f"{webhooks}/disconnect",
        username=serving.webhook_username,
        password=serving.webhook_password,
    )
    call = asyncio.create_task(carrier.place_call(caller, on_event=timeline.carrier_event, sightings=sightings))
    stopping = asyncio.create_task(server.stopping.wait())
    try:
        await asyncio.wait({call, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return call.result() if call.done() else None
    finally:
        stopping.cancel()
        call.cancel()
        await asyncio.wait({call, stopping})


def _told(folder: Path, report: CallReport, scenario: Mapping[str, Any]) -> dict[str, Any]:
    """Return the call's figures and contents, as JSON can tell them; blocks while it reads them."""
    events = list(read_journal(folder / "journal.jsonl"))
    sums = figures(events)
    return {
        "call_id": report.call_id,
        **scenario,
        "expectations": [asdict(expectation) for expectation in report.expectations],
        "answer_to_first_audio_ms": sums.answer_to_first_audio_ms,
        "response_p50_ms": sums.response_p50_ms,
        "response_max_ms": sums.response_max_ms,
        "turns": [
            {"who": event["event"].removesuffix("_turn"), "t": event["t"], "text": event["text"]}
            for event in events
            if event["event"] in ("caller_turn", "bot_turn")
        ],
        "tool_calls": [
            {
                "name": event["tool_name"],
                "arguments": json.loads(event["arguments"]),
                "outcome": event["outcome"],
                "duration_ms": event["duration_ms"],
            }
            for event in events
            if event["event"] == "tool_call"
        ],
        "barge_ins": [
            {"believed_ms": round(believed_ms, 1), "heard_ms": round(cut.heard_ms, 1)}
            for believed_ms, cut in zip(sums.barge_ins, report.cuts, strict=False)
        ],
        "cost_usd": sums.cost_usd,
        "unpriced": list(sums.unpriced),
        "tokens": sums.tokens,
        "recording": str(folder / "recording.wav"),
        "transcript": str(folder / "transcript.txt"),
        "journal": str(folder / "journal.jsonl"),
    }


def _check(report: CallReport) -> None:
    """Refuse to call a demo a success that was none."""
    if report.shortcomings:
        raise DemoError(report.shortcomings[0])
    if report.cause != "hangup":
        raise DemoError(f"the call ended with {report.cause}: {report.ending.explanation}")
