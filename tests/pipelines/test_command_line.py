"""The `callpipe` command: what it prints, and one sentence when something is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
import wave
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from callpipe.pipelines import command_line
from callpipe.pipelines.drills import show
from callpipe.pipelines.records.call_index import CallIndex
from callpipe.pipelines.records.retention import Swept
from callpipe.transports.bandwidth.emulator.carrier import CALLED_NUMBER, CALLER_NUMBER

BOTS = Path(__file__).parents[2] / "bots"
SERVING = {
    "CALLPIPE_PUBLIC_URL": "https://bots.example.com",
    "CALLPIPE_WEBHOOK_USERNAME": "carrier",
    "CALLPIPE_WEBHOOK_PASSWORD": "long enough",
}


RUN = "from callpipe.pipelines.command_line import main; main()"
RUN_WITH_EVERY_LOG_MESSAGE = """
from loguru import logger
from callpipe.pipelines import command_line
logger.remove = lambda *_: None
logger.add("everything.log", level="TRACE")
command_line.main()
"""


def command(*arguments: str, code: str = RUN) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def environment(tmp_path: Path, **changed: str) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "COLUMNS": "200",
        "LOGURU_AUTOINIT": "0",
        "CALLPIPE_DATA_DIR": str(tmp_path / "data"),
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
        **changed,
    }


def run(tmp_path: Path, *arguments: str, code: str = RUN, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, code=code),
        env=environment(tmp_path, **changed),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def refusal(ran: subprocess.CompletedProcess[str]) -> str:
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    (sentence,) = ran.stderr.strip().splitlines()
    return sentence.removeprefix("callpipe: ")


def test_check_shows_the_formats_of_each_joint(tmp_path: Path) -> None:
    ran = run(tmp_path, "check", str(BOTS / "receptionist.py"))
    assert ran.returncode == 0
    assert "BandwidthInput" in ran.stdout
    assert "PCMU 8 kHz" in ran.stdout
    assert "PCM 24 kHz" in ran.stdout


def test_check_refuses_a_joint_that_does_not_fit(tmp_path: Path) -> None:
    bot = tmp_path / "wrong.py"
    bot.write_text(
        "from callpipe.pipelines import Bot, Call, Pipeline\n"
        "from callpipe.processors import Resampler\n"
        "bot = Bot('wrong')\n\n\n"
        "@bot.pipeline\n"
        "def answer(call: Call) -> Pipeline:\n"
        "    return Pipeline([call.transport.input(), Resampler(24_000), call.transport.output()])\n"
    )
    sentence = refusal(run(tmp_path, "check", str(bot)))
    assert sentence.startswith(f"{bot}:8: Resampler does not fit behind BandwidthInput")
    assert sentence.endswith("put MulawDecoder() between them")


def test_check_names_the_file_and_line_of_a_bot_that_fails_to_import(tmp_path: Path) -> None:
    bot = tmp_path / "broken.py"
    bot.write_text("import callpipe\n\nboom = 1 / 0\n")
    assert refusal(run(tmp_path, "check", str(bot))) == f"{bot}:3: ZeroDivisionError: division by zero"


BROKEN = {
    "a joint that does not fit": (
        "from callpipe.pipelines import Bot, Call, Pipeline\n"
        "from callpipe.processors import Resampler\n"
        "bot = Bot('broken')\n\n\n"
        "@bot.pipeline\n"
        "def answer(call: Call) -> Pipeline:\n"
        "    return Pipeline([call.transport.input(), Resampler(24_000), call.transport.output()])\n",
        ":8: Resampler does not fit behind BandwidthInput",
    ),
    "a tool without docstring": (
        "from callpipe.processors.tools import tool\n\n\n@tool\ndef open_door() -> str:\n    return 'x'\n",
        ":4: tool open_door: it has no docstring",
    ),
    "a setting that does not exist": (
        "from callpipe.pipelines import Bot, Call, Pipeline, realtime_call\n"
        "bot = Bot('broken')\n\n\n"
        "@bot.pipeline\n"
        "def answer(call: Call) -> Pipeline:\n"
        "    return realtime_call(call, instructions='Be brief.', voise='cedar')\n",
        ":7: RealtimeSettings: there is no setting 'voise'; did you mean 'voice'?",
    ),
    "an exception": (
        "import nothing_of_this_name\n",
        ":1: ModuleNotFoundError: No module named 'nothing_of_this_name'",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", ["check", "serve"])
def test_a_broken_bot_is_one_sentence_with_file_and_line(name: str, kind: str, tmp_path: Path) -> None:
    content, sentence = BROKEN[kind]
    (tmp_path / "broken.py").write_text(content)
    port = ("--port", "0") if name == "serve" else ()  # tests run side by side
    ran = run(tmp_path, name, "broken.py", *port, OPENAI_API_KEY="k", **SERVING)
    assert refusal(ran).startswith(f"broken.py{sentence}")


def test_a_folder_that_can_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refusal(run(tmp_path, "calls", "list", CALLPIPE_DATA_DIR="file/data")) == "file: File exists"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "CALLPIPE_PUBLIC_URL and CALLPIPE_WEBHOOK_USERNAME and CALLPIPE_WEBHOOK_PASSWORD are not set"),
        (SERVING, "OPENAI_API_KEY is not set"),
        ({**SERVING, "CALLPIPE_RECORDING": "perhaps"}, "CALLPIPE_RECORDING is wrong: it takes one of off"),
    ],
)
def test_serve_names_the_setting_that_is_missing_or_wrong(
    changed: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    assert refusal(run(tmp_path, "serve", str(BOTS / "receptionist.py"), **changed)).startswith(sentence)


def test_serve_refuses_two_bots_of_one_name(tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text((BOTS / "echo.py").read_text())
    sentence = refusal(run(tmp_path, "serve", str(BOTS / "echo.py"), str(other), **SERVING))
    assert sentence == f"{other}: another bot is called 'echo' too"


def test_serve_answers_until_a_signal_says_stop(tmp_path: Path) -> None:
    arguments = command("serve", str(BOTS / "echo.py"), "--port", "18479")
    with subprocess.Popen(arguments, env=environment(tmp_path, **SERVING), cwd=tmp_path) as server:
        try:
            told = _health("http://127.0.0.1:18479/health")
            assert (told["status"], told["live_calls"]) == ("ok", 0)
            taken = run(tmp_path, "serve", str(BOTS / "echo.py"), "--port", "18479", **SERVING)
            assert refusal(taken).startswith("can't listen on 127.0.0.1:18479: Address already in use")
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


def _health(url: str) -> Any:
    for _ in range(200):
        try:
            return httpx.get(url).json()
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


def test_calls_that_nobody_made(tmp_path: Path) -> None:
    assert run(tmp_path, "calls", "list").returncode == 0
    assert refusal(run(tmp_path, "calls", "show", "c-1")) == "no recorded call begins with 'c-1'"


@pytest.mark.parametrize("brain", ["scripted", pytest.param("offline", marks=pytest.mark.offline)])
def test_the_demo_holds_a_call_and_keeps_it(brain: str, tmp_path: Path) -> None:
    unmeasured = {"COVERAGE_PROCESS_CONFIG": ""}  # for the sake of the call's figures
    arguments = ("demo", "--brain", brain, "--json", "out.json")
    ran = run(tmp_path, *arguments, code=RUN_WITH_EVERY_LOG_MESSAGE, **unmeasured)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads((tmp_path / "out.json").read_text())
    log = (tmp_path / "everything.log").read_text()
    assert log.count("\n") > 100
    assert content_in(log, told) == []
    booked = [call["arguments"] for call in told["tool_calls"] if call["name"] == "book_table"]
    assert booked == [told["booking"]]
    assert [call["name"] for call in told["tool_calls"]] == ["book_table", "opening_hours", "end_call"]
    assert [turn["who"] for turn in told["turns"]].count("caller") == 3
    (cut,) = told["barge_ins"]
    assert abs(cut["believed_ms"] - cut["heard_ms"]) <= 40
    assert 0 < told["answer_to_first_audio_ms"] < 10_000
    assert told["cost_usd"] > 0
    with wave.open(told["recording"]) as recording:
        assert (recording.getnchannels(), recording.getframerate()) == (2, 8000)
        assert recording.getnframes() > 10 * 8000
    assert "Caller:" in Path(told["transcript"]).read_text()
    assert told["booking"]["name"] in Path(told["transcript"]).read_text()
    assert Path(told["recording"]).stat().st_mode & 0o077 == 0

    listed = run(tmp_path, "calls", "list")
    assert told["call_id"] in listed.stdout
    shown = run(tmp_path, "calls", "show", told["call_id"][:12])
    assert "Bot:" in shown.stdout
    assert "recording" in shown.stdout


def content_in(log: str, told: dict[str, Any]) -> list[str]:
    """Return what of a call's content stands in its log: whole turns, the booking, the numbers."""
    content = [turn["text"] for turn in told["turns"]] + [told["booking"]["name"], told["booking"]["time"]]
    content += [json.dumps(call["arguments"]) for call in told["tool_calls"] if call["arguments"]]
    return [words for words in [*content, CALLER_NUMBER, CALLED_NUMBER] if words in log]


