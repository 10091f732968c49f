"""Both tracks when the bot's audio was sent as PCM: given as PCMU, in step with the carrier's clock."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.transports.audio.formats import PCM_8K, PCM_16K, PCM_24K, PCMU_8K, AudioFormat
from callpipe.transports.audio.g711 import MULAW_SILENCE, encode_mulaw
from callpipe.transports.audio.line_tracks import LineAudio, LineTracks
from callpipe.transports.audio.playhead import CarrierClock, Playhead
from callpipe.transports.audio.resampler import StreamResampler
from callpipe.transports.frames import EncodedAudio

PACKET = 160
SILENCE = MULAW_SILENCE


class Call:
    """A call on a perfect line, recorded after every packet of 20 ms."""

    def __init__(self) -> None:
        self.playhead, self.clock = Playhead(), CarrierClock()
        self.tracks = LineTracks(self.playhead, self.clock)
        self.packets = 0
        self.caller = self.bot = b""

    @property
    def now(self) -> float:
        return 1.0 + self.packets * 0.02

    def hear(self, count: int) -> None:
        for _ in range(count):
            self.packets += 1
            self.tracks.received((self.packets - 1) * PACKET, bytes(PACKET), self.now)
            self.keep(self.tracks.take(self.now))

    def say(self, audio: bytes, audio_format: AudioFormat) -> None:
        encoded = EncodedAudio(audio=audio, audio_format=audio_format)
        self.playhead.sent(encoded.duration_ms, self.now)
        self.tracks.sent(encoded, self.now)

    def keep(self, taken: LineAudio | None) -> None:
        if taken is not None:
            assert taken.position == len(self.bot)
            self.caller += taken.caller
            self.bot += taken.bot


def band_noise(seconds: float, seed: int) -> bytes:
    """PCM of 24 kHz with the telephone's band."""
    noise = np.random.default_rng(seed).normal(0, 5_000, int(seconds * 8_000)).clip(-32_768, 32_767)
    return StreamResampler(8_000, 24_000).resample(noise.astype("<i2").tobytes())


@pytest.mark.parametrize("size", [2, 482, 962, 9_600])
def test_pieces_of_any_size_are_joined_in_step_and_without_seams(size: int) -> None:
    pcm = band_noise(0.5, seed=4)
    whole = StreamResampler(24_000, 8_000)
    expected = encode_mulaw((whole.resample(pcm) + whole.flush())[round(whole.delay_ms * 8) * 2 :])
    call = Call()
    call.hear(2)
    for at in range(0, len(pcm), size):
        call.say(pcm[at : at + size], PCM_24K)
    call.hear(30)
    assert call.bot == (SILENCE * 2 * PACKET + expected).ljust(32 * PACKET, SILENCE)


def test_pieces_without_a_pause_may_differ_in_format() -> None:
    call, said = Call(), random.Random(1).randbytes(PACKET).replace(SILENCE, b"\x01")
    call.hear(1)
    call.say(bytes(2 * 320), PCM_16K)
    call.say(said, PCMU_8K)
    call.say(bytes(2 * 480), PCM_24K)
    call.say(said, PCMU_8K)
    call.hear(5)
    assert call.bot == SILENCE * 2 * PACKET + said + SILENCE * PACKET + said + SILENCE * PACKET


def test_a_clear_cuts_at_what_was_heard() -> None:
    call = Call()
    call.hear(1)
    call.say(band_noise(1.0, seed=5), PCM_24K)
    call.hear(3)
    call.playhead.cleared(call.now + 0.0105)
    call.hear(4)
    assert len(call.bot.rstrip(SILENCE)) == pytest.approx(4 * PACKET + 84, abs=3)


@settings(deadline=None)  # the machine may be busy
@given(
    st.sampled_from([PCM_8K, PCM_16K, PCM_24K]),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 8), st.booleans()), max_size=30),
)
def test_both_tracks_stay_in_step_whatever_is_sent(
    audio_format: AudioFormat, script: list[tuple[int, int, bool]]
) -> None:
    call = Call()
    call.hear(1)
    for samples, packets, clears in script:
        call.say(bytes(2 * samples), audio_format)
        call.hear(packets)
        if clears:
            call.playhead.cleared(call.now)
    call.hear(1)
    call.keep(call.tracks.finish(call.now))
    assert len(call.caller) == len(call.bot) == call.packets * PACKET
