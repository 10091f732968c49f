"""Audio changes its rate and nothing else: kind, item, order, length."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    SpeechOutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.tests.utils import run_test

from callpipe.processors.resampler import Resampler
from callpipe.transports.audio.errors import UnsupportedSampleRateError
from callpipe.transports.audio.formats import PCM_8K, PCM_16K, PCM_24K, PCMU_8K, AudioFormat, Encoding, Tracks
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.frames import EncodedAudio, InputEncodedAudioFrame


def tone(rate: int, duration_ms: float, frequency: float = 500.0) -> bytes:
    times = np.arange(int(rate * duration_ms / 1000)) / rate
    return np.round(8_000 * np.sin(2 * np.pi * frequency * times)).astype("<i2").tobytes()


def audio_of(frames: Sequence[Frame]) -> NDArray[np.float64]:
    joined = b"".join(
        frame.audio for frame in frames if isinstance(frame, (InputAudioRawFrame, OutputAudioRawFrame))
    )
    return np.frombuffer(joined, "<i2").astype(float)


def spoken(audio: bytes, rate: int, item: str, chunk_ms: int = 20) -> list[Frame]:
    size = rate * chunk_ms // 1000 * 2
    return [
        TTSAudioRawFrame(audio[at : at + size], rate, 1, context_id=item) for at in range(0, len(audio), size)
    ]


def assert_is_tone(samples: NDArray[np.float64], rate: int, duration_ms: float, delay_ms: float) -> None:
    """The tone is there in full, from its first to its last sample, later by the delay."""
    expected = np.frombuffer(tone(rate, duration_ms), "<i2").astype(float)
    delay = round(delay_ms * rate / 1000)
    assert len(samples) == len(expected) + delay
    edge = rate // 200
    assert np.abs(samples[delay + edge : -edge] - expected[edge:-edge]).max() < 200


@pytest.mark.parametrize("endings", [[TTSStoppedFrame, EndFrame], [EndFrame]])
async def test_the_tail_of_an_utterance_comes_before_the_frame_that_ends_it(
    endings: list[type[TTSStoppedFrame | EndFrame]],
) -> None:
    down, _ = await run_test(
        Resampler(8_000),
        frames_to_send=[*spoken(tone(24_000, 200), 24_000, "item_1"), *(ending() for ending in endings)],
        send_end_frame=False,
    )
    audio = down[: -len(endings)]
    assert [type(frame) for frame in down[-len(endings) :]] == endings
    assert {(type(frame), getattr(frame, "context_id", None)) for frame in audio} == {
        (TTSAudioRawFrame, "item_1")
    }
    assert_is_tone(audio_of(audio), 8_000, 200, delay_ms=2)


async def test_the_end_of_an_utterance_without_audio_adds_none() -> None:
    frames = [TTSStartedFrame(), TTSStoppedFrame(), *spoken(tone(24_000, 40), 24_000, "item_1")]
    down, _ = await run_test(Resampler(8_000), frames_to_send=[*frames, TTSStoppedFrame(), TTSStoppedFrame()])
    assert len(audio_of(down)) == 42 * 8
    assert [type(frame) for frame in down[-2:]] == [TTSStoppedFrame, TTSStoppedFrame]


async def test_an_interruption_drops_what_the_bots_filter_holds_but_not_the_callers() -> None:
    resampler = Resampler(8_000)
    down, _ = await run_test(
        resampler,
        frames_to_send=[
            InputAudioRawFrame(tone(16_000, 20), 16_000, 1),
            *spoken(b"\xff\x1f" * 480, 24_000, "item_1"),
            InterruptionFrame(),
            InputAudioRawFrame(tone(16_000, 40)[640:], 16_000, 1),
            *spoken(b"\0\0" * 480, 24_000, "item_2"),
        ],
    )
    after = [frame for frame in down if getattr(frame, "context_id", None) == "item_2"]
    assert not audio_of(after).any()
    caller = [frame for frame in down if isinstance(frame, InputAudioRawFrame)]
    expected = Resampler(8_000).process_audio(InputAudioRawFrame(tone(16_000, 40), 16_000, 1))
    assert expected is not None
    assert audio_of(caller).tolist() == audio_of([expected]).tolist()


def test_another_incoming_rate_loses_nothing_of_what_came_before() -> None:
    resampler = Resampler(8_000)
    frames = [*spoken(tone(24_000, 100), 24_000, "item_1"), *spoken(tone(16_000, 100), 16_000, "item_1")]
    made = [following for frame in frames if (following := resampler.process_audio(frame))]
    first, second = audio_of(made)[: 102 * 8], audio_of(made)[102 * 8 :]
    assert_is_tone(first, 8_000, 100, delay_ms=2)
    assert len(second) == 100 * 8


def test_audio_at_the_rate_passes_untouched_and_after_what_was_held() -> None:
    resampler = Resampler(8_000)
    frame = TTSAudioRawFrame(tone(8_000, 20), 8_000, 1, context_id="item_1")
    assert resampler.process_audio(frame) is frame
    resampler.process_audio(TTSAudioRawFrame(tone(24_000, 20), 24_000, 1, context_id="item_1"))
    following = resampler.process_audio(frame)
    assert isinstance(following, TTSAudioRawFrame)
    assert len(following.audio) == 22 * 16
    assert following.audio.endswith(frame.audio)
    assert resampler.process_audio(frame) is frame


def test_a_stock_frame_keeps_its_kind() -> None:
    following = Resampler(24_000).process_audio(SpeechOutputAudioRawFrame(tone(8_000, 20), 8_000, 1))
    assert type(following) is SpeechOutputAudioRawFrame
    assert (following.sample_rate, following.num_frames) == (24_000, len(following.audio) // 2)


def test_encoded_audio_passes_untouched() -> None:
    frame = InputEncodedAudioFrame(EncodedAudio(audio=b"\xff"))
    assert Resampler(24_000).process_audio(frame) is frame


def test_what_cannot_be_resampled_is_refused() -> None:
    with pytest.raises(UnsupportedSampleRateError):
        Resampler(44_100)
    with pytest.raises(FormatMismatchError, match=r"PCM 44\.1 kHz"):
        Resampler(8_000).process_audio(InputAudioRawFrame(b"\0\0", 44_100, 1))
    with pytest.raises(FormatMismatchError, match="2 channels"):
        Resampler(8_000).process_audio(OutputAudioRawFrame(b"\0\0\0\0", 8_000, 2))


def test_formats_have_the_new_rate() -> None:
    assert Resampler(24_000).formats(Tracks(caller=PCM_8K)) == Tracks(caller=PCM_24K)
    assert Resampler(16_000).formats(Tracks(PCM_24K, PCM_16K)) == Tracks(PCM_16K, PCM_16K)


@pytest.mark.parametrize(
    ("tracks", "track"),
    [
        (Tracks(caller=PCMU_8K), "caller"),
        (Tracks(PCM_8K, PCMU_8K), "bot"),
        (Tracks(caller=AudioFormat(Encoding.PCM, 44_100)), "caller"),
        (Tracks(bot=AudioFormat(Encoding.PCM, 8_000, 2)), "bot"),
    ],
)
def test_other_formats_are_refused(tracks: Tracks, track: str) -> None:
    with pytest.raises(FormatMismatchError) as refusal:
        Resampler(24_000).formats(tracks)
    assert refusal.value.track == track
    assert refusal.value.accepted == "PCM 8, 16 or 24 kHz"
