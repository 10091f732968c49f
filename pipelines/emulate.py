"""`callpipe emulate`: a carrier that calls any Bandwidth application, and a model for any realtime client."""

from __future__ import annotations

import asyncio
import json as json_format
import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from callpipe.transports.bandwidth.emulator import Caller, CallerScript, CallReport, Carrier, Line, load_script
from callpipe.transports.bandwidth.emulator.script import HangUp, Play, Say, Silence, WaitForBot
from callpipe.transports.realtime.emulator import RealtimeEmulatorServer
from callpipe.transports.speech.interfaces import Brain, Voice
from callpipe.transports.speech.tones import ToneVoice

from .errors import EmulationError
from .timeline import LiveTimeline

app = typer.Typer(no_args_is_help=True, help="A carrier or a realtime model on this machine, for any peer.")
console = Console(highlight=False)

UNITS = {"delay": "ms", "jitter": "ms", "loss": "%", "ppm": "", "prebuffer": "ms"}
"""What a `--line` takes, and the unit of each."""


class EmulatedBrain(StrEnum):
    """What answers for the emulated model."""

    SCRIPTED = "scripted"
    OFFLINE = "offline"


class EmulatedVoice(StrEnum):
    """What the emulated caller speaks with."""

    TONES = "tones"
    HIBARI = "hibari"


@app.command()
def carrier(
    *,
    initiate_url: Annotated[str, typer.Option(help="The application's URL for new calls.")],
    status_url: Annotated[str | None, typer.Option(help="Its URL for ended calls.")] = None,
    username: Annotated[str, typer.Option(help="User name of its webhooks.")] = "",
    password: Annotated[str, typer.Option(help="Their password.", envvar="CALLPIPE_WEBHOOK_PASSWORD")] = "",
    say: Annotated[str | None, typer.Option(help="The caller waits for the bot and says this.")] = None,
    audio: Annotated[Path | None, typer.Option(help="The same with a WAV file.")] = None,
    script: Annotated[Path | None, typer.Option(help="What the caller does, as YAML.")] = None,
    voice: Annotated[EmulatedVoice, typer.Option(help="Speaks for the caller.")] = EmulatedVoice.TONES,
    calls: Annotated[int, typer.Option(help="How many calls at once.", min=1)] = 1,
    duration: Annotated[float, typer.Option(help="Longest call in seconds.", min=1)] = 600.0,
    line: Annotated[str, typer.Option(help="delay=80ms,jitter=30ms,loss=1%,ppm=50,prebuffer=40ms")] = "",
    json: Annotated[Path | None, typer.Option(help="Write what happened to this file.")] = None,
) -> None:
    """Place calls to a server that speaks Bandwidth's protocol; exit status 1 when one did not go well."""
    caller = Caller(_script(say, audio, script), _voice(voice))
    placing = Carrier(
        initiate_url=initiate_url,
        status_url=status_url,
        username=username,
        password=password,
        line=parse_line(line),
        max_call_s=duration,
    )
    reports = asyncio.run(_place(placing, caller, calls))
    told = [_told(report) for report in reports]
    if json is not None:
        json.write_text(json_format.dumps(told, indent=2) + "\n")
    for report in reports:
        ended = f"{report.cause}, by the {report.ending.ended_by}"
        console.print(f"{report.call_id}: {ended}", soft_wrap=True)
    if bad := [report for report in reports if report.cause != "hangup" or report.protocol_errors]:
        raise EmulationError(f"{len(bad)} of {len(reports)} calls did not end with a plain hang-up")


@app.command()
def model(
    *,
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8090,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    brain: Annotated[EmulatedBrain, typer.Option(help="What answers.")] = EmulatedBrain.SCRIPTED,
    script: Annotated[Path | None, typer.Option(help="What the scripted brain says, as YAML.")] = None,
    key: Annotated[str | None, typer.Option(help="The API key to ask for.", envvar="OPENAI_API_KEY")] = None,
) -> None:
    """Serve the Realtime API to any client, until a signal says to stop."""
    asyncio.run(_serve_model(_brain(brain, script), host, port, key))


