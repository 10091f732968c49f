"""One call, as a bot author sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.bandwidth.transport import BandwidthTransport
from callpipe.transports.websocket import Connect, WebSocket, connect

if TYPE_CHECKING:
    from .settings import Settings

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Parties:
    """Who calls whom, as the carrier's webhook said; E.164 numbers or SIP URIs.

    Attributes:
        caller: The calling party.
        called: The called party.
        direction: ``inbound`` or ``outbound``.
    """

    caller: str = field(default="", repr=False)
    called: str = field(default="", repr=False)
    direction: str = "inbound"


@dataclass(frozen=True)
class Call:
    """One generation of a call: one media stream and the pipeline on it.

    Attributes:
        call_id: The carrier's id of the call.
        generation: The how manieth media stream of this call, from 1.
        bot: The bot's name.
        bot_version: The bot file's version.
        parties: Who calls whom.
        settings: The operator's settings.
        transport: The media stream: `transport.input()` and `transport.output()` begin and end a pipeline.
        folder: Where this call's recording, journal and transcript are kept.
        connect: Opens the model's socket.
        clock: Monotonic seconds.
    """

    call_id: str
    generation: int
    bot: str
    bot_version: str
    parties: Parties
    settings: Settings
    transport: BandwidthTransport
    folder: Path
    connect: Connect = connect
    clock: Clock = time.monotonic

    @property
    def recording_path(self) -> Path:
        """Where the call's stereo recording is written."""
        return self.folder / "recording.wav"

    @property
    def journal_path(self) -> Path:
        """Where the call's journal is written."""
        return self.folder / "journal.jsonl"

    @property
    def transcript_path(self) -> Path:
        """Where the call's transcript is written when it has ended."""
        return self.folder / "transcript.txt"


class _NoSocket:
    """Stands where a media stream will be while a pipeline is only checked."""

    def send(self, message: bytes | str) -> None:
        raise RuntimeError("a pipeline that is only checked sends nothing")

    async def receive(self) -> str | bytes:
        raise RuntimeError("a pipeline that is only checked receives nothing")

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        del code, reason, deadline_s


def rehearsal_call(bot: str, settings: Settings) -> Call:
    """Return a call without a media stream, to build a bot's pipeline and check it."""
    socket: WebSocket = _NoSocket()
    start = StartMessage(account_id="", call_id="rehearsal", stream_id="", stream_name="rehearsal")
    return Call(
        call_id="rehearsal",
        generation=1,
        bot=bot,
        bot_version="unversioned",
        parties=Parties(),
        settings=settings,
        transport=BandwidthTransport(socket, start),
        folder=settings.data_dir / "rehearsal",
    )
