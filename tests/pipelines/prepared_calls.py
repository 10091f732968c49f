"""A switchboard in virtual time: an emulated model behind it, and a carrier whose streams come when told."""

from __future__ import annotations

import asyncio
import base64
import json
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from callpipe.pipelines import Bot, Call, Parties, Pipeline, passthrough_call
from callpipe.pipelines.call_life import Deadlines
from callpipe.pipelines.ongoing import OngoingCall
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.records.journal import Journal, read_journal
from callpipe.pipelines.records.restore import restore
from callpipe.pipelines.settings import Settings
from callpipe.pipelines.switchboard import Switchboard
from callpipe.processors.disk import shared_writer
from callpipe.transports.errors import SocketClosedError
from callpipe.transports.loopback import LoopbackSocket, socket_pair
from callpipe.transports.realtime.emulator import EmulatedEndpoint, EmulatorSettings
from callpipe.transports.restored import Restored
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket_server import UpgradeRequest

from .virtual_call import Reciter

Result = TypeVar("Result")

CONNECT_S, FIRST_AUDIO_S = 0.4, 0.5
ANSWERED_S = CONNECT_S + FIRST_AUDIO_S
"""How long after the webhook the model has its first words ready."""

GREETING = "Hello, what can I do for you?"

SETTINGS = Settings(
    public_url="https://bots.example",
    webhook_username="carrier",
    webhook_password=SecretStr("long enough"),
    openai_api_key=SecretStr("key"),
)


async def without_time(work: Callable[[], Result]) -> Result:
    """Return what something that blocks returns, while virtual time stands still."""
    done = asyncio.get_running_loop().run_in_executor(None, work)
    while not done.done():
        await asyncio.sleep(0)
    return await done


class BriefRecords(CallRecords):
    """Ends a call's record without waiting for the disk, for which virtual time would not wait."""

    async def restored(self, call_id: str) -> Restored:
        return await without_time(lambda: self._read(call_id))

    def _read(self, call_id: str) -> Restored:
        assert shared_writer().wait(5)
        return restore(read_journal(self.folder(call_id) / "journal.jsonl"))

    async def end(self, ongoing: OngoingCall, journal: Journal, reason: str) -> None:
        journal.write("call_ended", reason=reason, call_id=ongoing.call_id)
        journal.close()


@dataclass
class Media:
    """The carrier's end of a media stream."""

    socket: LoopbackSocket
    sent: list[tuple[float, dict[str, Any]]] = field(default_factory=list[tuple[float, dict[str, Any]]])
    closed: SocketClosedError | None = None

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                message = json.loads(await self.socket.receive())
                self.sent.append((loop.time(), message))
        except SocketClosedError as closed:
            self.closed = closed

    @property
    def first_audio_at(self) -> float:
        """When the caller was first sent something to hear."""
        return next(at for at, message in self.sent if message["eventType"] == "playAudio")


def greeting_bot(**bot: Any) -> Bot:
    """A bot whose model greets."""
    greeter = Bot("greeter", apology="Sorry.", **bot)

    @greeter.pipeline
    def build(call: Call) -> Pipeline:  # pyright: ignore[reportUnusedFunction]
        return passthrough_call(call, instructions="Be brief.", greeting=GREETING)

    return greeter


class Desk:
    """A switchboard, the model behind it, and the carrier before it."""

    def __init__(self, folder: Path, bot: Bot, model: EmulatedEndpoint, **switchboard: Any) -> None:
        self.clock = asyncio.get_running_loop().time
        self.model = model
        self.bot = bot
        self.switchboard = Switchboard(
            [bot],
            SETTINGS,
            BriefRecords(folder, clock=self.clock),
            connect=model.connect,
            deadlines=Deadlines(),
            clock=self.clock,
            **switchboard,
        )
        self.listening: list[asyncio.Task[None]] = []

    async def initiate(self, call_id: str = "c-1") -> dict[str, str]:
        """Return the attributes of the StartStream that answers a new call."""
        return start_stream(await self.switchboard.initiated(self.bot.name, call_id, Parties()))

    async def proceed(self, call_id: str = "c-1", generation: int = 1) -> str:
        """Return what `/continue` is answered."""
        return await self.switchboard.continues(call_id, generation)

    def open_socket(self, stream: dict[str, str]) -> Media | HTTPStatus:
        """Open a media socket, without a word on it."""
        pair = f"{stream['destinationUsername']}:{stream['destinationPassword']}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        path = f"/bandwidth/{self.bot.name}/media"
        opened = self.switchboard.accept(UpgradeRequest(path, {"authorization": authorization}))
        if isinstance(opened, HTTPStatus):
            return opened
        ours, theirs = socket_pair()
        media = Media(theirs)
        self.listening.append(asyncio.create_task(media.listen()))
        opened(ours)
        return media

    def start(self, stream: dict[str, str], encoding: str = "audio/PCMU") -> Media:
        """Open a media stream."""
        media = self.open_socket(stream)
        assert isinstance(media, Media)
        media.socket.send(start_message(stream, encoding))
        return media

    async def end(self, call_id: str = "c-1") -> None:
        """Tell that a call is over."""
        await self.switchboard.disconnected(call_id, "hangup")


def start_stream(bxml: str) -> dict[str, str]:
    """Return the attributes of a document's StartStream."""
    verb = ET.fromstring(bxml).find("StartStream")
    assert verb is not None, bxml
    return dict(verb.attrib)


def start_message(stream: dict[str, str], encoding: str = "audio/PCMU") -> str:
    """Return the start message of the stream a StartStream asked for."""
    call_id = stream["destinationUsername"].rpartition(".")[0]
    tracks = [{"name": "inbound", "mediaFormat": {"encoding": encoding, "sampleRate": 8000}}]
    metadata = {"accountId": 9, "callId": call_id, "streamId": "s", "streamName": stream["name"]}
    return json.dumps({"eventType": "start", "metadata": metadata | {"tracks": tracks}})


def at_desk(
    folder: Path,
    test: Callable[[Desk], Awaitable[None]],
    *,
    bot: Bot | None = None,
    brain: Callable[[], Reciter] = lambda: Reciter([GREETING]),
    **settings: Any,
) -> None:
    """Test a switchboard in virtual time, and that nothing of it is left.

    Args:
        folder: Where calls are written down.
        test: What happens.
        bot: Who answers; one whose model greets when None.
        brain: The model's.
        **settings: Of the switchboard, and `faults` and `max_sessions` of the model.
    """

    async def main() -> None:
        of_model = {name: settings.pop(name) for name in ("faults", "max_sessions") if name in settings}
        paces = EmulatorSettings(connect_delay_ms=CONNECT_S * 1000, first_audio_delay_ms=FIRST_AUDIO_S * 1000)
        model = EmulatedEndpoint(brain, settings=paces, **of_model)
        desk = Desk(folder, bot or greeting_bot(), model, **settings)
        await test(desk)
        await desk.switchboard.close()
        assert (desk.switchboard.live_calls, desk.switchboard.prepared_calls) == (0, 0)
        await asyncio.sleep(1)
        for listening in desk.listening:
            listening.cancel()
        await asyncio.sleep(0)
        assert model.live_sessions == 0
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == []

    run_virtual(main())


def journal(folder: Path, call_id: str = "c-1") -> list[dict[str, Any]]:
    """Return a call's events."""
    lines = (folder / "calls" / call_id / "journal.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
