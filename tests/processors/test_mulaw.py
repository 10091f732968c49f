"""Mu-law is turned into samples and back, and everything else passes untouched."""

import numpy as np
import pytest
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
)

from callpipe.processors.mulaw import MulawDecoder, MulawEncoder
from callpipe.transports.audio.formats import PCM_8K, PCM_24K, PCMU_8K, AudioFormat, Encoding, Tracks
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.frames import EncodedAudio, InputEncodedAudioFrame, OutputEncodedAudioFrame

CODES = bytes(range(256))
PCMA_8K = AudioFormat(Encoding.PCMA, 8_000)


def expand(code: int) -> int:
    """Return a mu-law code's sample, by the formula of G.711's table 2a rather than by our decoder."""
    inverted = ~code & 0xFF
    magnitude = ((((inverted & 0x0F) << 3) + 0x84) << ((inverted >> 4) & 7)) - 0x84
    return -magnitude if inverted & 0x80 else magnitude


def samples_of(frame: Frame | None) -> list[int]:
    assert isinstance(frame, (InputAudioRawFrame, OutputAudioRawFrame))
    assert (frame.sample_rate, frame.num_channels) == (8_000, 1)
    return np.frombuffer(frame.audio, "<i2").tolist()


def test_every_code_of_the_caller_becomes_its_sample() -> None:
    decoded = MulawDecoder().process_audio(InputEncodedAudioFrame(EncodedAudio(audio=CODES)))
    assert isinstance(decoded, InputAudioRawFrame)
    assert samples_of(decoded) == [expand(code) for code in CODES]


def test_the_bots_audio_keeps_its_item_both_ways() -> None:
    sent = OutputEncodedAudioFrame(EncodedAudio(audio=CODES), context_id="item_1")
    decoded = MulawDecoder().process_audio(sent)
    assert isinstance(decoded, TTSAudioRawFrame)
    assert decoded.context_id == "item_1"
    encoded = MulawEncoder().process_audio(decoded)
    assert isinstance(encoded, OutputEncodedAudioFrame)
    assert encoded.context_id == "item_1"
    # 0x7F is a second zero, which is always written as 0xFF.
    assert encoded.encoded.audio == CODES.replace(b"\x7f", b"\xff")
    assert encoded.encoded.audio_format == PCMU_8K


def test_audio_of_no_item_stays_of_no_item() -> None:
    decoded = MulawDecoder().process_audio(OutputEncodedAudioFrame(EncodedAudio(audio=CODES)))
    assert type(decoded) is OutputAudioRawFrame
    encoded = MulawEncoder().process_audio(decoded)
    assert isinstance(encoded, OutputEncodedAudioFrame)
    assert encoded.context_id is None


def test_the_callers_samples_become_mulaw() -> None:
    encoded = MulawEncoder().process_audio(InputAudioRawFrame(b"\0\0" * 160, 8_000, 1))
    assert isinstance(encoded, InputEncodedAudioFrame)
    assert encoded.encoded.audio == b"\xff" * 160


@pytest.mark.parametrize(
    "frame",
    [
        InputEncodedAudioFrame(EncodedAudio(audio=CODES, audio_format=PCMA_8K)),
        OutputEncodedAudioFrame(EncodedAudio(audio=CODES, audio_format=PCMA_8K)),
        InputAudioRawFrame(b"\0\0", 8_000, 1),
    ],
)
def test_the_decoder_leaves_other_audio_alone(frame: Frame) -> None:
    assert MulawDecoder().process_audio(frame) is frame


@pytest.mark.parametrize(
    "frame",
    [
        InputAudioRawFrame(b"\0\0", 16_000, 1),
        OutputAudioRawFrame(b"\0\0\0\0", 8_000, 2),
        OutputEncodedAudioFrame(EncodedAudio(audio=CODES)),
    ],
)
def test_the_encoder_leaves_other_audio_alone(frame: Frame) -> None:
    assert MulawEncoder().process_audio(frame) is frame


def test_formats_are_turned_where_they_are_mulaw() -> None:
    assert MulawDecoder().formats(Tracks(caller=PCMU_8K)) == Tracks(caller=PCM_8K)
    assert MulawDecoder().formats(Tracks(PCM_24K, PCMU_8K)) == Tracks(PCM_24K, PCM_8K)
    assert MulawEncoder().formats(Tracks(bot=PCM_8K)) == Tracks(bot=PCMU_8K)
    assert MulawEncoder().formats(Tracks(PCM_8K, PCM_24K)) == Tracks(PCMU_8K, PCM_24K)


@pytest.mark.parametrize(
    ("processor", "tracks", "track", "offered", "accepted"),
    [
        (MulawDecoder, Tracks(caller=PCM_24K), "caller", "PCM 24 kHz", "PCMU 8 kHz"),
        (MulawDecoder, Tracks(bot=PCMA_8K), "bot", "PCMA 8 kHz", "PCMU 8 kHz"),
        (MulawEncoder, Tracks(bot=PCM_24K), "bot", "PCM 24 kHz", "PCM 8 kHz"),
        (MulawEncoder, Tracks(), "bot", "no audio", "PCM 8 kHz"),
    ],
)
def test_other_formats_are_refused(
    processor: type[MulawDecoder | MulawEncoder], tracks: Tracks, track: str, offered: str, accepted: str
) -> None:
    with pytest.raises(FormatMismatchError) as refusal:
        processor().formats(tracks)
    assert (refusal.value.track, refusal.value.offered, refusal.value.accepted) == (track, offered, accepted)
