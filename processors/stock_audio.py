"""pipecat's audio filters and mixers as processors: a transport of its own takes them as parameters instead."""

from __future__ import annotations

from dataclasses import replace

from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.audio.mixers.base_audio_mixer import BaseAudioMixer
from pipecat.frames.frames import (
    FilterControlFrame,
    Frame,
    InputAudioRawFrame,
    MixerControlFrame,
    OutputAudioRawFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor


class AudioFilter(FrameProcessor):
    """Filters the caller's audio: against noise, for instance. Takes PCM, mono, as the filter does.

    A filter is for one call. It is started with the first audio, at that audio's sample rate.

    Args:
        audio_filter: One of pipecat's filters.
    """

    def __init__(self, audio_filter: BaseAudioFilter) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
        self._filter = audio_filter
        self._sample_rate = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Filter audio, and hand the filter what is meant for it."""
        await super().process_frame(frame, direction)
        match frame:
            case InputAudioRawFrame():
                await self._started(frame.sample_rate)
                audio = await self._filter.filter(frame.audio)
                if audio:
                    await self.push_frame(replace(frame, audio=audio), direction)
            case FilterControlFrame():
                await self._filter.process_frame(frame)
            case _:
                await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Stop the filter."""
        await super().cleanup()
        if self._sample_rate:
            self._sample_rate = 0
            await self._filter.stop()

    async def _started(self, sample_rate: int) -> None:
        if not self._sample_rate:
            self._sample_rate = sample_rate
            await self._filter.start(sample_rate)


class AudioMixer(FrameProcessor):
    """Mixes a sound under the bot's words; between them nothing is sent. Takes PCM, mono, as the mixer does.

    A mixer is for one call. It is started with the first audio, at that audio's sample rate.

    Args:
        mixer: One of pipecat's mixers.
    """

    def __init__(self, mixer: BaseAudioMixer) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
        self._mixer = mixer
        self._sample_rate = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Mix audio, and hand the mixer what is meant for it."""
        await super().process_frame(frame, direction)
        match frame:
            case OutputAudioRawFrame():
                await self._started(frame.sample_rate)
                mixed = await self._mixer.mix(frame.audio)
                await self.push_frame(replace(frame, audio=mixed), direction)
            case MixerControlFrame():
                await self._mixer.process_frame(frame)
            case _:
                await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Stop the mixer."""
        await super().cleanup()
        if self._sample_rate:
            self._sample_rate = 0
            await self._mixer.stop()

    async def _started(self, sample_rate: int) -> None:
        if not self._sample_rate:
            self._sample_rate = sample_rate
            await self._mixer.start(sample_rate)
