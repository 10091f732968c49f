"""The emulators as commands: for any server that speaks Bandwidth, for any realtime client."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI, Response, WebSocket
from typer.testing import CliRunner

from callpipe.pipelines import emulate
from callpipe.pipelines.command_line import app
from callpipe.pipelines.errors import EmulationError
from callpipe.transports.audio.g711 import encode_mulaw
from callpipe.transports.bandwidth.emulator import Line
from callpipe.transports.errors import CallpipeError, SocketRefusedError
from callpipe.transports.speech.tones import ToneVoice
from callpipe.transports.websocket import connect


def test_a_line_is_described_by_its_figures() -> None:
    line = emulate.parse_line("delay=80ms, jitter=30ms,loss=1%,ppm=-50,prebuffer=40")
    assert line == Line(one_way_ms=80, jitter_ms=30, loss=0.01, drift_ppm=-50, prebuffer_ms=40)
    assert emulate.parse_line("") == Line()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dely=80ms", "--line has 'dely'; it takes delay, jitter, loss, ppm, prebuffer"),
        ("delay=soon", "--line has 'delay=soon'; delay takes a number, such as delay=50ms"),
        ("delay", "--line has 'delay'; delay takes a number, such as delay=50ms"),
        ("delay=-5ms", "--line has 'delay=-5ms'; delay takes a number, such as delay=50ms"),
        ("jitter=nan", "--line has 'jitter=nan'; jitter takes a number, such as jitter=50ms"),
        ("loss=100%", "--line has a loss that is no share: it takes 0% to 99%"),
    ],
)
def test_a_line_that_is_none_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(EmulationError) as refused:
        emulate.parse_line(text)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("arguments", [[], ["--say", "a", "--script", "b.yaml"]])
def test_a_caller_needs_one_thing_to_do(arguments: list[str]) -> None:
    command = ["emulate", "carrier", "--initiate-url", "http://127.0.0.1:9/x", *arguments]
    ran = CliRunner().invoke(app, command)
    assert isinstance(ran.exception, EmulationError)
    assert str(ran.exception) == "give one of --say, --audio and --script"


def test_a_server_that_does_not_answer_fails_the_calls(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = ["emulate", "carrier", "--initiate-url", "http://127.0.0.1:9/x", "--say", "hello", "--calls", "2"]
    ran = CliRunner().invoke(app, [*command, "--json", str(report)])
    assert isinstance(ran.exception, EmulationError)
    sentence = "2 of 2 calls did not go well: it ended with callback-error: the initiate webhook: no answer"
    assert str(ran.exception) == sentence
    assert [call["cause"] for call in json.loads(report.read_text())] == ["callback-error"] * 2


CARRIER = ["emulate", "carrier", "--initiate-url", "http://127.0.0.1:9/x"]


def refusal(arguments: list[str]) -> str:
    ran = CliRunner().invoke(app, arguments)
    assert isinstance(ran.exception, CallpipeError), ran.output
    assert "\n" not in str(ran.exception)
    return str(ran.exception)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "steps: [{expect: {tool: book}}]",
            "a carrier can't see the tool calls of a server",
        ),
        (
            "steps:\n  - say: hello\n  - cut_in",
            ":3: step 2, cut_in, has a wrong after_ms: field required",
        ),
        ("steps: [{play: nothing.wav}]", "nothing.wav is no WAV file that can be read"),
    ],
)
def test_a_script_that_can_not_be_followed_is_refused(script: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(script)
    assert sentence in refusal([*CARRIER, "--script", str(path)])
    assert "nothing.yaml can't be read: No such file" in refusal([*CARRIER, "--script", "nothing.yaml"])


def test_what_an_option_can_not_be_is_refused_before_the_call(tmp_path: Path) -> None:
    assert refusal([*CARRIER, "--say", "x", "--json", str(tmp_path)]).endswith(
        "can't be written: Is a directory"
    )
    ftp = refusal(["emulate", "carrier", "--initiate-url", "ftp://x", "--say", "x"])
    assert ftp == "--initiate-url has 'ftp://x'; it takes a URL such as http://127.0.0.1:8080/initiate"
    model = ["emulate", "model"]
    assert "'hang' is no fault; there are disconnect, drop" in refusal([*model, "--fault", "hang"])
    offline = [*model, "--brain", "offline", "--script", "x.yaml"]
    assert refusal(offline) == "--script is for --brain scripted; the offline brain follows its own rules"
    assert refusal([*model, "--script", "nothing.yaml"]).startswith("nothing.yaml: it can't be read")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refusal([*model, "--port", str(port)]).startswith(f"can't listen on 127.0.0.1:{port}: ")


class Stranger:
    """A Bandwidth application of somebody else: greets in tones, and hangs up when the caller has spoken."""

    GREETING = "Welcome to the stranger."

    def __init__(self, first_message: str | None = None) -> None:
        self.first_message = first_message
        self.app = FastAPI()
        self.app.post("/initiate")(self.initiate)
        self.app.websocket("/media")(self.media)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.server = uvicorn.Server(uvicorn.Config(self.app, log_config=None, lifespan="off"))

    async def initiate(self) -> Response:
        stream = f'<StartStream name="s" mode="bidirectional" destination="ws://127.0.0.1:{self.port}/media"/>'
        return Response(f'<Response>{stream}<StopStream name="s" wait="true"/></Response>')

    async def media(self, websocket: WebSocket) -> None:
        await websocket.accept()
        if self.first_message is not None:
            await websocket.send_text(self.first_message)
        payload = encode_mulaw(b"".join(ToneVoice().speak(self.GREETING)))
        media = {"contentType": "audio/pcmu", "payload": base64.b64encode(payload).decode()}
        await websocket.send_json({"eventType": "playAudio", "media": media})
        spoke = False
        async for message in websocket.iter_json():
            silent = set(base64.b64decode(message.get("payload", ""))) <= {0xFF}
            if spoke and silent:
                await websocket.close()
                return
            spoke = spoke or not silent

    def __enter__(self) -> Stranger:
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)


@pytest.mark.parametrize(("words", "met"), [("welcome to the stranger", True), ("goodbye", False)])
def test_a_script_tells_of_a_strangers_server_whether_it_does_what_is_expected(
    words: str, met: bool, tmp_path: Path
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(
        f"steps:\n  - expect: {{words: {words}, within_ms: 2000}}\n  - say: hi\n"
        "  - wait_for_hang_up: {deadline_s: 3}\n"
    )
    report = tmp_path / "report.json"
    with Stranger() as stranger:
        url = f"http://127.0.0.1:{stranger.port}/initiate"
        arguments = ["--initiate-url", url, "--script", str(script), "--json", str(report)]
        line = ["--line", "delay=20ms,jitter=5ms,ppm=50"]
        ran = CliRunner().invoke(app, ["emulate", "carrier", *arguments, *line])
    (told,) = json.loads(report.read_text())
    assert [words["text"] for words in told["heard"]] == ["Welcome to the stranger."]
    assert [expectation["met"] for expectation in told["expectations"]] == [met]
    if met:
        assert ran.exit_code == 0, ran.output
        assert (told["cause"], told["ended_by"]) == ("hangup", "bot")
    else:
        assert str(ran.exception) == (
            f"1 of 1 calls did not go well: {script}:2: step 1, expect: expected the bot to say 'goodbye'"
            " within 2000 ms; instead it said 'Welcome to the stranger.'"
        )


def test_a_call_in_which_the_server_breaks_the_protocol_did_not_go_well() -> None:
    with Stranger(first_message="nonsense") as stranger:
        url = f"http://127.0.0.1:{stranger.port}/initiate"
        told = refusal(["emulate", "carrier", "--initiate-url", url, "--say", "hi"])
    assert told.startswith("1 of 1 calls did not go well: the server broke the protocol 1 times, first with ")


async def test_the_models_faults_strike_the_sessions_they_are_meant_for() -> None:
    code = "from callpipe.pipelines.command_line import main; main()"
    faults = ["--fault", "refuse-handshake:status=503", "--faulty-sessions", "1"]
    model = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "emulate", "model", "--port", "0", *faults, stdout=asyncio.subprocess.PIPE
    )
    assert model.stdout is not None
    url = (await asyncio.wait_for(model.stdout.readline(), 20)).decode().split(" at ")[1].strip()
    with pytest.raises(SocketRefusedError, match="503"):
        await connect(url.replace("http", "ws", 1), headers={}, deadline_s=5)
    session = await connect(url.replace("http", "ws", 1), headers={}, deadline_s=5)
    assert json.loads(await session.receive())["type"] == "session.created"
    await session.close()
    model.terminate()
    assert await asyncio.wait_for(model.wait(), 10) == 0


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_model_serves_until_a_signal_says_stop(stop: signal.Signals) -> None:
    code = "from callpipe.pipelines.command_line import main; main()"
    arguments = [sys.executable, "-c", code, "emulate", "model", "--port", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as model:
        assert model.stdout is not None
        assert model.stdout.readline().startswith("The model answers at http://127.0.0.1:")
        model.send_signal(stop)
        assert model.wait(10) == 0