def parse_line(text: str) -> Line:
    """Return the line that a text such as ``delay=80ms,jitter=30ms,loss=1%,ppm=50`` describes.

    Raises:
        EmulationError: It names something else, or gives no number.
    """
    figures: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, figure = part.strip().partition("=")
        unit = UNITS.get(name)
        if unit is None:
            raise EmulationError(f"--line has {name!r}; it takes {', '.join(UNITS)}")
        try:
            figures[name] = float(figure.removesuffix(unit))
        except ValueError:
            takes = f"{name} takes a number, such as {name}=50{unit}"
            raise EmulationError(f"--line has {part!r}; {takes}") from None
    if not 0 <= figures.get("loss", 0) < 100:
        raise EmulationError("--line has a loss that is no share: it takes 0% to 99%")
    return Line(
        one_way_ms=figures.get("delay", 0.0),
        jitter_ms=figures.get("jitter", 0.0),
        loss=figures.get("loss", 0.0) / 100,
        drift_ppm=figures.get("ppm", 0.0),
        prebuffer_ms=figures.get("prebuffer", 0.0),
    )


def _script(say: str | None, audio: Path | None, script: Path | None) -> CallerScript:
    if sum(given is not None for given in (say, audio, script)) != 1:
        raise EmulationError("give one of --say, --audio and --script")
    if script is not None:
        return load_script(script)
    speaks = Say(text=say) if say is not None else Play(file=audio or Path())
    return CallerScript(steps=(WaitForBot(), speaks, WaitForBot(), Silence(ms=500), HangUp()))


def _voice(voice: EmulatedVoice) -> Voice:
    if voice is EmulatedVoice.TONES:
        return ToneVoice()
    from callpipe.transports.speech.hibari_voice import HibariVoice  # noqa: PLC0415  the extra `offline`

    return HibariVoice()


def _brain(brain: EmulatedBrain, script: Path | None) -> Brain:
    from callpipe.transports.realtime.emulator import brains  # noqa: PLC0415  the extra `offline`

    if brain is EmulatedBrain.OFFLINE:
        offline = brains.OfflineBrain()
        offline.warm_up()
        console.print(offline.banner)
        return offline
    return brains.ScriptedBrain(brains.Script.load(script or brains.RECEPTIONIST))


async def _place(placing: Carrier, caller: Caller, calls: int) -> list[CallReport]:
    timeline = LiveTimeline(console)
    watched = timeline.carrier_event if calls == 1 else None
    return list(await asyncio.gather(*(placing.place_call(caller, on_event=watched) for _ in range(calls))))


async def _serve_model(brain: Brain, host: str, port: int, key: str | None) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        async with RealtimeEmulatorServer(lambda: brain, host=host, port=port, api_key=key) as server:
            console.print(f"The model answers at {server.url}/realtime?model=gpt-realtime-2.1", soft_wrap=True)
            await stopped.wait()
    except OSError as failure:
        explanation = f"can't listen on {host}:{port}: {failure.strerror}; choose another --port or --host"
        raise EmulationError(explanation) from None


def _told(report: CallReport) -> dict[str, Any]:
    return {
        "call_id": report.call_id,
        "cause": report.cause,
        "ended_by": report.ending.ended_by,
        "explanation": report.ending.explanation,
        "answer_ms": report.answer_ms,
        "first_audio_ms": report.first_audio_ms,
        "duration_s": report.ended_at - report.started_at,
        "cuts": [{"heard_ms": cut.heard_ms, "dropped_ms": cut.dropped_ms} for cut in report.cuts],
        "protocol_errors": report.protocol_errors,
        "gave_up": report.gave_up,
        "worst_packet_ms": report.worst_packet_ms,
    }
