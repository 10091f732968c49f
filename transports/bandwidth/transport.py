"""Bandwidth's media stream as a pipecat transport."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from loguru import logger
from pipecat.transports.base_transport import BaseTransport

from ..audio.formats import PCMU_8K
from ..audio.playhead import Playhead
from ..errors import SocketClosedError
from ..websocket import WebSocket
from .errors import MalformedMessageError, MediaFormatError, NoStartError
from .input import BandwidthInput
from .line import MediaLine
from .messages import StartMessage, StopMessage, parse
from .output import BandwidthOutput
from .stream import INBOUND

MAX_LEAD_MS = 3_000

HANDLERS_DEADLINE_S = 1.0
"""How long running event handlers may hold up the pipeline's end."""


async def receive_start(socket: WebSocket, *, deadline_s: float) -> StartMessage:
    """Return the start message of a media stream; what comes before it is skipped.

    Args:
        socket: The media socket, just opened.
        deadline_s: How long the start may take.

    Raises:
        NoStartError: It did not come in time, or the stream ended before it.
    """
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                try:
                    message = parse(await socket.receive())
                except MalformedMessageError as malformed:
                    logger.debug("before the start of a media stream: {}", malformed)
                    continue
                if isinstance(message, StartMessage):
                    return message
                if isinstance(message, StopMessage):
                    raise NoStartError("it stopped")
    except TimeoutError as late:
        raise NoStartError(f"nothing said so within {deadline_s:g} s") from late
    except SocketClosedError as closed:
        raise NoStartError(f"the socket closed with code {closed.code}") from closed


class BandwidthTransport(BaseTransport):
    """One media stream of one call; for callpipe's pipelines, and for stock pipecat ones.

    A pipeline may run before its stream is there. The bot's audio waits until `attach`, and then goes out at
    once; only then has the caller begun to hear, and to be heard.

    The input pushes the caller's audio as `InputEncodedAudioFrame`s, `MediaStartedFrame` and
    `MediaStoppedFrame`, and `CarrierFaultFrame` once for each kind of fault. The output takes
    `OutputEncodedAudioFrame`s and pipecat's `OutputAudioRawFrame`s.

    Event handlers, as pipecat's transports have them, are called with the transport and the socket:

    - ``on_client_connected``: the stream runs in the pipeline.
    - ``on_client_disconnected``: the carrier has ended the stream; not called when the bot ends it.

    Args:
        socket: The media socket, after its start message; None when the stream comes later.
        start: The start message, given with the socket; `receive_start` reads it.
        clock: Monotonic seconds.
        playhead: What the caller has heard; one without a prebuffer by default.
        max_lead_ms: Audio that may be sent and not yet be heard. Bandwidth's own buffer holds it.

    Raises:
        MediaFormatError: The inbound track is not PCMU at 8 kHz.
        ValueError: A socket comes without its start message, or the other way round.
    """

    def __init__(
        self,
        socket: WebSocket | None = None,
        start: StartMessage | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        playhead: Playhead | None = None,
        max_lead_ms: float = MAX_LEAD_MS,
    ) -> None:
        super().__init__()
        if (socket is None) is not (start is None):
            raise ValueError("give both the socket and its start message, or neither")
        self._register_event_handler("on_client_connected")
        self._register_event_handler("on_client_disconnected")
        self._line = MediaLine(clock, playhead or Playhead())
        if socket is not None and start is not None:
            _check_inbound_format(start)
            self._line.attach(socket, start)
        self._input = BandwidthInput(
            self._line,
            connected=self._client_connected,
            disconnected=self._client_disconnected,
            released=self._release,
        )
        self._output = BandwidthOutput(self._line, max_lead_ms=max_lead_ms)

    @property
    def playhead(self) -> Playhead:
        """What the caller has heard."""
        return self._line.playhead

    @property
    def attached(self) -> bool:
        """Whether the media stream is there, or was."""
        return self._line.attached.is_set()

    def attach(self, socket: WebSocket, start: StartMessage) -> None:
        """Give the transport its media stream. One that was closed meanwhile sends nothing on it; `close` it.

        Args:
            socket: The media socket, after its start message.
            start: The start message; `receive_start` reads it.

        Raises:
            MediaFormatError: The inbound track is not PCMU at 8 kHz.
            RuntimeError: It has its stream already.
        """
        if self.attached:
            raise RuntimeError("the transport has its media stream")
        _check_inbound_format(start)
        self._line.attach(socket, start)
        self._output.stream_began()

    def input(self) -> BandwidthInput:
        """Return the processor that begins a pipeline."""
        return self._input

    def output(self) -> BandwidthOutput:
        """Return the processor that sends to the caller."""
        return self._output

    def unheard_ms(self, now: float) -> float:
        """Return what the caller still has to hear at `now`, audio that waits to be sent included, in ms."""
        return self._line.playhead.unheard_ms(now) + self._output.waiting_ms

    async def close(self) -> None:
        """End the media stream at once, from outside the pipeline; an EndFrame lets the bot finish first."""
        await self._line.close()
        self._output.line_closed()

    async def _client_connected(self) -> None:
        await self._call("on_client_connected")

    async def _client_disconnected(self) -> None:
        await self._call("on_client_disconnected")

    async def _release(self) -> None:
        """Let event handlers finish, within a deadline."""
        try:
            async with asyncio.timeout(HANDLERS_DEADLINE_S):
                await self.cleanup()
        except TimeoutError:
            logger.warning("{}: an event handler is left running", self)

    async def _call(self, event: str) -> None:
        await self._call_event_handler(  # pyright: ignore[reportUnknownMemberType]  pipecat's args are untyped
            event, self._line.socket
        )


def _check_inbound_format(start: StartMessage) -> None:
    for track in start.tracks:
        told = track.media_format
        if track.name == INBOUND and told is not None:
            is_pcmu = told.encoding.lower() in ("audio/pcmu", "pcmu")
            if not is_pcmu or told.sample_rate != PCMU_8K.sample_rate:
                raise MediaFormatError(told.encoding, told.sample_rate)
