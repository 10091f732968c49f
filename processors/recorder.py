"""Records what was said on the line: the caller on the left, what the caller heard of the bot on the right."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from loguru import logger
from pipecat.frames.frames import Frame, StartFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.utils.errors import ErrorCategory

from callpipe.transports.audio.g711 import decode_mulaw
from callpipe.transports.frames import LineAudioFrame, LineAudioRequestFrame
from callpipe.transports.lane import UPSTREAM, MediaProcessor, Rest

from .disk import DiskWriter, shared_writer
from .errors import ProcessorsError
from .wav import SAMPLE_RATE, StereoWavWriter

CLOSE_DEADLINE_S = 2.0
"""How long the end of a call waits for the recording to be on the disk."""

MAX_WAITING = 120
"""Pieces of a call, 0.5 s each, that may wait for a slow disk."""

FIRST_LINES = 2
"""So many are waited for before the first is written: what a busy process reads late tells the time badly."""

MAX_GAP_S = 3_600.0
"""The longest silence between two generations of a call; a longer one is a wrong clock."""


class LineRecording:
    """A call's WAV file, written by one generation of the call after the other. Blocks; for the disk's thread.

    Positions on the carrier's clock start anew with each media stream, so a later generation's audio is placed
    by the wall clock: the file tells when it begins.

    Args:
        path: The file.
        spoken_at: When the first sample of this generation was spoken, as Unix time in seconds.
        began_at: When the call's first generation began, which may have died before it wrote anything; None
            for this one.

    Raises:
        OSError: The file cannot be opened.
        NotOurWavError: The file exists and is something else.
    """

    def __init__(self, path: Path, spoken_at: float, began_at: float | None = None) -> None:
        self._wav = StereoWavWriter(path, spoken_at if began_at is None else began_at)
        silence = round((spoken_at - self._wav.begins_at) * SAMPLE_RATE) - self._wav.samples
        self._begins = self._wav.samples + min(max(0, silence), round(MAX_GAP_S * SAMPLE_RATE))
        self._origin: int | None = None

    def write(self, lines: Sequence[LineAudioFrame]) -> None:
        """Write both tracks at their place; stretches nobody wrote are silence.

        Raises:
            OSError: The disk is full or broken.
            WavFullError: The file would exceed 4 GiB.
        """
        if self._origin is None:
            self._origin = self._begins - lines[0].position
        position, caller, bot = lines[0].position, bytearray(), bytearray()
        for line in lines:
            if line.position != position + len(caller):
                self._wav.write(self._origin + position, _stereo(caller, bot))
                position, caller, bot = line.position, bytearray(), bytearray()
            caller += line.caller
            bot += line.bot
        self._wav.write(self._origin + position, _stereo(caller, bot))

    def close(self) -> None:
        """Close the file."""
        self._wav.close()


class Recorder(MediaProcessor):
    """Records the call into a stereo WAV file that can be read at every moment.

    Stands anywhere after the transport's input, which it asks for `LineAudioFrame`s; they are passed on. The
    file is kept open until the pipeline is cleaned up, because the caller hears the bot's last words after
    EndFrame. When the disk is full or broken, the recording stops, one ErrorFrame tells so, and the call goes
    on; when it is too slow, what could not be written is silence, and one ErrorFrame tells so.

    Args:
        path: The WAV file; a file of an earlier generation of the call is continued.
        began_at: When the call's first media stream began, as Unix time in seconds; None for this one.
        writer: The thread that writes; the process's own when None.
        wall_clock: Unix time in seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        began_at: float | None = None,
        writer: DiskWriter | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._path = path
        self._call_began_at = began_at
        self._writer = writer or shared_writer()
        self._wall_clock = wall_clock
        self._waiting: deque[LineAudioFrame] = deque()
        # Of the writer's thread: the file, and why no more is written to it.
        self._recording: LineRecording | None = None
        self._failure: OSError | ProcessorsError | None = None
        # Of the event loop.
        self._started = False
        self._began_at = math.inf  # when the line's position 0 was, as the least delayed packet tells
        self._asked = False
        self._found_out: set[str] = set()
        self._news: list[tuple[str, Exception | None]] = []  # process_audio is synchronous, telling is not

    def process_audio(self, frame: Frame) -> Frame | None:
        """Record the line's audio, and pass all audio on."""
        if isinstance(frame, LineAudioFrame):
            self._record(frame)
        return frame

    def pass_audio(self, frame: Frame) -> Rest:
        """Pass audio on, then tell what recording it has found out."""
        rest = super().pass_audio(frame)
        return self._tell(after=rest) if self._news else rest

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Process a frame, then tell what recording it has found out."""
        await super().process_frame(frame, direction)
        if self._news:
            await self._tell()

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Ask for the line's audio once the pipeline starts."""
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._started = True
            await self.push_frame(LineAudioRequestFrame(), UPSTREAM)

    async def cleanup(self) -> None:
        """Close the file and wait until all of it is written."""
        await super().cleanup()
        if self._started:
            self._started = False
            self._writer.submit_last(self._close)
            if not await self._writer.flush(CLOSE_DEADLINE_S):
                logger.error("{}: the disk is too slow to finish the recording in time", self)

    def _record(self, line: LineAudioFrame) -> None:
        if self._failure is not None:
            self._find_out("the recording has stopped", self._failure)
        elif len(self._waiting) >= MAX_WAITING:
            self._find_out("the recording has silent holes: the disk is too slow", None)
        else:
            spoken_at = self._wall_clock() - line.age_s
            self._began_at = min(self._began_at, spoken_at - line.position / SAMPLE_RATE)
            self._waiting.append(line)
            enough = self._recording is not None or len(self._waiting) >= FIRST_LINES
            if enough and not self._asked:
                self._asked = True  # before the thread can say that it is not any more
                if not self._writer.submit(self._write):
                    self._asked = False

    def _find_out(self, what: str, failure: Exception | None) -> None:
        """Note what is to be told; each thing is told once."""
        if what not in self._found_out:
            self._found_out.add(what)
            self._news.append((what, failure))

    async def _tell(self, *, after: Rest = None) -> None:
        if after is not None:
            await after
        news, self._news = self._news, []
        for what, failure in news:
            await self.push_error(what, exception=failure, category=ErrorCategory.APPLICATION)

    def _write(self) -> None:
        """Write all that waits: a slow disk gets it in few large pieces."""
        self._asked = False
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines or self._failure is not None:
            return
        try:
            if self._recording is None:
                spoken_at = self._began_at + lines[0].position / SAMPLE_RATE
                self._recording = LineRecording(self._path, spoken_at, self._call_began_at)
            self._recording.write(lines)
        except (OSError, ProcessorsError) as failure:
            self._failure = failure

    def _close(self) -> None:
        self._write()
        if self._recording is not None:
            self._recording.close()
            self._recording = None


def _stereo(caller: bytes | bytearray, bot: bytes | bytearray) -> bytes:
    """Return both tracks as interleaved PCM, caller left."""
    interleaved = bytearray(2 * len(caller))
    interleaved[::2], interleaved[1::2] = caller, bot
    return decode_mulaw(bytes(interleaved))
