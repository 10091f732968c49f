from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection, AsyncRealtimeConnectionManager

from callpipe.transports import websocket
from callpipe.transports.audio.g711 import decode_mulaw, encode_mulaw
from callpipe.transports.errors import SocketClosedError, SocketRefusedError
from callpipe.transports.realtime.emulator import Disconnect, EmulatorSettings, RealtimeEmulatorServer
from callpipe.transports.speech.interfaces import Brain, CallTool, Heard, Say, ToolOutput
from callpipe.transports.speech.tones import ToneEar, ToneVoice

if TYPE_CHECKING:
    from .conftest import History, Valid

FAST = EmulatorSettings(first_audio_delay_ms=20, speed=20)
TOOL: Any = {"type": "function", "name": "book", "parameters": {"type": "object"}}


Official = Callable[[RealtimeEmulatorServer], AsyncRealtimeConnectionManager]


@pytest.fixture
def official() -> Official:
    """Connects the official client to a server.

    It is made outside the loop: it reads files, and asks the system about itself for its headers.
    """
    client = AsyncOpenAI(base_url="http://127.0.0.1", api_key="sk-test")
    assert client.default_headers

    def connect(server: RealtimeEmulatorServer) -> AsyncRealtimeConnectionManager:
        client.base_url = server.url
        return client.realtime.connect(model="gpt-realtime")

    return connect


async def until(connection: AsyncRealtimeConnection, event_type: str, audio: bytearray | None = None) -> Any:
    async with asyncio.timeout(10):
        while True:
            event = await connection.recv()
            if event.type == "response.output_audio.delta" and audio is not None:
                audio += base64.b64decode(event.delta)
            assert event.type != "error", event
            if event.type == event_type:
                return event


async def say(connection: AsyncRealtimeConnection, text: str) -> None:
    payload = encode_mulaw(b"".join(ToneVoice(8_000).speak(text)) + bytes(16_000))
    for start in range(0, len(payload), 160):
        await connection.input_audio_buffer.append(
            audio=base64.b64encode(payload[start : start + 160]).decode()
        )


async def test_the_official_client_holds_a_conversation(
    official: Official, brain: Callable[..., Brain], valid: Valid
) -> None:
    asked: list[History] = []
    script = brain(
        [Say("Hello, how can I help?")],
        [CallTool("book", {"seats": 2})],
        [Say("Two seats it is.")],
        asked=asked,
    )
    heard = bytearray()
    async with (
        RealtimeEmulatorServer(lambda: script, api_key="sk-test", settings=FAST) as server,
        official(server) as connection,
    ):
        created = await until(connection, "session.created")
        assert created.session.model == "gpt-realtime"
        await connection.session.update(
            session={
                "type": "realtime",
                "instructions": "Book tables.",
                "tools": [TOOL],
                "audio": {
                    "input": {"format": {"type": "audio/pcmu"}, "transcription": {"model": "whisper-1"}},
                    "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
                },
            }
        )
        await until(connection, "session.updated")
        await connection.response.create()
        await until(connection, "response.done", heard)
        await say(connection, "two seats please")
        done = await until(connection, "response.done")
        [call] = done.response.output
        assert (call.name, call.arguments) == ("book", '{"seats": 2}')
        await connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call.call_id, "output": '{"ok": true}'}
        )
        await connection.response.create()
        await until(connection, "response.done", heard)
        assert server.live_sessions == 1
    assert ToneEar().hear(decode_mulaw(bytes(heard)), 8_000) == "Hello, how can I help?Two seats it is."
    assert asked[-1][1:] == [
        Heard("two seats please"),
        CallTool("book", {"seats": 2}),
        ToolOutput("book", '{"ok": true}'),
    ]
    [log] = server.logs
    assert [event.type for event in log.client_events() if event.type != "input_audio_buffer.append"] == [
        "session.update",
        "response.create",
        "conversation.item.create",
        "response.create",
    ]
    for logged in log.server_events():
        missing = {"delta": ""} if logged.audio_bytes else {}
        valid({**logged.event, **missing})


