"""A caller whose bot has said goodbye is not left on a silent line when the carrier's webhook is lost."""

from __future__ import annotations

import asyncio
import base64
import json
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

import httpx
import pytest
from pipecat.frames.frames import EndWorkerFrame, Frame, StartFrame
from pipecat.processors.frame_processor import FrameDirection
from pydantic import SecretStr

from callpipe.pipelines import Bot, Call, Parties, Pipeline, answers
from callpipe.pipelines.errors import SettingsError
from callpipe.pipelines.fallback import chain
from callpipe.pipelines.ongoing import OngoingCall
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.records.journal import Journal
from callpipe.pipelines.second_way import SecondWay, voice_api
from callpipe.pipelines.settings import Settings
from callpipe.pipelines.switchboard import Switchboard
from callpipe.processors.disk import shared_writer
from callpipe.transports.bandwidth.emulator.voice_api import (
    TOKEN_PATH,
    VOICE_PATH,
    ControlledCall,
    EmulatedVoiceApi,
)
from callpipe.transports.bandwidth.voice_api import VoiceApi
from callpipe.transports.lane import UPSTREAM, MediaProcessor
from callpipe.transports.loopback import LoopbackSocket, socket_pair
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket_server import UpgradeRequest

HOST = "https://voice.example"
SETTINGS = Settings(
    public_url="https://bots.example", webhook_username="carrier", webhook_password=SecretStr("long enough")
)
CLIENT = {"bandwidth_client_id": "us", "bandwidth_client_secret": SecretStr("secret")}

Answer = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


class AfterASecond(MediaProcessor):
    """Does something a second after the call's start."""

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            loop = asyncio.get_running_loop()
            loop.call_later(1.0, lambda: loop.create_task(self.act()))

    async def act(self) -> None:
        raise NotImplementedError


class Ending(AfterASecond):
    """Ends the call as a bot does."""

    async def act(self) -> None:
        await self.push_frame(EndWorkerFrame(), UPSTREAM)


class Failing(AfterASecond):
    """Can't go on, as a model whose socket is lost."""

    async def act(self) -> None:
        await self.push_error("lost", force_treat_as_permanent=True)


class BriefRecords(CallRecords):
    """Ends a call's record without waiting for the disk, for which virtual time would not wait."""

    async def end(self, ongoing: OngoingCall, journal: Journal, reason: str) -> None:
        del ongoing, reason
        journal.close()


class Breaking(MediaProcessor):
    """Can't go on as soon as the pipeline has started."""

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            await self.push_error("on purpose", force_treat_as_permanent=True)


class Desk:
    """A switchboard in virtual time, the carrier that calls it, and the carrier's Voice API."""

    def __init__(self, folder: Path, *, has_client: bool, answer: Answer | None) -> None:
        self.clock = asyncio.get_running_loop().time
        self.api = EmulatedVoiceApi(account_id="99", client_id="us", client_secret="s", clock=self.clock)
        self.call = self.api.calls["c-1"] = ControlledCall()
        transport = httpx.MockTransport(answer) if answer else httpx.ASGITransport(self.api.app)
        self.http = httpx.AsyncClient(transport=transport)
        voice = VoiceApi(
            account_id="99",
            client_id="us",
            client_secret="s",
            voice_url=HOST + VOICE_PATH,
            token_url=HOST + TOKEN_PATH,
            http=self.http,
            clock=self.clock,
        )
        self.switchboard = Switchboard(
            [_bot("ending", Ending), _bot("failing", Failing)],
            SETTINGS,
            BriefRecords(folder, clock=self.clock),
            second_way=SecondWay(voice if has_client else None),
            clock=self.clock,
        )

    async def calls(self, bot: str = "ending") -> LoopbackSocket:
        """Place a call and open its media stream; its bot acts 1 s later."""
        document = await self.switchboard.initiated(bot, "c-1", Parties())
        verb = ET.fromstring(document).find("StartStream")
        assert verb is not None
        pair = f"{verb.attrib['destinationUsername']}:{verb.attrib['destinationPassword']}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        opened = self.switchboard.accept(
            UpgradeRequest(f"/bandwidth/{bot}/media", {"authorization": authorization})
        )
        assert callable(opened)
        ours, theirs = socket_pair()
        tracks = [{"name": "inbound", "mediaFormat": {"encoding": "audio/PCMU", "sampleRate": 8000}}]
        start = {
            "accountId": 9,
            "callId": "c-1",
            "streamId": "s",
            "streamName": "generation-1",
            "tracks": tracks,
        }
        theirs.send(json.dumps({"eventType": "start", "metadata": start}))
        opened(ours)
        return theirs


def _bot(name: str, processor: type[AfterASecond]) -> Bot:
    bot = Bot(name, apology="We are sorry & ashamed.")

    @bot.pipeline
    def build(call: Call) -> Pipeline:  # pyright: ignore[reportUnusedFunction]
        return Pipeline([call.transport.input(), processor(), call.transport.output()])

    return bot


def at_desk(
    folder: Path,
    test: Callable[[Desk], Awaitable[None]],
    *,
    has_client: bool = True,
    answer: Answer | None = None,
) -> None:
    """Test a switchboard; `answer` answers in place of the Voice API."""

    async def main() -> None:
        desk = Desk(folder, has_client=has_client, answer=answer)
        await test(desk)
        await desk.switchboard.close()
        await desk.http.aclose()

    run_virtual(main())


