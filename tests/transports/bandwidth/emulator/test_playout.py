from __future__ import annotations

import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.transports.audio.formats import PCM_8K, PCM_16K, PCM_24K, PCMU_8K, AudioFormat
from callpipe.transports.audio.g711 import decode_mulaw
from callpipe.transports.bandwidth.emulator.errors import PlayoutFullError
from callpipe.transports.bandwidth.emulator.playout import PlayoutBuffer

MAX_UNHEARD_S = 600.0

LOUD = b"\x10"  # no mu-law silence


def sounding(pcm: bytes) -> list[int]:
    """Positions of the samples that are not silence."""
    return [position for position, sample in enumerate(array.array("h", pcm)) if sample]


def test_plays_from_the_sample_at_which_audio_arrives_to_its_last() -> None:
    playout = PlayoutBuffer(100.0)
    playout.play_audio(LOUD * 160, PCMU_8K, 100.0105)
    heard = playout.advance(100.1)
    assert len(heard) == 800 * 2
    assert sounding(heard) == list(range(84, 84 + 160))


def test_chunks_in_a_row_play_without_a_gap_however_often_it_is_asked() -> None:
    playout = PlayoutBuffer(0.0)
    heard = b""
    for chunk in range(5):
        playout.play_audio(LOUD * 160, PCMU_8K, 0.001)
        heard += playout.advance(0.001 + chunk * 0.0137)
    heard += playout.advance(0.2)
    assert sounding(heard) == list(range(8, 8 + 800))
    assert len(playout.bursts) == 1
    assert playout.bursts[0].started_at == pytest.approx(0.001)
    assert playout.bursts[0].heard_ms == pytest.approx(100)


def test_audio_that_comes_late_leaves_silence_and_begins_another_burst() -> None:
    playout = PlayoutBuffer(0.0)
    playout.play_audio(LOUD * 80, PCMU_8K, 0.0)
    playout.play_audio(LOUD * 80, PCMU_8K, 0.015)
    heard = playout.advance(0.03)
    assert sounding(heard) == [*range(80), *range(120, 200)]
    assert [burst.heard_ms for burst in playout.bursts] == [pytest.approx(10), pytest.approx(10)]


def test_audio_that_comes_at_the_last_sample_goes_on_without_a_gap() -> None:
    playout = PlayoutBuffer(0.0)
    playout.play_audio(LOUD * 80, PCMU_8K, 0.0)
    playout.advance(0.01)
    playout.play_audio(LOUD * 80, PCMU_8K, 0.01)
    playout.advance(1.0)
    assert len(playout.bursts) == 1


def test_clear_tells_what_of_the_burst_was_heard_and_what_was_not() -> None:
    playout = PlayoutBuffer(0.0)
    playout.play_audio(LOUD * 8_000, PCMU_8K, 0.5)
    cut = playout.clear(0.75)
    assert cut is not None
    assert (cut.at, cut.heard_ms, cut.dropped_ms) == (0.75, pytest.approx(250), pytest.approx(750))
    assert playout.cuts == [cut]
    assert sounding(playout.advance(3.0)) == list(range(4_000, 6_000))


def test_clear_with_nothing_unheard_is_no_cut() -> None:
    playout = PlayoutBuffer(0.0)
    assert playout.clear(0.1) is None
    playout.play_audio(LOUD * 80, PCMU_8K, 0.1)
    assert playout.clear(0.11) is None
    assert playout.cuts == []


def test_after_a_clear_the_next_audio_is_a_new_burst() -> None:
    playout = PlayoutBuffer(0.0)
    playout.play_audio(LOUD * 8_000, PCMU_8K, 0.0)
    playout.clear(0.1)
    playout.play_audio(LOUD * 8_000, PCMU_8K, 0.1)
    cut = playout.clear(0.13)
    assert cut is not None
    assert cut.heard_ms == pytest.approx(30)


def test_prebuffer_waits_for_enough_audio() -> None:
    playout = PlayoutBuffer(0.0, prebuffer_ms=60)
    playout.play_audio(LOUD * 160, PCMU_8K, 0.0)
    playout.play_audio(LOUD * 160, PCMU_8K, 0.01)
    assert not playout.playing
    playout.play_audio(LOUD * 160, PCMU_8K, 0.02)
    assert sounding(playout.advance(0.1)) == list(range(160, 640))


def test_prebuffer_waits_no_longer_than_its_length() -> None:
    playout = PlayoutBuffer(0.0, prebuffer_ms=60)
    playout.play_audio(LOUD * 80, PCMU_8K, 0.01)
    assert sounding(playout.advance(0.2)) == list(range(560, 640))


