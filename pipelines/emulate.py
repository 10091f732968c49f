"""`callpipe emulate`: a carrier that calls any Bandwidth application, and a model for any realtime client."""

from __future__ import annotations

import asyncio
import json as json_format
import math
import signal
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from callpipe.transports.bandwidth.emulator import (
    Caller,
    CallerScript,
    CallReport,
    Carrier,
    Line,
    Sightings,
    load_script,
)
from callpipe.transports.bandwidth.emulator.expectations import check_expectations
from callpipe.transports.bandwidth.emulator.script import Expect, HangUp, Play, Say, Silence, WaitForBot
from callpipe.transports.realtime.emulator import (
    FaultPlan,
    RealtimeEmulatorServer,
    every_session,
    first_sessions,
)
from callpipe.transports.realtime.emulator.fault_text import parse_fault
from callpipe.transports.speech.interfaces import Brain, Ear, Voice
from callpipe.transports.speech.tones import ToneEar, ToneVoice

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


class EmulatedEar(StrEnum):
    """What understands the bot for the emulated caller."""

    TONES = "tones"
    WHISPER = "whisper"


@app.command()
def carrier(
    *,
    initiate_url: Annotated[str, typer.Option(help="The application's URL for new calls.")],
    status_url: Annotated[str | None, typer.Option(help="Its URL for ended calls.")] = None,
    username: Annotated[str, typer.Option(help="User name of its webhooks.")] = "",
    password: Annotated[str, typer.Option(help="Their password.", envvar="CALLPIPE_WEBHOOK_PASSWORD")] = "",
    say: Annotated[str | None, typer.Option(help="The caller waits for the bot and says this.")] = None,
    audio: Annotated[Path | None, typer.Option(help="The same with a WAV file.")] = None,
    script: Annotated[Path | None, typer.Option(help="What the caller does and expects, as YAML.")] = None,
    voice: Annotated[EmulatedVoice, typer.Option(help="Speaks for the caller.")] = EmulatedVoice.TONES,
    ear: Annotated[
        EmulatedEar | None,
        typer.Option(help="Understands the bot where the script expects words; by default as the voice is."),
    ] = None,
    calls: Annotated[int, typer.Option(help="How many calls at once.", min=1)] = 1,
    duration: Annotated[float, typer.Option(help="Longest call in seconds.", min=1)] = 600.0,
    line: Annotated[str, typer.Option(help="delay=80ms,jitter=30ms,loss=1%,ppm=50,prebuffer=40ms")] = "",
    json: Annotated[Path | None, typer.Option(help="Write what happened to this file.")] = None,
) -> None:
    """Place calls to a server that speaks Bandwidth's protocol; exit status 1 when one did not go well."""
    for name, url in (("--initiate-url", initiate_url), ("--status-url", status_url)):
        if url is not None and not url.startswith(("http://", "https://")):
            raise EmulationError(f"{name} has {url!r}; it takes a URL such as http://127.0.0.1:8080/initiate")
    followed = _script(say, audio, script)
    check_expectations(followed, Sightings(tells_words=True), has_ear=True)
    caller = Caller(followed, _voice(voice), _ear(followed, voice, ear))
    placing = Carrier(
        initiate_url=initiate_url,
        status_url=status_url,
        username=username,
        password=password,
        line=parse_line(line),
        max_call_s=duration,
    )
    if json is not None:
        _write(json, "[]")  # better now than after the calls
    _conclude(asyncio.run(_place(placing, caller, calls)), json)