def test_a_hang_up_the_carrier_does_not_come_for_is_brought(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        await desk.calls()
        await asyncio.sleep(1.9)
        assert desk.switchboard.live_calls == 0
        assert desk.call.documents == []
        await asyncio.sleep(0.3)
        assert desk.call.documents == [answers.hang_up()]
        assert await desk.switchboard.continues("c-1", 1) == answers.hang_up()
        await asyncio.sleep(60)
        assert len(desk.call.documents) == 1

    at_desk(tmp_path, test)
    assert shared_writer().wait(5)
    journal = (tmp_path / "calls" / "c-1" / "journal.jsonl").read_text()
    events = [json.loads(line)["event"] for line in journal.splitlines()]
    assert events[-2:] == ["generation_ended", "not_continued"]


def test_an_apology_the_carrier_does_not_come_for_is_brought(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        await desk.calls("failing")
        await asyncio.sleep(2.2)
        assert desk.call.documents == [answers.fallback(chain("We are sorry & ashamed."))]
        assert await desk.switchboard.continues("c-1", 1) == desk.call.documents[0]

    at_desk(tmp_path, test)


@pytest.mark.parametrize("after_s", [1.1, 1.9])
def test_a_carrier_that_comes_is_brought_nothing(after_s: float, tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        await desk.calls()
        await asyncio.sleep(after_s)
        assert await desk.switchboard.continues("c-1", 1) == answers.hang_up()
        await asyncio.sleep(60)
        assert desk.call.documents == []
        assert desk.api.tokens_given == 0

    at_desk(tmp_path, test)


def test_a_call_that_is_over_is_brought_nothing(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        await desk.calls()
        await asyncio.sleep(1.9)
        await desk.switchboard.disconnected("c-1", "hangup")
        await asyncio.sleep(60)
        assert desk.api.tokens_given == 0

    at_desk(tmp_path, test)


def test_a_call_whose_bot_wanted_nothing_is_brought_nothing(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        media = await desk.calls()
        await asyncio.sleep(0.5)
        media.abort()
        await asyncio.sleep(60)
        assert desk.switchboard.live_calls == 0
        assert desk.api.tokens_given == 0
        assert "generation-2" in await desk.switchboard.continues("c-1", 1)

    at_desk(tmp_path, test)


def test_a_generation_that_was_continued_is_left_alone(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        media = await desk.calls()
        await asyncio.sleep(0.5)
        media.abort()
        await asyncio.sleep(0.5)
        await desk.switchboard.continues("c-1", 1)
        for number in (2, 3, 4):  # none of them starts, so the last answer is the apology
            await desk.switchboard.continues("c-1", number)
        await asyncio.sleep(60)
        assert desk.call.documents == []

    at_desk(tmp_path, test)


def test_without_a_client_nothing_is_brought(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        await desk.calls()
        await asyncio.sleep(60)
        assert desk.call.documents == []
        before = desk.clock()
        await desk.switchboard.close()
        assert desk.clock() == before
        assert await desk.switchboard.continues("c-1", 1) == answers.hang_up()

    at_desk(tmp_path, test, has_client=False)


def test_a_server_that_stops_brings_what_is_left_first(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        await desk.calls()
        await asyncio.sleep(0.5)
        await desk.switchboard.close()
        assert desk.clock() == pytest.approx(1.5, abs=0.1)
        assert desk.call.documents == [answers.hang_up()]
        assert await desk.switchboard.continues("c-1", 1) == answers.hang_up()

    at_desk(tmp_path, test)


def test_a_call_that_is_over_meanwhile_is_no_failure(tmp_path: Path, logged: list[str]) -> None:
    async def test(desk: Desk) -> None:
        desk.call.complete()
        await desk.calls()
        await asyncio.sleep(60)
        assert desk.call.documents == []

    at_desk(tmp_path, test)
    assert _levels(logged) == ["WARNING", "INFO"]


async def _refusing(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(401)


async def _silent(_request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(3600)
    return httpx.Response(204)


@pytest.mark.parametrize("answer", [_refusing, _silent])
def test_what_can_not_be_brought_is_told(answer: Answer, tmp_path: Path, logged: list[str]) -> None:
    async def test(desk: Desk) -> None:
        await desk.calls()
        await asyncio.sleep(7.1)
        assert _levels(logged) == ["WARNING", "ERROR"]

    at_desk(tmp_path, test, answer=answer)


def _levels(logged: list[str]) -> list[str]:
    """Return the levels of what was logged of bringing documents."""
    return [message.split()[0] for message in logged if "brought" in message]


def test_no_client_is_no_voice_api() -> None:
    for account_id in (None, "99"):
        assert voice_api(SETTINGS.model_copy(update={"bandwidth_account_id": account_id}), lambda: 0.0) is None


def test_a_client_makes_the_accounts_voice_api() -> None:
    settings = SETTINGS.model_copy(update={**CLIENT, "bandwidth_account_id": "99"})
    api = voice_api(settings, lambda: 0.0)
    assert repr(api) == "VoiceApi('https://voice.bandwidth.com/api/v2/accounts/99/calls')"
    assert api is not None
    asyncio.run(api.aclose())


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (CLIENT, ("BANDWIDTH_ACCOUNT_ID",)),
        ({"bandwidth_client_id": "us"}, ("BANDWIDTH_ACCOUNT_ID", "BANDWIDTH_CLIENT_SECRET")),
        (
            {"bandwidth_account_id": "9", "bandwidth_client_secret": SecretStr("s")},
            ("BANDWIDTH_CLIENT_ID",),
        ),
        ({**CLIENT, "bandwidth_account_id": "../9"}, ("BANDWIDTH_ACCOUNT_ID",)),
    ],
)
def test_a_client_that_is_set_by_half_is_named(given: dict[str, object], names: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as refused:
        voice_api(SETTINGS.model_copy(update=given), lambda: 0.0)
    assert refused.value.names == names
    assert all(name in str(refused.value) for name in names)
