"""The emulators as commands: for any server that speaks Bandwidth, for any realtime client."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from callpipe.pipelines import emulate
from callpipe.pipelines.command_line import app
from callpipe.pipelines.errors import EmulationError
from callpipe.transports.bandwidth.emulator import Line


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
    assert str(ran.exception) == "2 of 2 calls did not end with a plain hang-up"
    assert [call["cause"] for call in json.loads(report.read_text())] == ["callback-error"] * 2


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_model_serves_until_a_signal_says_stop(stop: signal.Signals) -> None:
    code = "from callpipe.pipelines.command_line import main; main()"
    arguments = [sys.executable, "-c", code, "emulate", "model", "--port", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as model:
        assert model.stdout is not None
        assert model.stdout.readline().startswith("The model answers at http://127.0.0.1:")
        model.send_signal(stop)
        assert model.wait(10) == 0
