"""pipecat's filters and mixers get what is meant for them, and audio only while there is some."""

from __future__ import annotations

from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.audio.mixers.base_audio_mixer import BaseAudioMixer
from pipecat.frames.frames import (
    FilterControlFrame,
    FilterEnableFrame,
    Frame,
    InputAudioRawFrame,
    MixerControlFrame,
    MixerEnableFrame,
    OutputAudioRawFrame,
    TextFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from callpipe.processors import AudioFilter, AudioMixer


class Gathering(BaseAudioFilter):
    """Gives audio in pairs of packets; what else it is told it notes."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self._waiting = b""

    async def start(self, sample_rate: int) -> None:
        self.told.append(sample_rate)

    async def stop(self) -> None:
        self.told.append("stop")

    async def process_frame(self, frame: FilterControlFrame) -> None:
        self.told.append(frame)

    async def filter(self, audio: bytes) -> bytes:
        whole, self._waiting = (self._waiting + audio, b"") if self._waiting else (b"", audio)
        return whole


class Doubling(BaseAudioMixer):
    """Doubles audio; what else it is told it notes."""

    def __init__(self) -> None:
        self.told: list[object] = []

    async def start(self, sample_rate: int) -> None:
        self.told.append(sample_rate)

    async def stop(self) -> None:
        self.told.append("stop")

    async def process_frame(self, frame: MixerControlFrame) -> None:
        self.told.append(frame)

    async def mix(self, audio: bytes) -> bytes:
        return audio * 2


class Filter(AudioFilter):
    """Keeps what goes on."""

    def __init__(self, audio_filter: BaseAudioFilter) -> None:
        super().__init__(audio_filter)
        self.passed: list[Frame] = []

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        self.passed.append(frame)


class Mixer(AudioMixer):
    """Keeps what goes on."""

    def __init__(self, mixer: BaseAudioMixer) -> None:
        super().__init__(mixer)
        self.passed: list[Frame] = []

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        self.passed.append(frame)


async def test_a_filter_gets_its_control_frames_and_nothing_goes_on_where_it_holds_audio_back() -> None:
    gathering = Gathering()
    processor = Filter(gathering)
    control, text = FilterEnableFrame(True), TextFrame("words")
    packets = [InputAudioRawFrame(audio, 8_000, 1) for audio in (b"ab", b"cd")]
    for frame in (control, packets[0], text, packets[1]):
        await processor.process_frame(frame, FrameDirection.DOWNSTREAM)
    await processor.cleanup()
    assert gathering.told == [control, 8_000, "stop"]
    assert processor.passed[0] is text
    (heard,) = processor.passed[1:]
    assert isinstance(heard, InputAudioRawFrame)
    assert heard.audio == b"abcd"


async def test_a_mixer_gets_its_control_frames() -> None:
    doubling = Doubling()
    processor = Mixer(doubling)
    control = MixerEnableFrame(True)
    for frame in (control, OutputAudioRawFrame(b"ab", 8_000, 1)):
        await processor.process_frame(frame, FrameDirection.DOWNSTREAM)
    assert doubling.told == [control, 8_000]
    (mixed,) = processor.passed
    assert isinstance(mixed, OutputAudioRawFrame)
    assert mixed.audio == b"abab"


async def test_a_part_that_heard_no_audio_was_not_started_and_is_not_stopped() -> None:
    gathering = Gathering()
    processor = Filter(gathering)
    await processor.cleanup()
    assert gathering.told == []
