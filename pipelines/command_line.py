"""The `callpipe` command."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from callpipe.transports.audio.formats import AudioFormat
from callpipe.transports.errors import CallpipeError

from . import emulate
from .answers import fallback
from .bot import load_bot
from .drawing import draw as draw_pipeline
from .errors import SettingsError, UnknownCallError
from .loading import built
from .logs import log_to_stderr
from .new import write_new_bot
from .records.call_index import CallIndex
from .records.journal import read_journal, transcript
from .records.retention import sweep
from .runners.children import with_workers
from .runners.control import ask_to_reload
from .runners.supervisor import Supervisor, inherited_listener
from .server import Server
from .settings import load_settings
from .watching.status_table import show_status

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
calls_app = typer.Typer(no_args_is_help=True, help="What became of calls.")
app.add_typer(calls_app, name="calls")
app.add_typer(emulate.app, name="emulate")

console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)

BotFiles = Annotated[list[Path], typer.Argument(metavar="BOTFILE...", help="Python files with a Bot each.")]


class BrainChoice(StrEnum):
    """Which model answers the demo's call."""

    OFFLINE = "offline"
    SCRIPTED = "scripted"
    OPENAI = "openai"


def main() -> None:
    """Run the command; an error of callpipe's is one sentence, and exit status 1."""
    try:
        app()
    except CallpipeError as error:
        _refuse(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        _refuse(f"{error.filename}: {error.strerror}")


def _refuse(sentence: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(f"callpipe: {sentence}", soft_wrap=True, markup=False)
    sys.exit(1)


@app.command()
def demo(
    brain: Annotated[BrainChoice, typer.Option(help="Which model answers.")] = BrainChoice.OFFLINE,
    json: Annotated[Path | None, typer.Option(help="Write the call's figures to this file.")] = None,
    scenario: Annotated[
        str,
        typer.Option(
            help="What happens: booking, barge-in, goodbye, silence, a caller's script, FILE.yaml; "
            "or what is done to processes under calls: crash, hang, server, deploy."
        ),
    ] = "booking",
) -> None:
    """Hold a phone call on this machine, through real sockets: an emulated carrier calls the receptionist."""
    from .demo import run_demo  # noqa: PLC0415  the emulators are needed here only
    from .drills.show import DRILLS, run_drill  # noqa: PLC0415  so here
    from .scenario import find_scenario  # noqa: PLC0415  so here

    if scenario in DRILLS:
        log_to_stderr("ERROR")
        uvloop.run(run_drill(scenario, console, json))
        return
    played = find_scenario(scenario)
    log_to_stderr("WARNING")
    uvloop.run(run_demo(brain.value, load_settings(), console, json, scenario=played))


@app.command()
def rehearse(
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    into: Annotated[
        list[Path] | None, typer.Option(help="Write the figures into the table of this Markdown file.")
    ] = None,
    real_time: Annotated[
        bool, typer.Option("--real-time", help="Over real sockets, as long as calls last: ten minutes.")
    ] = False,
) -> None:
    """Hold a call for each thing a model can do wrong; exit status 1 when one costs more than it may."""
    from .rehearsal.rehearse import run_rehearsals  # noqa: PLC0415  the emulators are needed here only

    log_to_stderr("CRITICAL")
    run_rehearsals(console, json, real_time=real_time, into=into or ())


@app.command()
def serve(
    bot_files: BotFiles,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
    workers: Annotated[
        list[str] | None, typer.Option(metavar="BOTFILE=N", help="Runner processes of a bot; 1 by default.")
    ] = None,
) -> None:
    """Answer calls: webhooks and media streams of every bot, on one port, each bot in processes of its own."""
    settings = load_settings()
    log_to_stderr("INFO", settings.log)
    settings.serving()
    files = with_workers(bot_files, workers or [])
    listener = inherited_listener() or Server.listen(host, port)
    asyncio.run(Supervisor(files, settings, listener).run())


@app.command()
def reload(bot: Annotated[str, typer.Argument(help="The bot's name.")]) -> None:
    """Have new calls answered by a bot's file as it is now; calls that go on end as they began."""
    version = asyncio.run(ask_to_reload(load_settings().data_dir, bot))
    console.print(f"{bot} {version} takes new calls.")


@app.command(name="fallback-bxml")
def fallback_bxml(bot_file: Annotated[Path, typer.Argument(metavar="BOTFILE")]) -> None:
    """Print a bot's fallback as BXML, to be put on another host at CALLPIPE_FALLBACK_URL/<bot>.xml."""
    typer.echo(fallback(load_bot(bot_file).fallback))


@app.command()
def status(
    url: Annotated[str, typer.Option(help="Where the server is.")] = "http://127.0.0.1:8080",
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Show a server's bots and their runner processes: versions, calls, lag, memory."""
    show_status(console, url, load_settings().serving(), watched=watch)


@app.command()
def new(
    name: Annotated[
        str, typer.Argument(help="Lower-case letters, digits and hyphens; part of the bot's URLs.")
    ],
    into: Annotated[Path, typer.Option(help="Where the bot's folder is made.")] = Path(),
) -> None:
    """Write a new bot into a folder of its own, with a test, a caller's script and a prompt."""
    for path in write_new_bot(name, into):
        console.print(f"  {path}", markup=False)
    console.print(f"\nTest it with [bold]pytest {into / name}[/], look at it with", end=" ")
    console.print(f"[bold]callpipe check {into / name / 'bot.py'}[/].")


@app.command()
def check(
    bot_files: BotFiles,
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw the bot's pipeline into this file.")
    ] = None,
) -> None:
    """Show the audio formats at each joint of a bot's pipeline; exit status 1 when two don't fit."""
    if draw is not None and len(bot_files) != 1:
        raise typer.BadParameter("one file takes one bot's pipeline", param_hint="--draw")
    log_to_stderr("ERROR")
    settings = load_settings()
    for path in bot_files:
        bot = load_bot(path)
        pipeline = built(bot, settings)
        table = Table(title=f"{bot.name}  ({path})", title_justify="left", box=None, pad_edge=False)
        for heading in ("processor", "caller's audio behind it", "bot's audio behind it", ""):
            table.add_column(heading)
        for joint in pipeline.joints:
            table.add_row(joint.processor, _words(joint.tracks.caller), _words(joint.tracks.bot), joint.note)
        console.print(table)
        if draw is not None:
            draw.write_text(draw_pipeline(bot.name, pipeline.joints))
            console.print(f"drawn into {draw}")


@app.command()
def probe(
    from_: Annotated[str, typer.Option("--from", help="A number of the account, E.164.")],
    to: Annotated[str, typer.Option(help="A number at which somebody picks up and listens, E.164.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on, where CALLPIPE_PUBLIC_URL leads.")] = 8080,
    json: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None,
) -> None:
    """Place one call on a real Bandwidth account, and measure what its documentation does not say."""
    from .probing.command import numbers_of, run_probe  # noqa: PLC0415  needed here only

    settings = load_settings()
    log_to_stderr("WARNING", settings.log)
    numbers = numbers_of(settings, from_, to)
    uvloop.run(run_probe(settings, numbers, Server.listen(host, port), console, json))


@calls_app.command("list")
def list_calls(limit: Annotated[int, typer.Option(help="How many, the latest first.")] = 20) -> None:
    """List the latest calls."""
    table = Table(box=None, pad_edge=False)
    for heading in ("call", "bot", "began (UTC)", "seconds", "turns", "tools", "barge-ins", "USD", "ended by"):
        table.add_column(heading, justify="right" if heading in ("seconds", "turns", "tools") else "left")
    index = CallIndex(load_settings().data_dir / "calls.sqlite")
    for call in index.recent(limit):
        figures = (call.turns, call.tool_calls, call.barge_ins)
        duration = "" if call.duration_s is None else f"{call.duration_s:.1f}"
        cost = "" if call.cost_usd is None else f"{call.cost_usd:.4f}"
        counts = ("" if figure is None else str(figure) for figure in figures)
        table.add_row(
            call.call_id, call.bot, call.started_at[:19], duration, *counts, cost, call.reason or "going on"
        )
    console.print(table)


@calls_app.command("show")
def show_call(call_id: Annotated[str, typer.Argument(help="The call's id, or how it begins.")]) -> None:
    """Show a call: its figures, its files and its transcript."""
    found = CallIndex(load_settings().data_dir / "calls.sqlite").find(call_id)
    if len(found) != 1:
        raise UnknownCallError(
            f"no recorded call begins with {call_id!r}"
            if not found
            else f"{len(found)} calls begin with {call_id!r}"
        )
    call = found[0]
    for name in call.__dataclass_fields__:
        if (shown := getattr(call, name)) is not None:
            console.print(f"[dim]{name:12}[/] {shown}", soft_wrap=True)
    if call.journal is not None and Path(call.journal).exists():
        console.print()
        console.print(transcript(read_journal(Path(call.journal))), soft_wrap=True, markup=False)


@calls_app.command("sweep")
def sweep_calls(
    older_than_days: Annotated[
        int | None, typer.Option(min=1, help="How old; CALLPIPE_RETENTION_DAYS by default.")
    ] = None,
) -> None:
    """Delete what is kept of old calls: recordings, journals, transcripts, their rows in the index."""
    settings = load_settings()
    days = older_than_days or settings.retention_days
    if days is None:
        raise SettingsError(
            "CALLPIPE_RETENTION_DAYS is not set: say how old with --older-than-days", "CALLPIPE_RETENTION_DAYS"
        )
    swept = sweep(settings.data_dir, days, datetime.now(UTC))
    console.print(f"{swept.calls} calls older than {days} days are deleted.")
    if swept.failed:
        console.print(f"{swept.failed} could not be deleted.")
        raise typer.Exit(1)


def _words(audio_format: AudioFormat | None) -> str:
    return "-" if audio_format is None else str(audio_format)
