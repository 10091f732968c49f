"""`callpipe probe` over real sockets, and what it says when something is missing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest
import uvicorn

from callpipe.pipelines.command_line import app
from callpipe.pipelines.errors import SettingsError
from callpipe.pipelines.probing.command import numbers_of
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
