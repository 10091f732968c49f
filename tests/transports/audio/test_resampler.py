"""The live resampler: delay, pass band, images and aliases, and the same output however the stream is cut."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from callpipe.transports.audio.errors import BrokenSampleError, UnsupportedSampleRateError
from callpipe.transports.audio.resampler import StreamResampler
from callpipe.transports.errors import Fault

RATES = (8_000, 16_000, 24_000)
PAIRS = list(itertools.permutations(RATES, 2))
TELEPHONE_BAND = 3_400
Samples = NDArray[np.float64]

pairs = pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)


def tone(frequency: float, rate: int, seconds: float = 1.05, amplitude: float = 16_000.0) -> bytes:
    times = np.arange(int(rate * seconds)) / rate
    return np.rint(amplitude * np.sin(2 * np.pi * frequency * times)).astype("<i2").tobytes()


def noise(count: int, seed: int = 1, amplitude: float = 6_000.0) -> bytes:
    return np.random.default_rng(seed).normal(0, amplitude, count).clip(-32_768, 32_767).astype("<i2").tobytes()


def samples_of(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def spectrum(pcm: bytes, rate: int, amplitude: float = 16_000.0) -> tuple[Samples, Samples]:
    """Return frequencies, and each one's level in dB relative to a tone of the amplitude."""
    settled = samples_of(pcm)[-rate:]  # one second: whole frequencies fall on bins
    window = np.blackman(settled.size)
    levels = np.abs(np.fft.rfft(settled * window)).astype(np.float64) / (window.sum() / 2 * amplitude)
    return np.arange(levels.size, dtype=np.float64), 20 * np.log10(np.maximum(levels, 1e-9))


def whole(resampler: StreamResampler, pcm: bytes) -> bytes:
    return resampler.resample(pcm) + resampler.flush()


