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


class _StartedByAudio(FrameProcessor):
    """Starts one of pipecat's parts with the first audio, at that audio's sample rate, and stops it at the end.

    Args:
        part: The part; it is for one call.
    """

    def __init__(self, part: BaseAudioFilter | BaseAudioMixer) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
        self._part = part
        self._is_started = False

    async def cleanup(self) -> None:
        """Stop the part."""
        await super().cleanup()
        if self._is_started:
            self._is_started = False
            await self._part.stop()

    async def _started(self, sample_rate: int) -> None:
        if not self._is_started:
            self._is_started = True
            await self._part.start(sample_rate)


class AudioFilter(_StartedByAudio):
    """Filters the caller's audio: against noise, for instance. Takes PCM, mono, as the filter does.

    A filter is for one call. It is started with the first audio, at that audio's sample rate.

    Args:
        audio_filter: One of pipecat's filters.
    """

    def __init__(self, audio_filter: BaseAudioFilter) -> None:
        super().__init__(audio_filter)
        self._filter = audio_filter

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


class AudioMixer(_StartedByAudio):
    """Mixes a sound under the bot's words; between them nothing is sent. Takes PCM, mono, as the mixer does.

    A mixer is for one call. It is started with the first audio, at that audio's sample rate.

    Args:
        mixer: One of pipecat's mixers.
    """

    def __init__(self, mixer: BaseAudioMixer) -> None:
        super().__init__(mixer)
        self._mixer = mixer

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
