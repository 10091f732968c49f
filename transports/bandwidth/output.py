"""The half of the transport that speaks: sends the bot's audio, and follows what the caller hears of it."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Coroutine
from typing import Any, cast

from loguru import logger
from pipecat.audio.dtmf.utils import load_dtmf_audio
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputDTMFFrame,
    OutputDTMFUrgentFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    OutputTransportReadyFrame,
    StartFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from ..alarm import Alarm, earlier
from ..audio.formats import Tracks
from ..call_events import MediaStoppedFrame
from ..errors import FormatMismatchError
from ..frames import (
    ClearPlayoutFrame,
    PlayheadFrame,
    PlayoutClearedFrame,
    PlayoutFinishedFrame,
    PlayoutStartedFrame,
)
from ..lane import DOWNSTREAM, UPSTREAM, MediaProcessor, Rest
from .line import MediaLine
from .messages import CLEAR, PLAYOUT_FORMATS
from .playout import MAX_PIECE_MS, MAX_WAITING_MS, Piece, WaitingAudio, piece_of, split
from .serializer import bot_audio

HEARD_TOLERANCE_MS = 0.05
"""Less than this is no unheard audio; timers and floats round."""

PAUSE_S = 0.1
"""A shorter gap in the bot's audio, as a source that sends in real time leaves, is no end of its speech."""

END_GRACE_S = 2.0
"""How much longer than its audio an EndFrame may be held."""

MEDIA_STOPPED_DEADLINE_S = 1.0
"""How long the end of the stream may take to come by once the socket is closed."""


