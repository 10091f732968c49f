"""The half of the transport that hears: reads the media socket and pushes what the caller says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    ClientConnectedFrame,
    Frame,
    StartFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from ..audio.formats import PCMU_8K, Tracks
from ..audio.line_tracks import LineAudio, LineTracks
from ..errors import SocketClosedError
from ..frames import (
    InputEncodedAudioFrame,
    LineAudioFrame,
    LineAudioRequestFrame,
    MediaStartedFrame,
    MediaStoppedFrame,
)
from ..lane import MediaProcessor
from ..redaction import RedactedLine, RedactionFrame
from ..websocket import WebSocket
from .line import MediaLine
from .messages import StartMessage
from .stream import MediaStream

ABNORMAL_CLOSURE = 1006
"""RFC 6455, section 7.4.1: the connection broke without a close frame."""

PACKETS_PER_LINE_AUDIO = 5
"""Inbound packets after which the recorder gets the next piece of both tracks: 100 ms."""


class BandwidthInput(MediaProcessor):
    """Pushes the caller's audio downstream as it comes, and says when the stream starts and ends.

    The socket is read once the pipeline has started and the stream is there; what came before waits in the
    socket, in order.

    Args:
        line: The line shared with the output.
        connected: Awaited once the stream runs in the pipeline.
        disconnected: Awaited once the carrier has ended the stream; not when the bot ends it.
        released: Awaited when the pipeline is taken down.
    """

    def __init__(
        self,
        line: MediaLine,
        *,
        connected: Callable[[], Awaitable[None]],
        disconnected: Callable[[], Awaitable[None]],
        released: Callable[[], Awaitable[None]],
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self._line = line
        self._connected = connected
        self._disconnected = disconnected
        self._released = released
        self._stream = MediaStream()
        self._redacted = RedactedLine(line.carrier_clock)
        self._media_over = False
        self._packets_since_line_audio = 0
        self._reading: asyncio.Task[None] | None = None

    def formats(self, tracks: Tracks) -> Tracks:
        """The caller's track begins here, as PCMU at 8 kHz."""
        return tracks.with_caller(PCMU_8K)

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Start with the pipeline, end with it, and note that somebody records."""
        if isinstance(frame, LineAudioRequestFrame):
            if self._line.tracks is None:
                self._line.tracks = LineTracks(self._line.playhead, self._line.carrier_clock)
        elif isinstance(frame, StartFrame):
            await self.push_frame(frame, direction)
            self._reading = self.create_task(self._hear_stream())  # pyright: ignore[reportUnknownMemberType]  see cleanup
        elif isinstance(frame, CancelFrame):
            self._line.closed_by_us = True
            if self._line.attached.is_set():
                await self._media_stopped(self._stream.stopped("ended", self._line.clock()))
            await self.push_frame(frame, direction)
        else:
            self._note_for_recording(frame)
            await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Stop reading."""
        await super().cleanup()
        if self._reading is not None:
            reading, self._reading = self._reading, None
            await self.cancel_task(reading)  # pyright: ignore[reportUnknownMemberType]  pipecat's tasks are untyped
        await self._released()

    async def _hear_stream(self) -> None:
        """Wait for the stream, then read it until it ends."""
        await self._line.attached.wait()
        socket, start = self._line.socket, self._line.start
        assert socket is not None
        assert start is not None
        await self._media_started(start)
        await self._read(socket)

    async def _media_started(self, start: StartMessage) -> None:
        self._stream = MediaStream(start)
        started = MediaStartedFrame(
            at=self._line.clock(),
            stream_id=start.stream_id,
            stream_name=start.stream_name,
            call_id=start.call_id,
        )
        await self.push_frame(started)
        await self.push_frame(ClientConnectedFrame())
        await self._connected()

    async def _read(self, socket: WebSocket) -> None:
        """Read the socket until it closes."""
        while True:
            try:
                message = await socket.receive()
            except SocketClosedError as closed:
                await self._socket_closed(closed)
                return
            try:
                await self._received(self._stream.receive(message, self._line.clock()))
            except Exception as failure:  # noqa: BLE001  whatever one message breaks, the next one is read
                await self._audio_failed(failure)

    async def _received(self, frame: Frame | None) -> None:
        if self._stream.faults:
            await self._report_faults()
        if type(frame) is InputEncodedAudioFrame:
            await self._heard(frame)
        elif isinstance(frame, MediaStoppedFrame):
            await self._media_stopped(frame)

    async def _heard(self, frame: InputEncodedAudioFrame) -> None:
        await self.push_audio(frame)
        if self._line.tracks is not None:
            await self._record(frame, self._line.tracks)

    async def _record(self, frame: InputEncodedAudioFrame, tracks: LineTracks) -> None:
        audio = frame.encoded.audio
        self._line.carrier_clock.received(frame.position + len(audio), frame.received_at)
        tracks.received(frame.position, audio)
        self._packets_since_line_audio += 1
        if self._packets_since_line_audio >= PACKETS_PER_LINE_AUDIO:
            self._packets_since_line_audio = 0
            await self._push_line_audio(tracks.take(frame.received_at))

    async def _push_line_audio(self, line_audio: LineAudio | None) -> None:
        if line_audio is not None:
            kept = self._redacted.silenced(line_audio, self._line.clock())
            await self.push_audio(LineAudioFrame(kept.position, kept.caller, kept.bot))

    def _note_for_recording(self, frame: Frame) -> None:
        """Note what decides which of the line may be recorded."""
        match frame:
            case RedactionFrame():
                self._redacted.take(frame)
            case UserStartedSpeakingFrame() | UserStoppedSpeakingFrame():
                self._redacted.caller_speaks = isinstance(frame, UserStartedSpeakingFrame)
            case BotStartedSpeakingFrame() | BotStoppedSpeakingFrame():
                self._redacted.bot_speaks = isinstance(frame, BotStartedSpeakingFrame)
            case _:
                pass

    async def _report_faults(self) -> None:
        faults = self._stream.faults[:]
        self._stream.faults.clear()
        for fault in faults:
            await self.push_frame(fault)

    async def _socket_closed(self, closed: SocketClosedError) -> None:
        cause = "lost" if closed.code == ABNORMAL_CLOSURE else "closed"
        if self._line.closed_by_us:
            cause = "ended"
        await self._media_stopped(self._stream.stopped(cause, self._line.clock()))

    async def _media_stopped(self, stopped: MediaStoppedFrame) -> None:
        """Say once that the stream is over, behind the last piece of the recording."""
        if self._media_over:
            return
        self._media_over = True
        self._line.ended(stopped.at)
        if self._line.tracks is not None:
            await self._push_line_audio(self._line.tracks.finish(stopped.at))
        await self.push_frame(stopped)
        if not self._line.closed_by_us:
            await self._disconnected()
