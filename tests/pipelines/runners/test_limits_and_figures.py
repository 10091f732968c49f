"""A running `callpipe serve` that is called more often than it may be, and whose runner dies, watched."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import TypeAdapter

from callpipe.pipelines.drills.stage import Serving, serving
from callpipe.pipelines.runs import Role
from callpipe.pipelines.watching.service_status import ServiceStatus
from callpipe.transports.bandwidth.emulator import Caller, CallReport, CarrierDelays, parse_script
from callpipe.transports.speech.tones import ToneVoice

ECHO = Path(__file__).parents[3] / "bots" / "echo.py"
SCRIPT = "steps: [{say: hello there}, {silence: {ms: 3000}}, hang_up]"

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


async def call(served: Serving) -> CallReport:
    caller = Caller(parse_script(SCRIPT), ToneVoice())
    await asyncio.to_thread(caller.rehearse)
    return await asyncio.wait_for(served.carrier("echo", delays=CarrierDelays()).place_call(caller), 60)


async def watch(http: httpx.AsyncClient) -> tuple[ServiceStatus, dict[str, float]]:
    status = TypeAdapter(ServiceStatus).validate_json((await http.get("/status")).content)
    text = (await http.get("/metrics")).text
    samples = {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return status, samples


async def test_calls_too_many_at_once_are_answered_and_a_runners_death_is_seen(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, bots=[ECHO], CALLPIPE_MAX_CALLS_PER_RUNNER="2") as served,
        httpx.AsyncClient(base_url=served.url, auth=("carrier", served.password)) as http,
    ):
        reports = await asyncio.gather(*(call(served) for _ in range(6)))
        assert all(report.protocol_errors == [] for report in reports)
        assert sum(any(report.heard) for report in reports) == 2, "two talk, four are told that they can't"
        status, samples = await watch(http)
        assert samples["callpipe_calls_begun_total echo"] == 6
        assert samples["callpipe_calls_refused_total echo runners full"] == 4
        assert [runner.role for runner in status.runners] == [Role.TAKES_CALLS, Role.KEPT_WARM]
        assert all(runner.rss_bytes > 2**20 for runner in status.runners)
        assert {runner.pid for runner in status.runners} == set(await asyncio.to_thread(served.runners))
        assert any((await call(served)).heard), "there is room when they have gone"

        os.kill(status.runners[0].pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            while True:
                status_after, samples = await watch(http)
                names = [runner.name for runner in status_after.runners]
                if len(names) == 2 and status.runners[0].name not in names:
                    break
                await asyncio.sleep(0.1)
        assert samples["callpipe_runner_deaths_total echo"] == 1
        assert status_after.runners[0].name == status.runners[1].name
        assert status_after.runners[0].role is Role.TAKES_CALLS, "the one that was kept warm"
