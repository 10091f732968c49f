"""One call, as a bot author sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from callpipe.transports.bandwidth.transport import BandwidthTransport
from callpipe.transports.restored import Restored
from callpipe.transports.websocket import Connect, connect

from .parties import Parties
from .steering import CallRemote, SteeredCall

if TYPE_CHECKING:
    from .settings import Settings

Clock = Callable[[], float]


@dataclass(frozen=True)
class Call(SteeredCall):
    """One generation of a call: one media stream and the pipeline on it.

    Attributes:
        call_id: The carrier's id of the call.
        generation: The how manieth media stream of this call, from 1.
        bot: The bot's name.
        bot_version: The bot file's version.
        parties: Who calls whom.
        settings: The operator's settings.
        transport: The media stream, which may come after the pipeline has started: `transport.input()` and
            `transport.output()` begin and end a pipeline.
        folder: Where this call's recording, journal and transcript are kept.
        restored: The conversation so far, when this media stream follows one that was lost; None on a call's
            first. A `RealtimeLLM` goes on with it by itself; for a stock LLM service there is
            ``call.restored.messages()``.
        connect: Opens the model's socket.
        clock: Monotonic seconds.
        remote: Reaches into the pipeline while it runs; the methods of `SteeredCall` say what for.
    """

    call_id: str
    generation: int
    bot: str
    bot_version: str
    parties: Parties
    settings: Settings
    transport: BandwidthTransport
    folder: Path
    restored: Restored | None = field(default=None, repr=False)
    connect: Connect = connect
    clock: Clock = time.monotonic
    remote: CallRemote = field(default_factory=CallRemote, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Go on with a redaction that a lost line has left open."""
        if self.restored is not None and self.restored.redacted:
            self.remote.stay_redacted(self.clock)

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


def rehearsal_call(bot: str, settings: Settings) -> Call:
    """Return a call without a media stream, to build a bot's pipeline and check it."""
    return Call(
        call_id="rehearsal",
        generation=1,
        bot=bot,
        bot_version="unversioned",
        parties=Parties(),
        settings=settings,
        transport=BandwidthTransport(),
        folder=settings.data_dir / "rehearsal",
    )
