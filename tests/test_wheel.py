"""The wheel, installed outside the repository: a new bot's own test passes, and the bot takes a call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parent.parent
SERVE_PORT, MODEL_PORT = 18491, 18492
PASSWORD = "long enough"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, whose dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("elsewhere")
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"))
    _ran(*build, cwd=ROOT)
    (wheel,) = (folder / "dist").iterdir()
    venv = folder / "venv"
    _ran(sys.executable, "-m", "venv", str(venv), cwd=folder)
    _ran(str(venv / "bin" / "pip"), "install", "-q", "--no-index", "--no-deps", str(wheel), cwd=folder)
    (site,) = venv.glob("lib/python*/site-packages")
    # A .pth file named in another is not followed, so the editable callpipe of this environment is not seen.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin"


def _ran(*command: str, cwd: Path, **environment: str) -> str:
    ran = subprocess.run(
        command,
        cwd=cwd,
        env=_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def _environment(**changed: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "LOGURU_AUTOINIT": "0", "PYTHONDONTWRITEBYTECODE": "1", **changed}


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_new_bot_passes_its_test_and_takes_a_call(installed: Path, tmp_path: Path) -> None:
    where = _ran(
        str(installed / "python"), "-c", "import callpipe.pipelines as p; print(p.__file__)", cwd=tmp_path
    )
    assert Path(where.strip()).is_relative_to(installed.parent)
    callpipe = str(installed / "callpipe")
    _ran(callpipe, "new", "front-desk", cwd=tmp_path)
    _ran(callpipe, "check", "front-desk/bot.py", "--draw", "bot.svg", cwd=tmp_path)
    tested = _ran(str(installed / "python"), "-m", "pytest", "-q", "front-desk", cwd=tmp_path)
    assert "2 passed" in tested
    _takes_a_call(callpipe, tmp_path)


def _takes_a_call(callpipe: str, folder: Path) -> None:
    settings = {
        "OPENAI_API_KEY": "a key",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{MODEL_PORT}/v1",
        "CALLPIPE_PUBLIC_URL": f"http://127.0.0.1:{SERVE_PORT}",
        "CALLPIPE_WEBHOOK_USERNAME": "carrier",
        "CALLPIPE_WEBHOOK_PASSWORD": PASSWORD,
        "CALLPIPE_RECORDING": "on",
    }
    model = (callpipe, "emulate", "model", "--port", str(MODEL_PORT), "--script", "front-desk/model.yaml")
    serve = (callpipe, "serve", "front-desk/bot.py", "--port", str(SERVE_PORT))
    webhooks = f"{settings['CALLPIPE_PUBLIC_URL']}/bandwidth/front-desk"
    running = [
        subprocess.Popen(command, cwd=folder, env=_environment(**settings)) for command in (model, serve)
    ]
    try:
        _until_it_answers(f"{settings['CALLPIPE_PUBLIC_URL']}/health")
        call = (callpipe, "emulate", "carrier", "--username", "carrier", "--say", "When are you open tomorrow?")
        urls = ("--initiate-url", f"{webhooks}/initiate", "--status-url", f"{webhooks}/disconnect")
        _ran(*call, *urls, "--duration", "60", cwd=folder, **settings)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(20)
    assert "front-desk" in _ran(callpipe, "calls", "list", cwd=folder)
    (journal,) = folder.glob("callpipe-data/calls/*/journal.jsonl")
    assert '"tool_name": "opening_hours"' in journal.read_text()
    assert journal.stat().st_mode & 0o077 == 0
    assert journal.with_name("recording.wav").stat().st_mode & 0o077 == 0


def _until_it_answers(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server did not start")
