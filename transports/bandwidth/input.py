"""The half of the transport that hears: reads the media socket and pushes what the caller says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

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
from ..call_events import MediaStartedFrame, MediaStoppedFrame
from ..errors import SocketClosedError
from ..frames import InputEncodedAudioFrame, LineAudioFrame, LineAudioRequestFrame
from ..lane import MediaProcessor, Rest
from ..reading import Reader
from ..redaction import RedactedLine, RedactionFrame
from .line import MediaLine
from .messages import StartMessage
from .stream import MediaStream

ABNORMAL_CLOSURE = 1006
"""RFC 6455, section 7.4.1: the connection broke without a close frame."""

PACKETS_PER_LINE_AUDIO = 25
"""Inbound packets after which the recorder gets the next piece of both tracks: 0.5 s."""


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
        self._packets = 0
        self._reader = Reader(self._pass_on)
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
            await self.cancel_task(self._reading)  # pyright: ignore[reportUnknownMemberType]  pipecat's tasks are untyped
            self._reading = None
        await self._released()

    async def _hear_stream(self) -> None:
        """Wait for the stream, then read it until it ends."""
        await self._line.attached.wait()
        socket, start = self._line.socket, self._line.start
        assert socket is not None
        assert start is not None
        await self._media_started(start)
        await self._socket_closed(await self._reader.read(socket))

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

    def _pass_on(self, message: str | bytes) -> Rest:
        """Pass on what a message makes, then report what was wrong with it."""
        stream = self._stream
        rest: Rest = None
        try:
            frame = stream.receive(message, self._line.clock())
            if type(frame) is InputEncodedAudioFrame:
                rest = self._lane_give(frame)
                tracks = self._line.tracks
                if tracks is not None:
                    tracks.received(frame.position, frame.encoded.audio, frame.received_at)
                    self._packets += 1
                    if not self._packets % PACKETS_PER_LINE_AUDIO:
                        rest = self._give_line_audio(tracks, frame.received_at, after=rest)
            elif isinstance(frame, MediaStoppedFrame):
                rest = self._media_stopped(frame)
            if stream.faults:
                rest = self._report_faults(after=rest)
        except Exception as failure:  # noqa: BLE001  whatever one message breaks, the next one is read
            rest = self._audio_failed(failure)
        return None if rest is None else self._finish(rest)

    async def _finish(self, rest: Coroutine[Any, Any, None]) -> None:
        try:
            await rest
        except Exception as failure:  # noqa: BLE001  whatever one message breaks, the next one is read
            await self._audio_failed(failure)

    def _give_line_audio(self, tracks: LineTracks, now: float, *, after: Rest) -> Rest:
        """Give the recorder the next piece of both tracks."""
        line_audio = self._kept(tracks.take(now))
        if line_audio is None:
            return after
        return self._lane_give(line_audio) if after is None else self._push_after(after, line_audio)

    async def _push_after(self, rest: Coroutine[Any, Any, None], line_audio: LineAudioFrame) -> None:
        try:
            await rest
        finally:
            await self.push_audio(line_audio)

    def _kept(self, line_audio: LineAudio | None) -> LineAudioFrame | None:
        """Return what may be recorded of both tracks' next piece."""
        if line_audio is None:
            return None
        now = self._line.clock()
        kept = self._redacted.silenced(line_audio, now)
        age_s = (self._line.carrier_clock.position(now) - kept.position) / PCMU_8K.sample_rate
        return LineAudioFrame(kept.position, kept.caller, kept.bot, age_s)

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

    async def _report_faults(self, *, after: Rest) -> None:
        if after is not None:
            await after
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
            line_audio = self._kept(self._line.tracks.finish(stopped.at))
            if line_audio is not None:
                await self.push_audio(line_audio)
        await self.push_frame(stopped)
        if not self._line.closed_by_us:
            await self._disconnected()
