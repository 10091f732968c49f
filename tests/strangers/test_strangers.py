"""Applications that know nothing of callpipe take calls from `callpipe emulate carrier`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from callpipe.pipelines.command_line import app
from callpipe.transports.realtime.emulator import RealtimeEmulatorServer
from callpipe.transports.realtime.emulator.brains import Script, ScriptedBrain

HERE = Path(__file__).parent
MODEL = Script.parse("""
greeting: Stranger speaking, hello.
rules:
  - {when: weather, say: "It is sunny, and it will stay sunny for as long as anybody can see."}
  - {when: thanks, say: You are welcome.}
""")


@contextmanager
def stranger(name: str, *arguments: str) -> Generator[str]:
    """Run a stranger's server; yield its base URL."""
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


@contextmanager
def model() -> Generator[str]:
    """Run the emulated model in a thread; yield its base URL."""
    loop, urls, stop = asyncio.new_event_loop(), list[str](), asyncio.Event()
    ready = threading.Event()

    async def serve() -> None:
        async with RealtimeEmulatorServer(lambda: ScriptedBrain(MODEL), api_key="key") as server:
            urls.append(server.url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def call(url: str, steps: str, tmp_path: Path) -> dict[str, object]:
    """Call a server with a script; return what is told of the call."""
    script, report = tmp_path / "caller.yaml", tmp_path / "report.json"
    script.write_text(f"steps:\n{steps}")
    follow = ["--script", str(script), "--json", str(report), "--line", "delay=20ms,jitter=10ms"]
    ran = CliRunner().invoke(app, ["emulate", "carrier", "--initiate-url", f"{url}/initiate", *follow])
    assert ran.exit_code == 0, f"{ran.exception}\n{ran.output}"
    (told,) = json.loads(report.read_text())
    return told


@pytest.mark.timeout(90)
def test_a_stock_pipecat_bot_takes_a_call_and_is_cut_in_on(tmp_path: Path) -> None:
    steps = """
  - expect: {words: stranger speaking, within_ms: 8000}
  - wait_for_bot
  - say: How is the weather?
  - cut_in: {after_ms: 700, say: thanks}
  - expect: {bot: quiet, within_ms: 1500}
  - expect: {words: you are welcome, within_ms: 4000}
  - hang_up
"""
    with model() as model_url, stranger("stock_pipecat", model_url) as url:
        told = call(url, steps, tmp_path)
    assert told["cuts"]
    assert told["protocol_errors"] == []


@pytest.mark.timeout(90)
def test_an_application_on_the_sdks_bxml_takes_a_call_with_keys_and_speech(tmp_path: Path) -> None:
    steps = """
  - silence: 1000
  - press: "12#"
  - silence: 700
  - say: hello stranger
  - expect: {words: hello stranger, within_ms: 1000}
  - press: "*"
  - wait_for_hang_up: {deadline_s: 5}
"""
    with stranger("sdk_bxml") as url:
        told = call(url, steps, tmp_path)
    assert (told["cause"], told["ended_by"]) == ("hangup", "bot")
    assert told["protocol_errors"] == []