class BandwidthOutput(MediaProcessor):
    """Sends audio to the caller as it comes, up to a lead, and the rest in time; nothing before the stream.

    It takes `OutputEncodedAudioFrame`s in PCMU, whose samples go out untouched, and pipecat's
    `OutputAudioRawFrame`s in mono PCM at 8, 16 or 24 kHz. A frame goes on downstream once it is sent.

    Args:
        line: The line shared with the input.
        max_lead_ms: Audio that may be sent and unheard; the rest waits here.
    """

    def __init__(self, line: MediaLine, *, max_lead_ms: float, name: str | None = None) -> None:
        super().__init__(name=name)
        self._line = line
        self._playhead = line.playhead
        self._waiting = WaitingAudio(line.playhead, max_lead_ms, held=not line.attached.is_set())
        # What is so, and what of it was told: process_audio finds out and is synchronous, telling is not.
        self._news = False
        self._playing: str | None = None
        self._began: deque[PlayoutStartedFrame] = deque()
        self._speaking = False
        self._speaking_told = False
        self._cleared: PlayoutClearedFrame | None = None
        self._overflowing = False
        self._overflow_told = False
        self._backlog_told = False
        self._ending: EndFrame | None = None
        self._end_by = 0.0
        self._due = asyncio.Event()
        self._alarm = Alarm(self._due.set, line.clock)
        self._media_stopped = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tones_to_play = 0
        self._playing_tones = asyncio.Lock()

    @property
    def waiting_ms(self) -> float:
        """The audio that waits to be sent, in ms."""
        return self._waiting.waiting_ms

    def stream_began(self) -> None:
        """The media stream is there: send what waits for it."""
        self._waiting.held = False
        if self._ending is not None:
            self._end_by = self._end_deadline()
        self._due.set()

    def line_closed(self) -> None:
        """The caller hears nothing more: an EndFrame need not wait."""
        self._due.set()

    def formats(self, tracks: Tracks) -> Tracks:
        """Bandwidth takes PCMU at 8 kHz, or mono PCM at 8, 16 or 24 kHz."""
        if tracks.bot is not None and tracks.bot not in PLAYOUT_FORMATS:
            accepted = ", ".join(str(accepted) for accepted in PLAYOUT_FORMATS)
            raise FormatMismatchError("bot", str(tracks.bot), accepted)
        return tracks

    def process_audio(self, frame: Frame) -> Frame | None:
        """Send the bot's audio, or let it wait; the caller's passes.

        Raises:
            PlayoutFormatError: Bandwidth does not take the audio's format.
        """
        encoded = bot_audio(frame)
        if encoded is None:
            if isinstance(frame, ClearPlayoutFrame):
                self._clear()
            return frame
        if self._line.over:
            return None
        now = self._line.clock()
        piece = piece_of(frame, encoded)
        if piece.duration_ms <= MAX_PIECE_MS and self._waiting.may_send(now):
            return frame if self._play(piece, now) else None
        self._wait(split(piece))
        return None

    def pass_audio(self, frame: Frame) -> Rest:
        """Pass audio on, then tell what sending it has changed."""
        rest = super().pass_audio(frame)
        return self._tell(after=rest) if self._news else rest

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Process a frame, then tell what it has changed."""
        await super().process_frame(frame, direction)
        if self._news:
            await self._tell()

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Start, end, cut off and stop as the frames say; pass on what does not concern the line."""
        if isinstance(frame, InterruptionFrame):
            await self._interrupt()
        elif isinstance(frame, StartFrame):
            await self.push_frame(frame, direction)
            self._spawn(self._follow())
            await self.push_frame(PlayheadFrame(self._playhead), UPSTREAM)
            await self.push_frame(OutputTransportReadyFrame(), UPSTREAM)
            return
        elif isinstance(frame, EndFrame):
            self._end_when_heard(frame)
            return
        elif isinstance(frame, CancelFrame):
            self._ending = None
            self._spawn(self._line.close())
        elif isinstance(frame, MediaStoppedFrame):
            self._waiting.drop()
            self._speaking = False
            await self._tell()
            self._media_stopped.set()
            self._due.set()
        elif isinstance(frame, (OutputDTMFFrame, OutputDTMFUrgentFrame)):
            self._tones_to_play += 1
            self._spawn(self._play_tones(frame))
            return
        elif isinstance(frame, (OutputTransportMessageFrame, OutputTransportMessageUrgentFrame)):
            logger.debug("{}: Bandwidth's media socket carries no messages; one is dropped", self)
            return
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Close the socket and stop following the playout."""
        await super().cleanup()
        self._alarm.set(None)
        await self._line.close()
        for task in tuple(self._tasks):
            await self.cancel_task(task)  # pyright: ignore[reportUnknownMemberType]  pipecat's tasks are untyped

    def _play(self, piece: Piece, now: float) -> bool:
        """Send a piece; False when it can't reach the caller any more."""
        line = self._line
        if not line.send(piece.message):
            self._news = True
            return False
        heard_at = self._playhead.sent(piece.duration_ms, now, piece.context_id)
        if piece.context_id is not None and piece.context_id != self._playing:
            self._playing = piece.context_id
            self._began.append(PlayoutStartedFrame(piece.context_id, now, heard_at))
            self._news = True
        if line.tracks is not None:
            line.tracks.sent(piece.encoded, now)
        if not self._speaking:
            self._speaking = True
            self._news = True
        self._arm()
        return True

    def _wait(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if not self._waiting.add(piece):
                self._overflowing = True
                self._news = True
        self._due.set()

    def _clear(self) -> None:
        """Cut off what the caller has not heard."""
        now = self._line.clock()
        unheard = self._playhead.unheard_ms(now) > HEARD_TOLERANCE_MS
        dropped = self._waiting.drop()
        if (unheard or dropped) and (self._waiting.held or self._line.send(CLEAR)):
            heard_ms = self._playhead.cleared(now)
            for context_id in dropped:
                heard_ms.setdefault(context_id, self._playhead.heard_ms(context_id, now))
            if self._cleared is not None:
                heard_ms.update(self._cleared.heard_ms)
            self._cleared = PlayoutClearedFrame(now, heard_ms)

    async def _interrupt(self) -> None:
        """Cut off what the caller has not heard, and tell what of it they have."""
        self._clear()
        if self._cleared is not None:
            cleared, self._cleared = self._cleared, None
            await self.push_frame(cleared, UPSTREAM)
        self._speaking = False
        self._due.set()
        await self._tell()

    def _end_when_heard(self, frame: EndFrame) -> None:
        self._ending = frame
        self._end_by = self._end_deadline()
        self._due.set()

    def _end_deadline(self) -> float:
        """Return until when an EndFrame may be held, in s; whoever waits for a stream has a deadline for it."""
        if self._waiting.held:
            return math.inf
        now = self._line.clock()
        unheard_ms = self._playhead.unheard_ms(now) + self._waiting.waiting_ms
        return now + unheard_ms / 1000 + END_GRACE_S

    async def _follow(self) -> None:
        """Send what waits, and tell when the caller has heard everything; at last, let the EndFrame go."""
        while self._ending is None or not self._is_heard():
            await self._due.wait()
            self._due.clear()
            while (piece := self._waiting.next(self._line.clock())) is not None:
                if self._play(piece, self._line.clock()):
                    await self.push_frame(piece.frame)
            await self._tell()
            await self._note_silence()
            self._arm()
        await self._end(self._ending)

    async def _note_silence(self) -> None:
        ends_at = self._playhead.ends_at
        if self._speaking and not self._waiting and self._line.clock() >= self._silent_at():
            self._speaking = False
            self._overflowing = self._overflow_told = False
            await self._tell()
            await self.push_frame(PlayoutFinishedFrame(ends_at), UPSTREAM)

    def _silent_at(self) -> float:
        """Return when the bot will have stopped speaking, in s; at the call's end nothing follows a pause."""
        pause_s = PAUSE_S if self._ending is None else 0.0
        return self._playhead.ends_at + pause_s - HEARD_TOLERANCE_MS / 1000

    def _is_heard(self) -> bool:
        silent = not self._speaking and not self._waiting and not self._tones_to_play
        return silent or self._line.over or self._line.clock() >= self._end_by

    async def _end(self, frame: EndFrame) -> None:
        """Close the stream, let its end come by, then let the EndFrame follow."""
        await self._line.close()
        if self._line.attached.is_set():
            try:
                await asyncio.wait_for(self._media_stopped.wait(), MEDIA_STOPPED_DEADLINE_S)
            except TimeoutError:
                logger.warning("{}: the end of the media stream has not come by", self)
        await self.push_frame(frame)

    async def _tell(self, *, after: Rest = None) -> None:
        """Tell the neighbours what has changed."""
        if after is not None:
            await after
        self._news = False
        while self._began:
            await self.push_frame(self._began.popleft(), UPSTREAM)
        if self._speaking is not self._speaking_told:
            self._speaking_told = self._speaking
            await self.broadcast_frame(  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
                BotStartedSpeakingFrame if self._speaking else BotStoppedSpeakingFrame
            )
        if self._overflowing and not self._overflow_told:
            self._overflow_told = True
            await self.push_error(
                f"audio is dropped: {MAX_WAITING_MS / 1000:g} s of it wait to be sent already"
            )
        if self._line.backlog is not None and not self._backlog_told:
            self._backlog_told = True
            await self.push_error("the carrier does not read", exception=self._line.backlog)

    def _arm(self) -> None:
        """Set the alarm to what is due next."""
        due = None if self._ending is None else self._end_by
        if self._waiting:
            due = earlier(due, self._waiting.due_at())
        elif self._speaking:
            due = earlier(due, self._silent_at())
        self._alarm.set(None if self._waiting.held else due)

    async def _play_tones(self, frame: OutputDTMFFrame | OutputDTMFUrgentFrame) -> None:
        """Play keypad tones: Bandwidth's media socket has no message for DTMF."""
        async with self._playing_tones:
            for button in frame.buttons or ():
                tone = await load_dtmf_audio(button, sample_rate=8_000)
                await self.queue_frame(OutputAudioRawFrame(tone, 8_000, 1), DOWNSTREAM)
        self._tones_to_play -= 1
        self._due.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = cast("asyncio.Task[None]", self.create_task(work))  # pyright: ignore[reportUnknownMemberType]  as above
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