def test_a_scenario_that_is_none_is_refused(tmp_path: Path) -> None:
    ran = run(tmp_path, "demo", "--brain", "scripted", "--scenario", "bargein")
    assert refusal(ran).startswith("'bargein' is no scenario: there are booking, barge-in, goodbye, silence, ")
    (tmp_path / "mine.yaml").write_text("steps:\n  - shout: x\n")
    ran = run(tmp_path, "demo", "--brain", "scripted", "--scenario", "mine.yaml")
    assert refusal(ran).startswith("mine.yaml:2: step 1 is 'shout', which is none of say, ")


def test_the_demo_with_the_real_model_needs_a_key(tmp_path: Path) -> None:
    ran = run(tmp_path, "demo", "--brain", "openai")
    assert refusal(ran) == "OPENAI_API_KEY is not set: the realtime model needs it"


def test_a_demo_that_is_interrupted_ends_its_call(tmp_path: Path) -> None:
    arguments = command("demo", "--brain", "scripted")
    with subprocess.Popen(
        arguments, env=environment(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "bot     speaks" in line:
                demo.send_signal(signal.SIGINT)
                break
        rest = demo.stdout.read()
        assert demo.wait(15) == 0
    assert "Stopped; the call was ended." in rest
    (journal,) = (tmp_path / "data" / "calls").glob("*/journal.jsonl")
    assert '"event": "call_ended"' in journal.read_text()


@pytest.mark.live
@pytest.mark.offline
@pytest.mark.skipif("OPENAI_API_KEY" not in os.environ, reason="needs OPENAI_API_KEY")
def test_the_demo_holds_its_call_with_the_real_model(tmp_path: Path) -> None:
    ran = run(
        tmp_path, "demo", "--brain", "openai", "--json", "out.json", OPENAI_API_KEY=os.environ["OPENAI_API_KEY"]
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["booking"] in [call["arguments"] for call in told["tool_calls"]]
    assert told["barge_ins"]


def test_calls_are_swept_on_command(tmp_path: Path) -> None:
    assert refusal(run(tmp_path, "calls", "sweep")).startswith("CALLPIPE_RETENTION_DAYS is not set")
    folder = tmp_path / "data" / "calls" / "c-1"
    folder.mkdir(parents=True)
    os.utime(folder, (0, 0))
    swept = run(tmp_path, "calls", "sweep", CALLPIPE_RETENTION_DAYS="30")
    assert swept.stdout.strip() == "1 calls older than 30 days are deleted."
    assert not folder.exists()
    assert "0 calls older than 7 days" in run(tmp_path, "calls", "sweep", "--older-than-days", "7").stdout


def test_what_could_not_be_swept_is_told_and_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def swept(_folder: Path, _days: int, _now: datetime) -> Swept:
        return Swept(2, failed=1)

    monkeypatch.setattr(command_line, "sweep", swept)
    ran = CliRunner().invoke(command_line.app, ["calls", "sweep", "--older-than-days", "7"])
    assert ran.output.splitlines() == ["2 calls older than 7 days are deleted.", "1 could not be deleted."]
    assert ran.exit_code == 1


def test_a_call_that_goes_on_is_shown_without_what_is_not_known_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLPIPE_DATA_DIR", str(tmp_path))
    started = datetime(2026, 1, 1, tzinfo=UTC)
    CallIndex(tmp_path / "calls.sqlite").started(
        "c-1", bot="desk", bot_version="v1", direction="inbound", started_at=started
    )
    ran = CliRunner().invoke(command_line.app, ["calls", "show", "c-1"])
    assert ran.exit_code == 0, ran.output
    assert "desk" in ran.output
    assert "None" not in ran.output


def test_a_new_bots_files_are_listed_and_how_to_test_it(tmp_path: Path) -> None:
    ran = CliRunner().invoke(command_line.app, ["new", "desk", "--into", str(tmp_path)])
    told = ran.output.replace("\n", "")
    assert all(str(path) in told for path in (tmp_path / "desk").iterdir())
    assert f"pytest {tmp_path / 'desk'}" in told


def test_one_drawing_takes_one_bot(tmp_path: Path) -> None:
    bots = [str(BOTS / "echo.py"), str(BOTS / "receptionist.py")]
    ran = CliRunner().invoke(command_line.app, ["check", *bots, "--draw", str(tmp_path / "both.svg")])
    assert ran.exit_code == 2
    assert "one file takes one bot's pipeline" in ran.output
    assert not (tmp_path / "both.svg").exists()


def test_a_scenario_of_processes_is_a_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    drilled: list[tuple[str, Path | None]] = []

    async def drill(name: str, _console: object, json_path: Path | None) -> None:
        drilled.append((name, json_path))

    def no_log(_level: str) -> None: ...

    monkeypatch.setattr(show, "run_drill", drill)
    monkeypatch.setattr(command_line, "log_to_stderr", no_log)
    ran = CliRunner().invoke(command_line.app, ["demo", "--scenario", "crash", "--json", "out.json"])
    assert ran.exit_code == 0, ran.output
    assert drilled == [("crash", Path("out.json"))]


def test_an_error_of_the_system_that_is_about_no_file_is_not_made_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(command_line, "app", broken)
    with pytest.raises(OSError, match="Input/output error"):
        command_line.main()


def test_serve_sweeps_at_its_start_and_logs_as_json(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "calls" / "c-1"
    folder.mkdir(parents=True)
    os.utime(folder, (0, 0))
    changed = {**SERVING, "CALLPIPE_RETENTION_DAYS": "30", "CALLPIPE_LOG": "json"}
    arguments = command("serve", str(BOTS / "echo.py"), "--port", "18480")
    with subprocess.Popen(
        arguments, env=environment(tmp_path, **changed), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as server:
        _health("http://127.0.0.1:18480/health")
        deadline = time.monotonic() + 10
        while folder.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=10)
    assert not folder.exists()
    messages = [json.loads(line)["message"] for line in errors.splitlines()]
    assert "1 calls older than 30 days are deleted" in messages
