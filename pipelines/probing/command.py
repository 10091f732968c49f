"""`callpipe probe`: serves one measuring call on a port, and shows what it has found."""

from __future__ import annotations

import asyncio
import dataclasses
import json as json_format
import re
import socket
from pathlib import Path

import uvicorn
from rich.console import Console
from rich.table import Table

from callpipe.transports.bandwidth.voice_api import VoiceApi
from callpipe.transports.websocket_server import media_socket_protocol

from ..errors import SettingsError
from ..second_way import voice_api
from ..settings import Settings
from .findings import Findings
from .probe import Probe, ProbedNumbers

_E164 = re.compile(r"\+[1-9]\d{6,14}")
START_DEADLINE_S = 10.0


def numbers_of(settings: Settings, from_: str, to: str) -> ProbedNumbers:
    """Return who calls whom, once everything is there that a probe needs.

    Raises:
        SettingsError: A setting is missing, or a number is none.
    """
    needed = {
        "CALLPIPE_PUBLIC_URL": settings.public_url,
        "BANDWIDTH_ACCOUNT_ID": settings.bandwidth_account_id,
        "BANDWIDTH_APPLICATION_ID": settings.bandwidth_application_id,
        "BANDWIDTH_CLIENT_ID": settings.bandwidth_client_id,
        "BANDWIDTH_CLIENT_SECRET": settings.bandwidth_client_secret,
    }
    if missing := [name for name, setting in needed.items() if setting is None]:
        is_missing = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set"
        raise SettingsError(f"{is_missing}: a probe places a call and is reached by the carrier", *missing)
    for option, number in (("--from", from_), ("--to", to)):
        if not _E164.fullmatch(number):
            raise SettingsError(f"{option} is no number: it takes one in E.164, such as +15555550100")
    return ProbedNumbers(from_, to, settings.bandwidth_application_id or "")


async def run_probe(
    settings: Settings, numbers: ProbedNumbers, listener: socket.socket, console: Console, json: Path | None
) -> None:
    """Serve, place the call, measure, and show the findings.

    Raises:
        ProbeError: The call did not come far enough.
        VoiceApiError: It could not be placed.
        SettingsError: The account id can't be one.
    """
    api = await asyncio.to_thread(voice_api, settings, asyncio.get_running_loop().time)
    assert isinstance(api, VoiceApi)
    assert settings.public_url is not None
    probe = Probe(settings.public_url, api, clock=asyncio.get_running_loop().time)
    server = uvicorn.Server(
        uvicorn.Config(
            probe.app,
            access_log=False,
            lifespan="off",
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=2,
            ws=media_socket_protocol(probe.accept),  # pyright: ignore[reportArgumentType]  a factory does
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(START_DEADLINE_S):
            while not server.started and not serving.done():  # noqa: ASYNC110  uvicorn has no event
                await asyncio.sleep(0.01)
        findings = await probe.run(numbers, lambda doing: console.print(f"{doing} ...", style="dim"))
    finally:
        server.should_exit = True
        await serving
        await api.aclose()
    show(findings, console)
    if json is not None:
        text = json_format.dumps(dataclasses.asdict(findings), indent=2) + "\n"
        await asyncio.to_thread(json.write_text, text)


def show(findings: Findings, console: Console) -> None:
    """Print the findings, and the configuration that follows."""
    table = Table(box=None, pad_edge=False, title=f"call {findings.call_id}", title_justify="left")
    for heading in ("fact", "measured", "what follows"):
        table.add_column(heading)
    for row in findings.rows():
        table.add_row(*row)
    console.print(table)
    for line in findings.configuration():
        console.print(f"\n[bold]{line}[/]")
