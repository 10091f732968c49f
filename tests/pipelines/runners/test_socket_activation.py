"""A listening socket that somebody else holds, as systemd does: `serve` answers on it, and leaves it be."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from callpipe.pipelines.runners.supervisor import inherited_listener

ECHO = Path(__file__).parents[3] / "bots" / "echo.py"

ACTIVATE = """
import os, sys
listening = int(sys.argv[1])
if listening == 3:
    os.set_inheritable(3, True)
else:
    os.dup2(listening, 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
serve = "from callpipe.pipelines.command_line import main; main()"
os.execv(sys.executable, [sys.executable, "-c", serve, "serve", sys.argv[2]])
"""
"""What systemd does: the socket is descriptor 3, and the environment says for whom (sd_listen_fds(3))."""


@pytest.mark.timeout(240)
async def test_serve_answers_on_the_socket_that_it_is_given(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = {
            "CALLPIPE_PUBLIC_URL": url,
            "CALLPIPE_WEBHOOK_USERNAME": "carrier",
            "CALLPIPE_WEBHOOK_PASSWORD": "webhook password",
            "CALLPIPE_DATA_DIR": str(tmp_path),
            "LOGURU_AUTOINIT": "0",
        }
        serve = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ACTIVATE, str(listener.fileno()), str(ECHO),
            pass_fds=[listener.fileno()], env={**os.environ, **settings}, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with httpx.AsyncClient(timeout=60) as http:
                assert (await http.get(f"{url}/health")).status_code == 200, "who comes early waits"
        finally:
            serve.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(serve.wait(), 60) == 0
        with suppress(httpx.ReadTimeout):
            async with httpx.AsyncClient(timeout=0.3) as http:
                await http.get(f"{url}/health")
            pytest.fail("somebody answers")  # the socket is there, and takes connections for the next


def test_a_socket_for_another_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_PID", raising=False)
    assert inherited_listener() is None
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    assert inherited_listener() is None