async def test_pcm_at_24_khz_and_real_time(official: Official, brain: Callable[..., Brain]) -> None:
    heard = bytearray()
    async with (
        RealtimeEmulatorServer(lambda: brain([Say("hi")])) as server,
        official(server) as connection,
    ):
        started = asyncio.get_running_loop().time()
        await connection.response.create()
        await until(connection, "response.output_audio.delta", heard)
        assert asyncio.get_running_loop().time() - started >= 0.3
        await until(connection, "response.done", heard)
    assert ToneEar().hear(bytes(heard), 24_000) == "hi"
    assert len(heard) == 2 * 40 * 48


async def refusal(url: str, api_key: str | None = "sk-test") -> int | None:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key is not None else {}
    with pytest.raises(SocketRefusedError) as refused:
        await websocket.connect(url.replace("http", "ws", 1), headers=headers, deadline_s=5)
    return refused.value.status


async def test_what_is_refused_before_the_handshake(official: Official, brain: Callable[..., Brain]) -> None:
    async with RealtimeEmulatorServer(brain, api_key="sk-test", max_sessions=1) as server:
        model = "?model=gpt-realtime"
        assert await refusal(f"{server.url}/realtime{model}", None) == 401
        assert await refusal(f"{server.url}/realtime{model}", "sk-other") == 401
        assert await refusal(f"{server.url}/realtime{model}", "") == 401
        assert await refusal(f"{server.url}/chat{model}") == 404
        assert await refusal(f"{server.url}/realtime") == 400
        async with official(server) as connection:
            await until(connection, "session.created")
            assert await refusal(f"{server.url}/realtime{model}") == 429
        other = server.url.replace("/v1", "/openai/v1/realtime?model=my-deployment").replace("http", "ws", 1)
        while server.live_sessions:
            await asyncio.sleep(0.01)
        socket = await websocket.connect(other, headers={"Authorization": "bearer sk-test"}, deadline_s=5)
        await socket.close()


async def read_to_the_end(socket: websocket.WebSocket) -> None:
    while True:
        await socket.receive()


async def test_closing_the_server_closes_its_sessions(brain: Callable[..., Brain]) -> None:
    server = RealtimeEmulatorServer(lambda: brain([Say("a very long story " * 20)]))
    async with server:
        url = f"{server.url}/realtime?model=m".replace("http", "ws", 1)
        socket = await websocket.connect(url, headers={}, deadline_s=5)
        socket.send('{"type":"response.create"}')
        while "response.output_audio.delta" not in str(await socket.receive()):
            pass
    assert server.live_sessions == 0
    assert server.logs[0].ended
    with pytest.raises(SocketClosedError) as closed:
        await read_to_the_end(socket)
    assert closed.value.code == 1001
    await server.close()


async def test_a_brain_that_cant_be_made_costs_its_session(logged: list[str]) -> None:
    def no_brain() -> Brain:
        raise RuntimeError("a secret")

    async with RealtimeEmulatorServer(no_brain) as server:
        url = f"{server.url}/realtime?model=m".replace("http", "ws", 1)
        socket = await websocket.connect(url, headers={}, deadline_s=5)
        with pytest.raises(SocketClosedError) as closed:
            await socket.receive()
        assert closed.value.code == 1011
    assert [message for message in logged if "RuntimeError" in message]
    assert "secret" not in "".join(logged)


async def test_each_session_has_faults_of_its_own(official: Official, brain: Callable[..., Brain]) -> None:
    faults = iter([[Disconnect(2, code=1011, reason="lost")], []])
    async with RealtimeEmulatorServer(
        lambda: brain([Say("hi")]), settings=FAST, faults=lambda: next(faults)
    ) as server:
        url = f"{server.url}/realtime?model=m".replace("http", "ws", 1)
        first = await websocket.connect(url, headers={}, deadline_s=5)
        first.send('{"type":"response.create"}')
        await first.receive()
        with pytest.raises(SocketClosedError) as closed:
            await first.receive()
        assert (closed.value.code, closed.value.reason) == (1011, "lost")
        async with official(server) as connection:
            await connection.response.create()
            await until(connection, "response.done")
