"""The model is there before the media stream is: over real sockets, in real time."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from callpipe.pipelines import Bot
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.records.journal import Event, figures, read_journal
from callpipe.pipelines.server import Server
from callpipe.pipelines.settings import Settings
from callpipe.pipelines.switchboard import Switchboard
from callpipe.transports import websocket
from callpipe.transports.bandwidth.emulator import Caller, Carrier, parse_script
from callpipe.transports.bandwidth.emulator.webhooks import CallFacts
from callpipe.transports.realtime.emulator import EmulatorSettings, RealtimeEmulatorServer
from callpipe.transports.speech.tones import ToneVoice
from callpipe.transports.websocket import WebSocket

from .prepared_calls import GREETING, greeting_bot
from .virtual_call import Reciter

CONNECT_MS, FIRST_AUDIO_MS = 100.0, 150.0
STREAM_AFTER_S = 1.0
"""How long the carrier takes from its webhook's answer to the media stream."""

CALLS, PAUSE_S = 20, 0.2
"""How many calls, and how long after each the next one comes."""

SCRIPT = parse_script("steps: [{wait_for_bot: {quiet_ms: 100, deadline_s: 20}}, hang_up]")
ENVIRONMENT = Settings()


class Wire:
    """The carrier's end of a media socket, which notes when the start went out and the first audio came."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.started_at: float | None = None
        self.first_audio_at: float | None = None

    def send(self, message: bytes | str) -> None:
        if self.started_at is None:
            self.started_at = time.monotonic()
        self._socket.send(message)

    async def receive(self) -> str | bytes:
        message = await self._socket.receive()
        if self.first_audio_at is None:
            assert "playAudio" in str(message)
            self.first_audio_at = time.monotonic()
        return message

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        await self._socket.close(code, reason, deadline_s=deadline_s)

    @property
    def waited_ms(self) -> float:
        """From the start to the first audio."""
        assert self.started_at is not None
        assert self.first_audio_at is not None
        return (self.first_audio_at - self.started_at) * 1000


class Served:
    """A server under test, and its model."""

    def __init__(self, url: str, switchboard: Switchboard, model: RealtimeEmulatorServer, folder: Path) -> None:
        self.url = url
        self.switchboard = switchboard
        self.model = model
        self._records = CallRecords(folder)

    async def call(self, after_s: float) -> tuple[Wire, list[Event]]:
        """Place a call whose media stream is slow to come; return what the wire and the journal tell of it."""
        await asyncio.sleep(after_s)
        wires: list[Wire] = []

        async def slowly(url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
            await asyncio.sleep(STREAM_AFTER_S)
            wires.append(Wire(await websocket.connect(url, headers=headers, deadline_s=deadline_s)))
            return wires[0]

        carrier = Carrier(
            initiate_url=f"{self.url}/bandwidth/greeter/initiate",
            status_url=f"{self.url}/bandwidth/greeter/disconnect",
            username="carrier",
            password="password",
            connect=slowly,
        )
        report = await carrier.place_call(Caller(SCRIPT, ToneVoice()))
        assert report.protocol_errors == []
        path = self._records.folder(report.call_id) / "journal.jsonl"
        async with asyncio.timeout(5):
            while "call_ended" not in await asyncio.to_thread(path.read_text):
                await asyncio.sleep(0.05)
        return wires[0], await asyncio.to_thread(lambda: list(read_journal(path)))


@asynccontextmanager
async def served(folder: Path, bot: Bot) -> AsyncGenerator[Served]:
    paces = EmulatorSettings(connect_delay_ms=CONNECT_MS, first_audio_delay_ms=FIRST_AUDIO_MS)
    async with RealtimeEmulatorServer(lambda: Reciter([GREETING]), settings=paces) as model:
        listener = Server.listen("127.0.0.1", 0)
        settings = ENVIRONMENT.model_copy(
            update={
                "public_url": f"http://127.0.0.1:{listener.getsockname()[1]}",
                "webhook_username": "carrier",
                "webhook_password": SecretStr("password"),
                "openai_api_key": SecretStr("key"),
                "openai_base_url": model.url,
                "data_dir": folder,
            }
        )
        switchboard = Switchboard([bot], settings, CallRecords(folder))
        server = Server(switchboard, settings, listener)
        await server.start()
        try:
            yield Served(str(settings.public_url), switchboard, model, folder)
        finally:
            await server.stop()


def at(events: list[Event], name: str) -> float:
    return next(event["t"] for event in events if event["event"] == name)


@pytest.mark.figures
async def test_the_first_audio_follows_the_start_within_20_ms(tmp_path: Path) -> None:
    async with served(tmp_path, greeting_bot()) as server:
        await server.call(0.0)
        calls = await asyncio.gather(*(server.call(PAUSE_S * number) for number in range(CALLS)))
    waited_ms = sorted(wire.waited_ms for wire, _ in calls)
    print(f"from the start to the first audio on the wire, ms: {[round(each, 1) for each in waited_ms]}")
    assert statistics.median(waited_ms) <= 20
    for wire, events in calls:
        assert at(events, "prepared") < at(events, "session_ready") < at(events, "media_started")
        first_audio_ms = figures(events).answer_to_first_audio_ms
        assert first_audio_ms is not None
        started_ms = (at(events, "media_started") - at(events, "call_started")) * 1000
        assert started_ms - 1 <= first_audio_ms <= started_ms + wire.waited_ms + 1


async def test_calls_that_are_given_up_leave_no_socket_and_no_task(tmp_path: Path) -> None:
    async with (
        served(tmp_path, greeting_bot()) as server,
        httpx.AsyncClient(base_url=server.url, auth=("carrier", "password")) as http,
    ):

        async def give_up(call_id: str, after_s: float) -> None:
            now = datetime.now(UTC)
            facts = CallFacts("9", "app", call_id, from_="+15550001111", to="+15550002222", started=now)
            told = facts.payload("initiate", now)
            assert (await http.post("/bandwidth/greeter/initiate", json=told)).status_code == 200
            await asyncio.sleep(after_s)
            over = facts.payload("disconnect", now, {"cause": "hangup"})
            assert (await http.post("/bandwidth/greeter/disconnect", json=over)).status_code == 204

        await give_up("c-warm-up", 0.3)
        await at_rest(server)
        tasks, sockets = len(asyncio.all_tasks()), await asyncio.to_thread(open_sockets)
        await asyncio.gather(*(give_up(f"c-{number}", 0.05 * number) for number in range(10)))
        await at_rest(server)
        assert len(server.model.logs) == 11, "not all of them had reached the model"
        assert len(asyncio.all_tasks()) <= tasks + 10, "connections the client keeps"
        await http.aclose()
        await asyncio.sleep(0.1)
        assert await asyncio.to_thread(open_sockets) <= sockets
        assert len(asyncio.all_tasks()) <= tasks


async def at_rest(server: Served) -> None:
    async with asyncio.timeout(5):
        while server.switchboard.prepared_calls or server.model.live_sessions:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)


def open_sockets() -> int:
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(str(link.readlink()).startswith("socket:") for link in links)
