"""Changes the sample rate of PCM on its way, with the little delay the live path allows."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from callpipe.transports.audio.formats import AudioFormat, Encoding, Tracks
from callpipe.transports.audio.resampler import SAMPLE_RATES, StreamResampler
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.lane import MediaProcessor

ACCEPTED = "PCM 8, 16 or 24 kHz"

PcmFrame = TypeVar("PcmFrame", InputAudioRawFrame, OutputAudioRawFrame)


class Resampler(MediaProcessor):
    """Brings the PCM of both tracks, 16 bit mono at 8, 16 or 24 kHz, to one sample rate.

    A frame keeps its type and its context id. Audio that already has the rate, and encoded audio, passes
    untouched. The few samples the filter still holds at the end of an utterance go out before the frame that
    ends it.

    Args:
        sample_rate: The rate both tracks leave with, in Hz.

    Raises:
        UnsupportedSampleRateError: The rate is none of 8000, 16000, 24000.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self._rate = sample_rate
        self._format = AudioFormat(Encoding.PCM, sample_rate)
        self._caller = _Track(sample_rate)
        self._bot = _Track(sample_rate)
        self._last_of_bot: OutputAudioRawFrame | None = None

    def formats(self, tracks: Tracks) -> Tracks:
        """Return the tracks at the new rate.

        Raises:
            FormatMismatchError: A track is encoded, or has a rate or channels this processor does not take.
        """
        return Tracks(
            caller=self._resampled_format("caller", tracks.caller),
            bot=self._resampled_format("bot", tracks.bot),
        )

    def process_audio(self, frame: Frame) -> Frame | None:
        """Return the frame at the new rate; None while the filter holds all of it.

        Raises:
            FormatMismatchError: The frame has more than one channel or a rate this processor does not take.
        """
        if isinstance(frame, InputAudioRawFrame):
            return self._resampled("caller", self._caller, frame)
        if isinstance(frame, OutputAudioRawFrame):
            self._last_of_bot = frame
            return self._resampled("bot", self._bot, frame)
        return frame

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass events on: the end of an utterance after its last samples, an interruption drops them."""
        if isinstance(frame, InterruptionFrame):
            self._bot.reset()
        elif isinstance(frame, (TTSStoppedFrame, EndFrame)):
            await self._push_tail()
        await self.push_frame(frame, direction)

    async def _push_tail(self) -> None:
        tail = self._bot.flush()
        if tail and self._last_of_bot is not None:
            await self.push_audio(_with_audio(self._last_of_bot, tail, self._rate))

    def _resampled(self, name: str, track: _Track, frame: PcmFrame) -> PcmFrame | None:
        if frame.num_channels != 1 or frame.sample_rate not in SAMPLE_RATES:
            offered = AudioFormat(Encoding.PCM, frame.sample_rate, frame.num_channels)
            raise FormatMismatchError(name, str(offered), ACCEPTED)
        if frame.sample_rate == track.from_rate == self._rate:
            return frame
        audio = track.resample(frame.audio, frame.sample_rate)
        return _with_audio(frame, audio, self._rate) if audio else None

    def _resampled_format(self, track: str, offered: AudioFormat | None) -> AudioFormat | None:
        if offered is None:
            return None
        if replace(offered, sample_rate=self._rate) != self._format or offered.sample_rate not in SAMPLE_RATES:
            raise FormatMismatchError(track, str(offered), ACCEPTED)
        return self._format


def _with_audio(frame: PcmFrame, audio: bytes, sample_rate: int) -> PcmFrame:
    """Return a frame's like: it keeps its id, for it takes its place, and costs a tenth of a new one."""
    resampled = object.__new__(type(frame))
    resampled.__dict__.update(frame.__dict__, audio=audio, sample_rate=sample_rate, num_frames=len(audio) // 2)
    return resampled


class _Track:
    """One track's filter; another one when the incoming rate changes, after what the old one held."""

    def __init__(self, sample_rate: int) -> None:
        self._to_rate = sample_rate
        self.from_rate = sample_rate
        self._filter = StreamResampler(sample_rate, sample_rate)
        self._holds_audio = False

    def resample(self, audio: bytes, from_rate: int) -> bytes:
        held = b""
        if from_rate != self.from_rate:
            held = self.flush()
            self._filter = StreamResampler(from_rate, self._to_rate)
            self.from_rate = from_rate
        self._holds_audio = True
        return held + self._filter.resample(audio)

    def flush(self) -> bytes:
        """Return what the filter holds; an empty filter would give silence."""
        held = self._filter.flush() if self._holds_audio else b""
        self._holds_audio = False
        return held

    def reset(self) -> None:
        self._filter.reset()
        self._holds_audio = False
