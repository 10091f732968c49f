"""The demo's conversation goes on when the model's socket breaks in the middle of it."""

import asyncio
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from callpipe.pipelines.demo import run_demo
from callpipe.pipelines.settings import Settings
from callpipe.transports.errors import SocketClosedError
from callpipe.transports.websocket import WebSocket, connect

ENVIRONMENT = Settings()
BREAKS_AFTER_S = 8.0


class Breaking:
    """A socket that breaks without a word after a while."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._breaks_at = asyncio.get_running_loop().time() + BREAKS_AFTER_S
        self._broken = False
        self._closing: asyncio.Task[None] | None = None

    def send(self, message: bytes | str) -> None:
        if self._broken:
            raise SocketClosedError(1006)
        self._socket.send(message)

    async def receive(self) -> str | bytes:
        try:
            async with asyncio.timeout_at(self._breaks_at):
                return await self._socket.receive()
        except TimeoutError:
            self._broken = True
            self._closing = asyncio.create_task(self._socket.close())
            raise SocketClosedError(1006) from None

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        await self._socket.close(code, reason, deadline_s=deadline_s)


@pytest.mark.parametrize(
    "brain",
    [
        "scripted",
        pytest.param(
            "openai",
            marks=[
                pytest.mark.live,
                pytest.mark.offline,
                pytest.mark.skipif("OPENAI_API_KEY" not in os.environ, reason="needs OPENAI_API_KEY"),
            ],
        ),
    ],
)
async def test_a_socket_that_breaks_in_the_middle_costs_nothing(brain: str, tmp_path: Path) -> None:
    opened: list[WebSocket] = []

    async def breaking_once(url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        socket = await connect(url, headers=headers, deadline_s=deadline_s)
        opened.append(Breaking(socket) if not opened else socket)
        return opened[-1]

    settings = ENVIRONMENT.model_copy(update={"data_dir": tmp_path})
    told = tmp_path / "told.json"
    await run_demo(brain, settings, Console(file=io.StringIO()), told, connect=breaking_once)
    assert len(opened) >= 2
    call = json.loads(await asyncio.to_thread(told.read_text))
    assert [tool["name"] for tool in call["tool_calls"]].count("book_table") == 1
    assert [turn["who"] for turn in call["turns"]].count("caller") == 3
    assert len(call["barge_ins"]) == 1
