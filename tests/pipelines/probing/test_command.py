"""`callpipe probe` over real sockets, and what it says when something is missing."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import uvicorn
from rich.console import Console

from callpipe.pipelines.command_line import app
from callpipe.pipelines.errors import SettingsError
from callpipe.pipelines.probing.command import numbers_of, run_probe, show
from callpipe.pipelines.probing.findings import Findings, Frames
from callpipe.pipelines.probing.probe import Probe, ProbedNumbers
from callpipe.pipelines.server import Server
from callpipe.pipelines.settings import Settings, load_settings
from callpipe.transports.bandwidth.emulator import Caller, CallerScript, Carrier, EmulatedVoiceApi, Line
from callpipe.transports.bandwidth.emulator.outbound import OutboundCalls
from callpipe.transports.bandwidth.emulator.script import HangUp, Silence
from callpipe.transports.speech.tones import ToneVoice

COMPLETE = {
    "public_url": "https://probe.example",
    "bandwidth_account_id": "1",
    "bandwidth_application_id": "app",
    "bandwidth_client_id": "id",
    "bandwidth_client_secret": "a secret",
}
RUN = "from callpipe.pipelines.command_line import main; main()"


def settings(**changed: object) -> Settings:
    return load_settings(**{**COMPLETE, **changed})


PROBING = settings()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SettingsError) as refused:
        numbers_of(settings(public_url=None, bandwidth_client_id=None), "+15555550100", "+15555550199")
    assert str(refused.value) == (
        "CALLPIPE_PUBLIC_URL and BANDWIDTH_CLIENT_ID are not set:"
        " a probe places a call and is reached by the carrier"
    )


@pytest.mark.parametrize("number", ["", "5555550100", "+0123456789", "+1 555 555 0100", "sip:x@y"])
def test_a_number_that_is_none_is_not_repeated(number: str) -> None:
    with pytest.raises(SettingsError, match=r"^--to is no number: it takes one in E\.164, such as") as refused:
        numbers_of(settings(), "+15555550100", number)
    assert str(refused.value).endswith("such as +15555550100")


def test_who_calls_whom() -> None:
    numbers = numbers_of(settings(), "+15555550100", "+15555550199")
    assert numbers == ProbedNumbers("+15555550100", "+15555550199", "app")


FOUND = Findings(call_id="c-1", frames=Frames(20.0, 20.0, 1.0), short_start_ms=130.0, long_start_ms=30.0)


@pytest.mark.parametrize(("found", "setting"), [(FOUND, True), (Findings(call_id="c-1"), False)])
def test_findings_are_shown_with_the_configuration_that_follows(found: Findings, setting: bool) -> None:
    console = Console(file=io.StringIO(), width=200)
    show(found, console)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert shown.startswith("call c-1")
    assert "measured" in shown
    assert ("20 ms of audio every 20.0 ms" in shown) is setting
    assert ("\nCALLPIPE_PREBUFFER_MS=100\n" in shown) is setting


@pytest.mark.parametrize("kept", [True, False])
async def test_a_probe_is_reached_while_it_runs_and_its_findings_are_kept_where_they_are_wanted(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Server.listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    reached: list[int] = []

    async def run(_probe: Probe, numbers: ProbedNumbers, tell: Callable[[str], None]) -> Findings:
        tell(f"calling for {numbers.application_id}")
        async with httpx.AsyncClient() as carrier:
            reached.append((await carrier.get(f"http://127.0.0.1:{port}/nothing")).status_code)
        return FOUND

    monkeypatch.setattr(Probe, "run", run)
    console, path = Console(file=io.StringIO(), width=200), tmp_path / "found.json"
    numbers = ProbedNumbers("+15555550100", "+15555550199", "app")
    await run_probe(PROBING, numbers, listener, console, path if kept else None)
    assert reached == [404]
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().startswith("calling for app ...\ncall c-1")
    told = await asyncio.to_thread(lambda: path.read_text() if path.exists() else "{}")
    assert json.loads(told).get("short_start_ms") == (130.0 if kept else None)


def test_the_command_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="BANDWIDTH_ACCOUNT_ID"):
        app(["probe", "--from", "+15555550100", "--to", "+15555550199"], standalone_mode=False)


@pytest.mark.long
def test_a_probe_over_real_sockets(tmp_path: Path) -> None:
    asyncio.run(_probe_over_sockets(tmp_path))
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["frames"]["period_ms"] == pytest.approx(20, abs=1)
    assert found["short_start_ms"] - found["long_start_ms"] == pytest.approx(100, abs=40)
    assert found["handshake_authorized"] is True
    assert found["reset_cause"] == "mediaStreamStopped, connection-error"
    assert found["close_redirect_ms"] < 500


async def _probe_over_sockets(folder: Path) -> None:
    emulated = EmulatedVoiceApi(account_id="1", client_id="id", client_secret="a secret")

    def carrier(wish: dict[str, str]) -> Carrier:
        return Carrier(
            initiate_url=wish["answerUrl"],
            status_url=wish["disconnectUrl"],
            username=wish["username"],
            password=wish["password"],
            line=Line(prebuffer_ms=100),
            voice_api=emulated,
        )

    silent = Caller(CallerScript(steps=(Silence(ms=120_000), HangUp())), ToneVoice())
    outbound = OutboundCalls(emulated, carrier, silent)
    listener, ours = Server.listen("127.0.0.1", 0), Server.listen("127.0.0.1", 0)
    voice, port = f"http://127.0.0.1:{listener.getsockname()[1]}", ours.getsockname()[1]
    ours.close()
    server = uvicorn.Server(uvicorn.Config(emulated.app, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    arguments = ("probe", "--from", "+15555550100", "--to", "+15555550199", "--json", "found.json")
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUN, *arguments, "--port", str(port)),
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "LOGURU_AUTOINIT": "0",
            "CALLPIPE_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "BANDWIDTH_ACCOUNT_ID": "1",
            "BANDWIDTH_APPLICATION_ID": "app",
            "BANDWIDTH_CLIENT_ID": "id",
            "BANDWIDTH_CLIENT_SECRET": "a secret",
            "BANDWIDTH_VOICE_URL": f"{voice}/api/v2",
            "BANDWIDTH_TOKEN_URL": f"{voice}/api/v1/oauth2/token",
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await asyncio.wait_for(command.communicate(), 110)
        await asyncio.gather(*outbound.calls)
    finally:
        server.should_exit = True
        await serving
    assert command.returncode == 0, told.decode()
    assert re.search(r"CALLPIPE_PREBUFFER_MS=\d+", told.decode())
    assert "5555550" not in told.decode()
