"""How a server is watched: whom it tells what, and that it counts what happens."""

import asyncio
import io
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr, TypeAdapter
from rich.console import Console

from callpipe.pipelines import Bot, Call, Pipeline
from callpipe.pipelines.admission import Refusal
from callpipe.pipelines.bot import load_bot
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.records.journal import CallFigures
from callpipe.pipelines.runs import Role, RunnerState
from callpipe.pipelines.server import Server
from callpipe.pipelines.settings import ServingSettings, Settings
from callpipe.pipelines.switchboard import Switchboard
from callpipe.pipelines.watching.metrics import Metrics
from callpipe.pipelines.watching.service_status import BotState, ServerState, ServiceStatus
from callpipe.pipelines.watching.status_table import NoStatusError, ask_status, show_status, status_table

USERNAME, PASSWORD = "carrier", "webhook password"
ECHO = load_bot(Path(__file__).parents[3] / "bots" / "echo.py")
NUMBER = "+15550001111"
ENVIRONMENT = Settings()


class Watched:
    """A server under test, and who watches it."""

    def __init__(self, url: str, switchboard: Switchboard) -> None:
        self.url = url
        self.switchboard = switchboard
        self.http = httpx.AsyncClient(base_url=url, auth=(USERNAME, PASSWORD))

    async def webhook(self, kind: str, call_id: str, bot: str = "echo", **fields: str) -> httpx.Response:
        body = {
            "eventType": kind, "eventTime": "2026-11-20T05:00:00Z", "accountId": "9900", "applicationId": "app",
            "from": NUMBER, "to": "+15550002222", "direction": "inbound", "callId": call_id,
            "callUrl": "https://voice.bandwidth.com/api/v2/x", "startTime": "2026-11-20T05:00:00Z", **fields,
        }  # fmt: skip
        return await self.http.post(f"/bandwidth/{bot}/{kind}", json=body)

    async def samples(self) -> dict[str, float]:
        """Return Prometheus's samples, each by its name and the values of its labels."""
        answer = await self.http.get("/metrics")
        assert answer.status_code == 200
        return samples_of(answer.text)


def samples_of(text: str) -> dict[str, float]:
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@asynccontextmanager
async def watched(tmp_path: Path, *bots: Bot, **settings: Any) -> AsyncGenerator[Watched]:
    listener = Server.listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    serving = {"public_url": url, "webhook_username": USERNAME, "webhook_password": SecretStr(PASSWORD)}
    operators = ENVIRONMENT.model_copy(update={**serving, "data_dir": tmp_path, **settings})
    switchboard = Switchboard(bots or [ECHO], operators, CallRecords(tmp_path))
    server = Server(switchboard, operators, listener)
    await server.start()
    on_server = Watched(url, switchboard)
    try:
        yield on_server
    finally:
        await on_server.http.aclose()
        await server.stop()


@pytest.mark.parametrize("path", ["/status", "/metrics"])
@pytest.mark.parametrize("auth", [None, (USERNAME, "wrong"), ("", "")])
async def test_strangers_are_told_nothing(path: str, auth: tuple[str, str] | None, tmp_path: Path) -> None:
    async with watched(tmp_path) as on_server, httpx.AsyncClient(base_url=on_server.url) as stranger:
        answer = await stranger.get(path, auth=auth)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")