def test_clear_before_the_prebuffer_is_full_drops_all() -> None:
    playout = PlayoutBuffer(0.0, prebuffer_ms=60)
    playout.play_audio(LOUD * 80, PCMU_8K, 0.0)
    cut = playout.clear(0.03)
    assert cut is not None
    assert (cut.heard_ms, cut.dropped_ms) == (0.0, 10.0)
    assert sounding(playout.advance(1.0)) == []


@pytest.mark.parametrize("drift_ppm", [-100, 0, 100])
def test_ten_minutes_are_as_many_samples_as_the_drift_says(drift_ppm: float) -> None:
    playout = PlayoutBuffer(5.0, drift_ppm=drift_ppm)
    heard = sum(len(playout.advance(5.0 + second)) for second in range(601))
    assert heard // 2 == 4_800_000 + drift_ppm * 4.8


@pytest.mark.parametrize("audio_format", [PCM_8K, PCM_16K, PCM_24K])
def test_pcm_of_every_rate_lasts_as_long_as_it_was(audio_format: AudioFormat) -> None:
    rate = audio_format.sample_rate
    playout = PlayoutBuffer(0.0)
    for start in range(50):
        loud = array.array("h", [5_000] * (rate // 50)).tobytes()
        playout.play_audio(loud, audio_format, start / 1000)
    heard = playout.advance(2.0)
    assert playout.bursts[0].heard_ms == pytest.approx(1000)
    assert len(playout.bursts) == 1
    middle = array.array("h", heard)[100:7_900]
    assert min(middle) > 4_900
    assert max(middle) < 5_100


def test_formats_may_change_within_a_burst() -> None:
    playout = PlayoutBuffer(0.0)
    playout.play_audio(array.array("h", [5_000] * 2_400).tobytes(), PCM_24K, 0.0)
    playout.play_audio(LOUD * 800, PCMU_8K, 0.0)
    playout.play_audio(array.array("h", [5_000] * 1_600).tobytes(), PCM_16K, 0.0)
    heard = array.array("h", playout.advance(1.0))
    assert playout.bursts[0].heard_ms == pytest.approx(300)
    assert heard[800:1600].tobytes() == decode_mulaw(LOUD * 800)


def test_more_than_the_carrier_keeps_is_refused() -> None:
    playout = PlayoutBuffer(0.0)
    minute = LOUD * 480_000
    for _ in range(int(MAX_UNHEARD_S // 60)):
        playout.play_audio(minute, PCMU_8K, 0.0)
    with pytest.raises(PlayoutFullError):
        playout.play_audio(minute, PCMU_8K, 0.0)
    assert playout.unheard_ms == MAX_UNHEARD_S * 1000


Action = tuple[str, int, float]
actions = st.lists(
    st.tuples(
        st.sampled_from(["pcmu", "pcm8", "pcm16", "pcm24", "clear", "drop", "wait"]),
        st.integers(0, 2_000),
        st.floats(0, 0.3),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(actions, st.sampled_from([0.0, 20.0, 75.0]), st.sampled_from([-100.0, 0.0, 100.0]))
def test_heard_dropped_and_unheard_are_together_what_was_sent(
    script: list[Action], prebuffer_ms: float, drift_ppm: float
) -> None:
    playout = PlayoutBuffer(0.0, prebuffer_ms=prebuffer_ms, drift_ppm=drift_ppm)
    rates = {"pcm8": PCM_8K, "pcm16": PCM_16K, "pcm24": PCM_24K}
    now = sent_ms = dropped_ms = 0.0
    heard = 0
    for name, size, pause_s in script:
        now += pause_s
        if name == "pcmu":
            playout.play_audio(LOUD * size, PCMU_8K, now)
            sent_ms += size / 8
        elif name in rates:
            # Whole cycles of 1/8000 s, so that resampling has nothing to round.
            audio = array.array("h", [9_000] * (size * rates[name].sample_rate // 8_000)).tobytes()
            playout.play_audio(audio, rates[name], now)
            sent_ms += size / 8
        elif name == "clear":
            cut = playout.clear(now)
            dropped_ms += cut.dropped_ms if cut else 0.0
        elif name == "drop":
            dropped_ms += playout.drop(now)
        else:
            heard += len(playout.advance(now))
    heard += len(playout.advance(now))
    dropped_ms += playout.drop(now)
    heard_ms = sum(burst.heard_ms for burst in playout.bursts)
    assert heard_ms + dropped_ms == pytest.approx(sent_ms, abs=1e-6)
    assert abs(heard / 2 - now * 8_000 * (1 + drift_ppm / 1e6)) <= 1
