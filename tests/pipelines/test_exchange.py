"""What an exchange answers about calls that are over, that may not go on, or that end meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from callpipe.pipelines import Bot, Call, Pipeline, answers
from callpipe.pipelines.ongoing import MAX_DEATHS_ALONE, Generation, OngoingCall
from callpipe.pipelines.parties import Parties
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.settings import Settings
from callpipe.pipelines.switchboard import Switchboard

ENVIRONMENT = Settings()
desk = Bot("desk", apology="Sorry.")


@desk.pipeline
def build(call: Call) -> Pipeline:
    return Pipeline([call.transport.input(), call.transport.output()])


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Switchboard]:
    serving = {"public_url": "https://example.com", "webhook_username": "carrier"}
    serving |= {"webhook_password": SecretStr("webhook password"), "data_dir": tmp_path}
    exchange = Switchboard([desk], ENVIRONMENT.model_copy(update=serving), CallRecords(tmp_path))
    yield exchange
    await exchange.close()


async def test_what_comes_late_of_a_call_that_is_over_does_not_bring_it_back(exchange: Switchboard) -> None:
    assert "<StartStream" in await exchange.initiated("desk", "c-1", Parties())
    await exchange.disconnected("c-1", "hangup")
    assert await exchange.continues("c-1", 1) == answers.hang_up()
    exchange.stream_event("c-1", "mediaStreamStopped", None)
    await exchange.runner_died("c-1", 1, alone=True)
    assert exchange.calls == 0


async def test_a_server_that_stops_lets_a_call_go_on_no_more(exchange: Switchboard) -> None:
    await exchange.initiated("desk", "c-1", Parties())
    exchange.stop_resuming()
    answer = await exchange.continues("c-1", 1)
    assert "Sorry." in answer
    assert "<StartStream" not in answer


async def test_a_call_that_kills_its_last_runner_while_it_is_prepared_gets_an_apology(
    exchange: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(ongoing: OngoingCall, generation: Generation) -> None:
        ongoing.deaths_alone = MAX_DEATHS_ALONE

    monkeypatch.setattr(exchange.runs, "prepare", dies)
    answer = await exchange.initiated("desk", "c-1", Parties())
    assert "Sorry." in answer
    assert "<StartStream" not in answer