async def test_anybody_may_know_whether_calls_are_welcome(tmp_path: Path) -> None:
    async with watched(tmp_path) as on_server, httpx.AsyncClient(base_url=on_server.url) as stranger:
        ready = await stranger.get("/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        assert (await stranger.get("/health")).status_code == 200
        on_server.switchboard.drain()
        draining = await stranger.get("/ready")
        assert (draining.status_code, draining.json()["why"]) == (503, "draining")
        assert (await stranger.get("/health")).status_code == 200


async def test_a_full_server_says_so_while_it_is_full(tmp_path: Path) -> None:
    async with watched(tmp_path, max_calls=1) as on_server:
        await on_server.webhook("initiate", "c-1")
        full = await on_server.http.get("/ready")
        assert (full.status_code, full.json()["why"]) == (503, "no room")
        await on_server.webhook("disconnect", "c-1", cause="hangup")
        assert (await on_server.http.get("/ready")).status_code == 200


async def test_calls_are_counted_by_bot_and_reason(tmp_path: Path) -> None:
    async with watched(tmp_path, max_calls=1) as on_server:
        await on_server.webhook("initiate", "c-1")
        await on_server.webhook("initiate", "c-1")
        await on_server.webhook("initiate", "c-2")
        during = await on_server.samples()
        await on_server.webhook("disconnect", "c-1", cause="hangup")
        await on_server.webhook("disconnect", "c-2", cause="my number is 5550001111")
        await on_server.webhook("initiate", "c-3", bot="nobody")
        async with asyncio.timeout(10):
            while "callpipe_call_seconds_count echo" not in (after := await on_server.samples()):
                await asyncio.sleep(0.05)
            while (after := await on_server.samples())["callpipe_call_seconds_count echo"] < 2:
                await asyncio.sleep(0.05)
    assert during["callpipe_calls_begun_total echo"] == 2
    assert during["callpipe_calls_refused_total echo server full"] == 1
    assert during["callpipe_prepared_calls echo server"] == 1
    assert during["callpipe_calls"] == 2
    assert during["callpipe_bot_room echo"] == 0
    assert during["callpipe_bot_ready echo"] == 1
    assert during[f"callpipe_runner_info echo takes calls server {ECHO.version}"] == 1
    assert during["callpipe_runner_resident_memory_bytes echo server"] > 2**20
    assert during["callpipe_webhook_seconds_count answered initiate"] == 3
    assert after["callpipe_calls_ended_total echo caller"] == 1
    assert after["callpipe_calls_ended_total echo other"] == 1
    assert after["callpipe_webhook_seconds_count refused initiate"] == 1
    assert after["callpipe_webhook_seconds_count answered disconnect"] == 2
    assert after["callpipe_calls"] == 0
    assert not re.search(r"555|nobody", " ".join(after)), "a label of what came from outside"


async def test_a_lost_media_stream_is_counted_with_its_successor(tmp_path: Path) -> None:
    async with watched(tmp_path) as on_server:
        await on_server.webhook("initiate", "c-1")
        await on_server.switchboard.continues("c-1", 1)
        assert (await on_server.samples())["callpipe_generations_resumed_total echo"] == 1


async def test_status_tells_the_server_its_bots_and_who_runs_them(tmp_path: Path) -> None:
    other = Bot("other", max_calls=3)

    @other.pipeline
    def build(call: Call) -> Pipeline:
        return Pipeline([call.transport.input(), call.transport.output()])

    async with watched(tmp_path, ECHO, other) as on_server:
        await on_server.webhook("initiate", "c-1", bot="other")
        answer = await on_server.http.get("/status")
    status = TypeAdapter(ServiceStatus).validate_json(answer.content)
    echo, others = status.bots
    assert (echo.name, echo.calls, echo.room, echo.versions) == ("echo", 0, True, (ECHO.version,))
    assert (others.name, others.calls, others.max_calls, others.ready) == ("other", 1, 3, True)
    assert [(runner.bot, runner.prepared) for runner in status.runners] == [("echo", 0), ("other", 1)]
    assert status.server.rss_bytes > 2**20
    assert NUMBER not in answer.text


def test_what_a_call_came_to_is_counted() -> None:
    metrics = Metrics()
    figures = CallFigures(
        duration_s=42.0, answer_to_first_audio_ms=None, turns=3, tool_calls=1, barge_ins=(100.0,),
        response_ms=(450.0, 700.0), cost_usd=0.25, unpriced=(), heard_ms=(900.0,),
    )  # fmt: skip
    metrics.call_summed_up("a", figures)
    metrics.call_summed_up("a", figures)
    metrics.runner_died("a")
    metrics.call_refused("a", Refusal.BUDGET)
    samples = samples_of(metrics.text(STATUS).decode())
    assert samples["callpipe_response_seconds_count a"] == 4
    assert samples["callpipe_response_seconds_bucket a 0.5"] == 2
    assert samples["callpipe_turn_latency_seconds_sum a"] == pytest.approx(1.8)
    assert samples["callpipe_cost_usd_total a"] == 0.5
    assert samples["callpipe_turns_total a"] == 6
    assert samples["callpipe_barge_ins_total a"] == 2
    assert samples["callpipe_tool_calls_total a"] == 2
    assert samples["callpipe_runner_deaths_total a"] == 1
    assert samples["callpipe_calls_refused_total a budget spent"] == 1


SERVER = ServerState(7, "0.1.0", 3725.0, False, 2, 1.5, 40.0, 90 * 2**20)
BOT = BotState("a", ("v1", "v2"), 2, 10, ready=True, room=True)
RUNNER = RunnerState("3", 99, "a", "v2", 2, Role.TAKES_CALLS, 1, 0, 1.0, 2.0, 3.0, 120 * 2**20)
STATUS = ServiceStatus(SERVER, (BOT,), (RUNNER,))


@pytest.mark.parametrize(
    ("bots", "why"),
    [
        ([BOT], None),
        ([], "no runner"),
        ([BOT, BotState("b", (), 0, None, ready=False, room=False)], "no runner"),
        ([BOT, BotState("b", (), 0, 1, ready=True, room=False)], None),
        ([BotState("b", (), 0, 1, ready=True, room=False)], "no room"),
    ],
)
def test_new_calls_are_welcome_where_all_bots_are_there_and_one_has_room(
    bots: list[BotState], why: str | None
) -> None:
    assert ServiceStatus(SERVER, tuple(bots), ()).unready == why


def test_the_table_shows_every_runner() -> None:
    console = Console(record=True, width=160)
    console.print(status_table(STATUS))
    shown = console.export_text()
    assert "callpipe 0.1.0, process 7, for 1:02:05, 2 calls, lag 2 ms, at most 40 ms, 90 MiB" in shown
    assert re.search(r"3 +a +99 +v2 +2 +1 +0 +2 ms +120 MiB +takes calls", shown)
    assert re.search(r"a +v1 v2 +2 +10", shown)


async def test_the_command_asks_a_server_with_the_webhooks_credentials(tmp_path: Path) -> None:
    console = Console(record=True, width=160)
    async with watched(tmp_path) as on_server:
        serving = ServingSettings(on_server.url, USERNAME, PASSWORD)
        await asyncio.to_thread(show_status, console, on_server.url + "/", serving, watched=False)
        wrong = ServingSettings(on_server.url, USERNAME, "wrong password")
        with pytest.raises(NoStatusError, match="CALLPIPE_WEBHOOK_USERNAME"):
            await asyncio.to_thread(show_status, console, on_server.url, wrong, watched=False)
    assert "echo" in console.export_text()
    with pytest.raises(NoStatusError, match=r"no server answers at .* --url"):
        await asyncio.to_thread(show_status, console, on_server.url, serving, watched=False)


@pytest.mark.parametrize(("status", "body"), [(200, b"{}"), (200, b"<html>"), (404, b""), (500, b"oops")])
def test_what_is_no_server_of_ours_is_called_so(status: int, body: bytes) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(status, content=body))
    with httpx.Client(transport=transport) as http, pytest.raises(NoStatusError, match="no callpipe server"):
        ask_status(http, "http://127.0.0.1:1")


def test_a_server_that_is_gone_for_a_while_is_watched_until_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [httpx.Response(200, content=TypeAdapter(ServiceStatus).dump_json(STATUS)), None]
    screens: list[str] = []
    console = Console(record=True, width=160, force_terminal=True, file=io.StringIO())

    def get(_http: httpx.Client, url: str) -> httpx.Response:
        answer = answers.pop(0)
        if answer is None:
            raise httpx.ConnectError("down")
        answer.request = httpx.Request("GET", url)
        return answer

    def pause(_seconds: float) -> None:
        screens.append(console.export_text())
        if not answers:
            raise KeyboardInterrupt

    monkeypatch.setattr(httpx.Client, "get", get)
    monkeypatch.setattr("callpipe.pipelines.watching.status_table.time.sleep", pause)
    serving = ServingSettings("http://127.0.0.1:1", USERNAME, PASSWORD)
    show_status(console, "http://127.0.0.1:1", serving, watched=True)
    assert ["callpipe 0.1.0, process 7" in screen for screen in screens] == [True, False]
    assert "no server answers at http://127.0.0.1:1 (ConnectError)" in screens[1]
