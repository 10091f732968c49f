"""The server over real sockets: whom it answers, whom it lets in, and how a call goes on."""

import asyncio
import base64
import json
import xml.etree.ElementTree as ET
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from callpipe.pipelines import Bot, Call, Pipeline
from callpipe.pipelines.bot import load_bot
from callpipe.pipelines.ongoing import MAX_REMEMBERED_S
from callpipe.pipelines.records.call_index import CallIndex
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.server import MAX_WEBHOOK_BYTES, Server
from callpipe.pipelines.settings import Recording, Settings
from callpipe.pipelines.switchboard import Switchboard
from callpipe.transports.bandwidth.emulator import Caller, CallReport, Carrier, parse_script
from callpipe.transports.errors import SocketClosedError, SocketRefusedError
from callpipe.transports.speech.tones import ToneVoice
from callpipe.transports.websocket import WebSocket, connect

USERNAME, PASSWORD = "carrier", "webhook password"
ECHO = Path(__file__).parents[2] / "bots" / "echo.py"
NUMBER = "+15550001111"


class Clock:
    """Monotonic time that a test may move on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s


class Served:
    """A server under test, and what a carrier knows of it."""

    def __init__(self, url: str, switchboard: Switchboard, clock: Clock) -> None:
        self.url = url
        self.switchboard = switchboard
        self.clock = clock
        self.http = httpx.AsyncClient(base_url=url, auth=(USERNAME, PASSWORD))

    async def webhook(self, path: str, call_id: str = "c-1", **changed: Any) -> httpx.Response:
        auth = changed.pop("auth", None)
        content = changed.pop("content", None)
        body = {
            "eventType": "initiate", "eventTime": "2026-11-20T05:00:00Z",
            "accountId": "9900", "applicationId": "app",
            "from": NUMBER, "to": "+15550002222", "direction": "inbound", "callId": call_id,
            "callUrl": "https://voice.bandwidth.com/api/v2/x", "startTime": "2026-11-20T05:00:00Z", **changed,
        }  # fmt: skip
        return await self.http.post(
            path,
            content=json.dumps(body) if content is None else content,
            auth=auth if auth is not None else httpx.USE_CLIENT_DEFAULT,
        )

    async def stream(self, call_id: str = "c-1", bot: str = "echo") -> dict[str, str]:
        """Return the attributes of the StartStream that answers a new call."""
        answer = await self.webhook(f"/bandwidth/{bot}/initiate", call_id)
        assert answer.status_code == 200
        return start_stream(answer.text)

    async def open_media(self, stream: dict[str, str], **changed: str) -> WebSocket:
        stream = {**stream, **changed}
        pair = f"{stream['destinationUsername']}:{stream['destinationPassword']}"
        headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        return await connect(stream["destination"], headers=headers, deadline_s=5)


def start_stream(bxml: str) -> dict[str, str]:
    verb = ET.fromstring(bxml).find("StartStream")
    assert verb is not None
    return dict(verb.attrib)


def start_message(call_id: str = "c-1", name: str = "generation-1") -> str:
    metadata = {
        "accountId": 9900, "callId": call_id, "streamId": "s-1", "streamName": name,
        "tracks": [{"name": "inbound", "mediaFormat": {"encoding": "audio/PCMU", "sampleRate": 8000}}],
    }  # fmt: skip
    return json.dumps({"eventType": "start", "metadata": metadata})


@asynccontextmanager
async def served(
    tmp_path: Path, bots: list[Bot] | None = None, max_prepared: int = 10, **settings: Any
) -> AsyncGenerator[Served]:
    listener = Server.listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    operators = ENVIRONMENT.model_copy(
        update={
            "public_url": url,
            "webhook_username": USERNAME,
            "webhook_password": SecretStr(PASSWORD),
            "data_dir": tmp_path,
            **settings,
        }
    )
    clock = Clock()
    switchboard = Switchboard(
        bots or [ECHO_BOT], operators, CallRecords(tmp_path), max_prepared=max_prepared, clock=clock
    )
    server = Server(switchboard, operators, listener)
    await server.start()
    on_server = Served(url, switchboard, clock)
    try:
        yield on_server
    finally:
        await on_server.http.aclose()
        await server.stop()


ECHO_BOT = load_bot(ECHO)
ENVIRONMENT = Settings()


async def place_call(url: str, script: str, bot: str = "echo") -> CallReport:
    carrier = Carrier(
        initiate_url=f"{url}/bandwidth/{bot}/initiate",
        status_url=f"{url}/bandwidth/{bot}/disconnect",
        username=USERNAME,
        password=PASSWORD,
    )
    caller = Caller(parse_script(script), ToneVoice())
    await asyncio.to_thread(caller.rehearse)
    return await asyncio.wait_for(carrier.place_call(caller, from_=NUMBER), 30)


async def until_no_call_is_live(on_server: Served) -> None:
    async with asyncio.timeout(10):
        while on_server.switchboard.live_calls:
            await asyncio.sleep(0.01)


async def test_a_call_goes_through_the_echo_and_is_kept(tmp_path: Path, logged: list[str]) -> None:
    async with served(tmp_path, recording=Recording.ON) as on_server:
        report = await place_call(on_server.url, "steps: [{say: hello there}, {silence: {ms: 300}}, hang_up]")
        health = await on_server.http.get("/health")
        await until_no_call_is_live(on_server)
        await asyncio.sleep(0.3)
        (call,) = await asyncio.to_thread(CallIndex(tmp_path / "calls.sqlite").recent)
    assert health.json()["status"] == "ok"
    assert health.json()["loop_lag_ms"].keys() == {"p99", "max"}
    assert report.protocol_errors == []
    assert any(report.heard)
    assert call.call_id == report.call_id
    assert call.reason == "caller"
    assert call.recording is not None
    assert (await asyncio.to_thread(Path(call.recording).stat)).st_size > 8000
    assert NUMBER not in "".join(logged)
    assert "hello" not in "".join(logged)


@pytest.mark.parametrize("path", ["initiate", "continue", "stream", "disconnect"])
@pytest.mark.parametrize(
    "auth", [("", ""), ("carrier", "wrong"), ("wrong", PASSWORD), (USERNAME, PASSWORD + "x")]
)
async def test_a_webhook_without_the_credentials_is_refused(
    path: str, auth: tuple[str, str], tmp_path: Path
) -> None:
    async with served(tmp_path) as on_server:
        answer = await on_server.webhook(f"/bandwidth/echo/{path}", auth=auth)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
        assert on_server.switchboard.live_calls == 0
        assert await asyncio.to_thread(lambda: list(tmp_path.glob("calls/*"))) == []


@pytest.mark.parametrize("path", ["continue", "stream"])
async def test_the_applications_credentials_are_none_of_a_generations(path: str, tmp_path: Path) -> None:
    async with served(tmp_path) as on_server:
        await on_server.stream()
        assert (await on_server.webhook(f"/bandwidth/echo/{path}")).status_code == 401


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"eventType":"initiate"}', 400),
        (b"x" * MAX_WEBHOOK_BYTES * 2, 413),
    ],
)
async def test_a_broken_webhook_is_refused(content: bytes, status: int, tmp_path: Path) -> None:
    async with served(tmp_path) as on_server:
        answer = await on_server.webhook("/bandwidth/echo/initiate", content=content)
        assert answer.status_code == status
        assert (await on_server.webhook("/bandwidth/echo/initiate")).status_code == 200


async def test_an_unknown_bot_and_another_account_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path, bandwidth_account_id="9900", bandwidth_application_id="app") as on_server:
        assert (await on_server.webhook("/bandwidth/nobody/initiate")).status_code == 404
        assert (await on_server.webhook("/bandwidth/echo/initiate", accountId="1")).status_code == 403
        assert (await on_server.webhook("/bandwidth/echo/initiate", applicationId="x")).status_code == 403
        assert (await on_server.webhook("/bandwidth/echo/initiate", callId="")).status_code == 400
        assert (await on_server.webhook("/bandwidth/echo/initiate")).status_code == 200


async def test_a_webhook_asked_twice_gets_the_same_answer(tmp_path: Path) -> None:
    async with served(tmp_path) as on_server:
        assert await on_server.stream() == await on_server.stream()


async def test_the_media_stream_is_asked_for_without_a_secret_in_a_url(tmp_path: Path) -> None:
    async with served(tmp_path) as on_server:
        answer = await on_server.webhook("/bandwidth/echo/initiate")
    stream = start_stream(answer.text)
    assert stream["destination"] == on_server.url.replace("http", "ws") + "/bandwidth/echo/media"
    assert stream["mode"] == "bidirectional"
    assert stream["tracks"] == "inbound"
    assert len(stream["destinationPassword"]) >= 32
    urls = [value for verb in ET.fromstring(answer.text) for name, value in verb.attrib.items() if "rl" in name]
    assert all(stream["destinationPassword"] not in url and stream["password"] not in url for url in urls)
    assert [verb.tag for verb in ET.fromstring(answer.text)] == ["StartStream", "StopStream", "Redirect"]


async def test_a_recorded_call_is_announced_when_that_is_asked_for(tmp_path: Path) -> None:
    async with served(tmp_path, recording=Recording.ANNOUNCE) as on_server:
        answer = await on_server.webhook("/bandwidth/echo/initiate")
    assert ET.fromstring(answer.text)[0].tag == "SpeakSentence"


async def test_strangers_get_no_media_stream(tmp_path: Path, logged: list[str]) -> None:
    async with served(tmp_path) as on_server:
        first, other = await on_server.stream(), await on_server.stream("c-2")
        for wrong in (
            {"destinationPassword": ""},
            {"destinationPassword": "guess"},
            {"destinationPassword": other["destinationPassword"]},
            {"destinationUsername": "c-1.2"},
            {"destinationUsername": "c-9.1"},
            {"destinationUsername": ""},
            {"destination": first["destination"].replace("/echo/", "/receptionist/")},
        ):
            with pytest.raises(SocketRefusedError) as refused:
                await on_server.open_media(first, **wrong)
            assert refused.value.status == 401
        with pytest.raises(SocketRefusedError) as refused:
            await connect(first["destination"], headers={}, deadline_s=5)
        assert refused.value.status == 401
        with pytest.raises(SocketRefusedError) as refused:
            await connect(first["destination"].replace("/media", "/"), headers={}, deadline_s=5)
        assert refused.value.status == 404
        on_server.clock.ahead_s = 61
        with pytest.raises(SocketRefusedError):
            await on_server.open_media(first)
        assert on_server.switchboard.live_calls == 0
    assert first["destinationPassword"] not in "".join(logged)


@pytest.mark.parametrize("start", [start_message("c-2"), start_message(name="generation-2")])
async def test_a_start_of_another_call_closes_the_socket(start: str, tmp_path: Path) -> None:
    async with served(tmp_path) as on_server:
        media = await on_server.open_media(await on_server.stream())
        media.send(start)
        with pytest.raises(SocketClosedError) as closed:
            await asyncio.wait_for(media.receive(), 5)
        assert closed.value.code == 1008
        assert on_server.switchboard.live_calls == 0


async def test_a_token_opens_one_stream_and_no_second(tmp_path: Path) -> None:
    async with served(tmp_path) as on_server:
        stream = await on_server.stream()
        media = await on_server.open_media(stream)
        media.send(start_message())
        async with asyncio.timeout(5):
            while not on_server.switchboard.live_calls:
                await asyncio.sleep(0.01)
        with pytest.raises(SocketRefusedError):
            await on_server.open_media(stream)
        await media.close()
        await until_no_call_is_live(on_server)


async def continued(on_server: Served, stream: dict[str, str]) -> str:
    answer = await on_server.webhook(
        "/bandwidth/echo/continue", eventType="redirect", auth=(stream["username"], stream["password"])
    )
    assert answer.status_code == 200
    return answer.text


async def test_a_stream_that_was_lost_is_followed_by_another_generation(tmp_path: Path) -> None:
    async with served(tmp_path) as on_server:
        stream = await on_server.stream()
        media = await on_server.open_media(stream)
        media.send(start_message())
        await media.close(1001)
        await until_no_call_is_live(on_server)
        second = start_stream(await continued(on_server, stream))
        assert start_stream(await continued(on_server, stream)) == second
        assert second["name"] == "generation-2"
        assert second["destinationPassword"] != stream["destinationPassword"]
        media = await on_server.open_media(second)
        media.send(start_message(name="generation-2"))
        await media.close(1001)
        await until_no_call_is_live(on_server)


async def test_streams_that_never_start_end_in_the_bots_apology(tmp_path: Path) -> None:
    async with served(tmp_path) as on_server:
        stream = await on_server.stream()
        for number in (2, 3):
            stream = start_stream(await continued(on_server, stream))
            assert stream["name"] == f"generation-{number}"
        apology = ET.fromstring(await continued(on_server, stream))
        assert [verb.tag for verb in apology] == ["SpeakSentence", "Hangup"]
        assert apology[0].text == ECHO_BOT.apology


async def test_a_call_nobody_knows_any_more_is_hung_up(tmp_path: Path) -> None:
    async with served(tmp_path) as on_server:
        stream = await on_server.stream()
        assert (
            await on_server.webhook("/bandwidth/echo/disconnect", eventType="disconnect")
        ).status_code == 204
        answer = await on_server.webhook(
            "/bandwidth/echo/continue", eventType="redirect", auth=(stream["username"], stream["password"])
        )
        assert answer.status_code == 200
        assert "<Hangup" in answer.text


async def test_a_call_that_nobody_ends_is_closed_when_it_is_forgotten(tmp_path: Path) -> None:
    async with served(tmp_path, max_prepared=0) as on_server:
        await on_server.stream()
        on_server.clock.ahead_s = MAX_REMEMBERED_S + 61
        await asyncio.sleep(0.1)
        await on_server.stream("c-2")
        async with asyncio.timeout(5):
            while (ended := await asyncio.to_thread(ended_calls, tmp_path)) == {}:
                await asyncio.sleep(0.05)
    assert ended == {"c-1": "never disconnected"}


def ended_calls(data_dir: Path) -> dict[str, str]:
    calls = CallIndex(data_dir / "calls.sqlite").recent()
    return {call.call_id: call.reason for call in calls if call.reason is not None}


async def test_a_bot_that_fails_apologises_to_its_caller(tmp_path: Path) -> None:
    bot = Bot("broken", apology="We are sorry.")

    @bot.pipeline
    def build(call: Call) -> Pipeline:  # pyright: ignore[reportUnusedFunction]
        raise LookupError("on purpose")

    async with served(tmp_path, [bot]) as on_server:
        report = await place_call(on_server.url, "steps: [{silence: {ms: 4000}}, hang_up]", "broken")
    assert report.cause == "hangup"
    assert report.ending.ended_by == "bot"
    assert [event.detail for event in report.named("verb")][-1] == "Hangup"


async def test_a_server_that_stops_ends_its_calls_first(tmp_path: Path) -> None:
    async with served(tmp_path) as on_server:
        call = asyncio.create_task(place_call(on_server.url, "steps: [{silence: {ms: 20000}}, hang_up]"))
        async with asyncio.timeout(5):
            while not on_server.switchboard.live_calls:
                await asyncio.sleep(0.01)
    report = await asyncio.wait_for(call, 10)
    assert report.ended_at - report.started_at < 8