@app.command()
def model(
    *,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.", min=0, max=65_535)] = 8090,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    brain: Annotated[EmulatedBrain, typer.Option(help="What answers.")] = EmulatedBrain.SCRIPTED,
    script: Annotated[Path | None, typer.Option(help="What the scripted brain says, as YAML.")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="What goes wrong, such as drop@response.output_audio.delta#3, go-silent@+5,"
            " slow-deltas:extra_ms=800 or refuse-handshake:status=503; may be given several times."
        ),
    ] = None,
    faulty_sessions: Annotated[
        int | None, typer.Option(help="The faults strike so many sessions; by default all.", min=1)
    ] = None,
    key: Annotated[str | None, typer.Option(help="The API key to ask for.", envvar="OPENAI_API_KEY")] = None,
) -> None:
    """Serve the Realtime API to any client, until a signal says to stop."""
    if script is not None and brain is not EmulatedBrain.SCRIPTED:
        raise EmulationError("--script is for --brain scripted; the offline brain follows its own rules")
    faults = [parse_fault(text) for text in fault or ()]
    plan = every_session(*faults) if faulty_sessions is None else first_sessions(faulty_sessions, *faults)
    asyncio.run(_serve_model(_brain(brain, script), host, port, key, plan))


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
            figures[name] = _figure(name, figure.removesuffix(unit))
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


def _figure(name: str, written: str) -> float:
    """Return a figure of a line.

    Raises:
        ValueError: It is no number, or one that such a line can't have.
    """
    figure = float(written)
    if not math.isfinite(figure) or (figure < 0 and name != "ppm"):
        raise ValueError(written)
    return figure


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


def _ear(script: CallerScript, voice: EmulatedVoice, ear: EmulatedEar | None) -> Ear | None:
    """Return what the caller hears with, where the script expects words."""
    if not any(isinstance(step, Expect) and step.words is not None for step in script.steps):
        return None
    if ear is EmulatedEar.TONES or (ear is None and voice is EmulatedVoice.TONES):
        return ToneEar()
    from callpipe.transports.speech.whisper_ear import WhisperEar  # noqa: PLC0415  the extra `offline`

    return WhisperEar()


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


def _conclude(reports: Sequence[CallReport], json: Path | None) -> None:
    """Tell what became of the calls; refuse to call it a success when one did not go well."""
    if json is not None:
        _write(json, json_format.dumps([_told(report) for report in reports], indent=2, default=str) + "\n")
    for report in reports:
        _show(report)
    if bad := [wrong for report in reports if (wrong := _what_went_wrong(report))]:
        raise EmulationError(f"{len(bad)} of {len(reports)} calls did not go well: {bad[0][0]}")


async def _serve_model(brain: Brain, host: str, port: int, key: str | None, faults: FaultPlan) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        serving = RealtimeEmulatorServer(lambda: brain, host=host, port=port, api_key=key, faults=faults)
        async with serving as server:
            console.print(f"The model answers at {server.url}/realtime?model=gpt-realtime-2.1", soft_wrap=True)
            await stopped.wait()
    except OSError as failure:
        explanation = f"can't listen on {host}:{port}: {failure.strerror}; choose another --port or --host"
        raise EmulationError(explanation) from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as failure:
        raise EmulationError(f"--json {path} can't be written: {failure.strerror}") from None


def _show(report: CallReport) -> None:
    ended = f"{report.cause}, by the {report.ending.ended_by}"
    console.print(f"{report.call_id}: {ended}", soft_wrap=True)
    for expectation in report.expectations:
        sign = "met" if expectation.met else "NOT MET"
        console.print(f"  {sign:8}{expectation}", soft_wrap=True, markup=False)


def _what_went_wrong(report: CallReport) -> list[str]:
    """Return what did not go well, a sentence each."""
    wrong = list(report.shortcomings)
    if report.cause != "hangup":
        wrong.append(f"it ended with {report.cause}: {report.ending.explanation}")
    if errors := report.protocol_errors:
        wrong.append(f"the server broke the protocol {len(errors)} times, first with {errors[0]}")
    return wrong


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
        "expectations": [asdict(expectation) for expectation in report.expectations],
        "heard": [asdict(words) for words in report.spoken],
        "protocol_errors": report.protocol_errors,
        "gave_up": report.gave_up,
        "worst_packet_ms": report.worst_packet_ms,
    }