@pairs
def test_delay_is_at_most_3_ms_and_as_stated(from_rate: int, to_rate: int) -> None:
    resampler = StreamResampler(from_rate, to_rate)
    impulse_at_ms = 20
    sent = np.zeros(from_rate // 10, "<i2")
    sent[from_rate * impulse_at_ms // 1000] = 20_000
    heard = samples_of(resampler.resample(sent.tobytes()))
    measured_ms = int(np.argmax(heard)) * 1000 / to_rate - impulse_at_ms
    assert measured_ms <= 3.0
    assert measured_ms == pytest.approx(resampler.delay_ms, abs=1e-9)


@pairs
def test_cross_correlation_finds_the_same_delay_in_speech_like_noise(from_rate: int, to_rate: int) -> None:
    lowest = StreamResampler(24_000, 8_000).resample(noise(24_000))  # noise of the telephone band
    source = lowest if from_rate == 8_000 else StreamResampler(8_000, from_rate).resample(lowest)
    resampler = StreamResampler(from_rate, to_rate)
    common = np.lcm(from_rate, to_rate)
    sent = np.repeat(samples_of(source), common // from_rate)
    heard = np.repeat(samples_of(resampler.resample(source)), common // to_rate)
    lags = range(int(common * 0.004))
    count = min(sent.size, heard.size) - len(lags)
    best = max(lags, key=lambda lag: float(sent[:count] @ heard[lag : lag + count]))
    # Repeating samples (to compare at one rate) adds at most a sample of the lower rate.
    assert best / common * 1000 == pytest.approx(resampler.delay_ms, abs=1000 / min(from_rate, to_rate))
    assert best / common <= 0.003


@pairs
@pytest.mark.parametrize("frequency", [50, 300, 1_000, 2_000, 3_000, 3_300, 3_400])
def test_telephone_band_passes_within_half_a_decibel(from_rate: int, to_rate: int, frequency: int) -> None:
    made = StreamResampler(from_rate, to_rate).resample(tone(frequency, from_rate))
    frequencies, levels = spectrum(made, to_rate)
    level = levels[np.abs(frequencies - frequency) < 20].max()
    assert abs(level) <= 0.5


@pairs
@pytest.mark.parametrize("level", [-3, -1, 1, 3])
def test_the_quietest_audio_keeps_its_level(from_rate: int, to_rate: int, level: int) -> None:
    pcm = np.full(from_rate // 10, level, "<i2").tobytes()
    made = samples_of(StreamResampler(from_rate, to_rate).resample(pcm))
    assert set(made[to_rate // 100 :]) == {level}


@pytest.mark.parametrize(("from_rate", "to_rate"), [pair for pair in PAIRS if pair[0] < pair[1]])
@pytest.mark.parametrize("frequency", [100, 700, 1_900, 2_900, 3_400])
def test_images_are_50_db_down(from_rate: int, to_rate: int, frequency: int) -> None:
    made = StreamResampler(from_rate, to_rate).resample(tone(frequency, from_rate))
    frequencies, levels = spectrum(made, to_rate)
    assert levels[np.abs(frequencies - frequency) > 100].max() <= -50


@pytest.mark.parametrize(("from_rate", "to_rate"), [pair for pair in PAIRS if pair[0] > pair[1]])
def test_what_folds_into_the_telephone_band_is_50_db_down(from_rate: int, to_rate: int) -> None:
    for frequency in range(to_rate - TELEPHONE_BAND, from_rate // 2, 150):
        made = StreamResampler(from_rate, to_rate).resample(tone(frequency, from_rate))
        frequencies, levels = spectrum(made, to_rate)
        assert levels[frequencies <= TELEPHONE_BAND].max() <= -50, frequency


@pairs
def test_output_is_the_same_however_the_stream_is_cut(from_rate: int, to_rate: int) -> None:
    pcm = noise(from_rate, amplitude=12_000)
    expected = whole(StreamResampler(from_rate, to_rate), pcm)
    twenty_ms = from_rate // 50 * 2
    for size in (2, 6, 14, twenty_ms - 2, twenty_ms, twenty_ms + 2, 10 * twenty_ms, 7_778):
        resampler = StreamResampler(from_rate, to_rate)
        made = b"".join(resampler.resample(pcm[at : at + size]) for at in range(0, len(pcm), size))
        assert made + resampler.flush() == expected, size


@settings(deadline=None)  # the machine may be busy
@given(
    st.sampled_from(PAIRS),
    st.binary(max_size=3_000).map(lambda audio: audio[: len(audio) // 2 * 2]),
    st.lists(st.integers(0, 400), max_size=20),
)
def test_output_is_the_same_for_any_cuts(pair: tuple[int, int], pcm: bytes, sizes: list[int]) -> None:
    resampler = StreamResampler(*pair)
    made, at = b"", 0
    for size in sizes:
        made += resampler.resample(pcm[at : at + 2 * size])
        at += 2 * size
    made += resampler.resample(pcm[at:]) + resampler.flush()
    assert made == whole(StreamResampler(*pair), pcm)


@pairs
@pytest.mark.parametrize("count", [0, 1, 2, 5, 159, 160, 1_000, 4_801])
def test_flush_gives_the_tail_so_that_nothing_is_lost(from_rate: int, to_rate: int, count: int) -> None:
    resampler = StreamResampler(from_rate, to_rate)
    made = samples_of(whole(resampler, noise(count)))
    delay = round(resampler.delay_ms * to_rate / 1000)
    assert made.size == -(-count * to_rate // from_rate) + delay


def test_the_last_samples_come_out_of_flush() -> None:
    resampler = StreamResampler(8_000, 24_000)
    pcm = tone(1_000, 8_000, seconds=0.1)
    delay = round(resampler.delay_ms * 24)
    made = samples_of(whole(resampler, pcm))[delay:]
    ideal = samples_of(tone(1_000, 24_000, seconds=0.1))
    assert np.abs(made - ideal)[300:-150].max() < 60
    assert np.abs(made - ideal)[-150:].max() < 4_000  # the tone stops here, so it rings


@pairs
def test_after_flush_or_reset_another_stream_begins(from_rate: int, to_rate: int) -> None:
    resampler = StreamResampler(from_rate, to_rate)
    expected = whole(resampler, noise(999))
    assert whole(resampler, noise(999)) == expected
    resampler.resample(noise(333, seed=2))
    resampler.reset()
    assert whole(resampler, noise(999)) == expected


@pairs
def test_too_loud_audio_is_limited_and_never_wraps(from_rate: int, to_rate: int) -> None:
    half_wave_s = 0.002
    square = np.where(np.arange(from_rate // 5) // int(from_rate * half_wave_s) % 2, -32_768, 32_767)
    resampler = StreamResampler(from_rate, to_rate)
    made = samples_of(whole(resampler, square.astype("<i2").tobytes()))
    made = made[round(resampler.delay_ms * to_rate / 1000) :]
    assert (made.max(), made.min()) == (32_767, -32_768)
    # Beside an edge the filter overshoots. A wrapped sample would have the other half wave's sign.
    times = np.arange(made.size) / to_rate + 0.5 / from_rate
    half_waves, since_edge = np.divmod(times, half_wave_s)
    beside_edge = np.minimum(since_edge, half_wave_s - since_edge) < 0.0001
    wrong = (np.sign(made) != np.where(half_waves % 2, -1, 1)) & ~beside_edge
    assert not wrong[: -to_rate // 100].any()


@pytest.mark.parametrize("rate", RATES)
def test_equal_rates_change_nothing(rate: int) -> None:
    resampler = StreamResampler(rate, rate)
    assert resampler.delay_ms == 0.0
    assert resampler.resample(noise(77)) == noise(77)
    assert resampler.flush() == b""
    resampler.reset()


@pytest.mark.parametrize(("from_rate", "to_rate"), [(8_000, 24_000), (24_000, 8_000), (8_000, 8_000)])
def test_half_a_sample_is_refused_and_the_stream_goes_on(from_rate: int, to_rate: int) -> None:
    resampler = StreamResampler(from_rate, to_rate)
    first = resampler.resample(noise(160))
    with pytest.raises(BrokenSampleError, match="321 bytes"):
        resampler.resample(bytes(321))
    made = first + resampler.resample(noise(160, seed=2)) + resampler.flush()
    assert made == whole(StreamResampler(from_rate, to_rate), noise(160) + noise(160, seed=2))


def test_an_empty_chunk_makes_nothing() -> None:
    assert StreamResampler(24_000, 8_000).resample(b"") == b""


@pytest.mark.parametrize(("from_rate", "to_rate", "wrong"), [(44_100, 8_000, 44_100), (8_000, 0, 0)])
def test_other_rates_are_refused(from_rate: int, to_rate: int, wrong: int) -> None:
    with pytest.raises(UnsupportedSampleRateError) as refused:
        StreamResampler(from_rate, to_rate)
    assert refused.value.sample_rate == wrong
    assert refused.value.fault is Fault.BOT_AUTHOR


@pairs
def test_60_ms_take_no_memory_but_the_result(from_rate: int, to_rate: int) -> None:
    resampler = StreamResampler(from_rate, to_rate)
    pcm = noise(from_rate * 60 // 1000)
    resampler.resample(pcm)
    tracemalloc.start()
    resampler.resample(pcm)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    made = resampler.resample(pcm)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    # The arrays that look at the work space are some hundred bytes, and what measures coverage takes a thousand
    # more; 60 ms of floats would be 3,840 or more.
    assert peak - len(made) < 2_500
