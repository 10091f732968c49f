from __future__ import annotations

import audioop
import random
import string

import numpy as np
import pytest
import soxr  # pyright: ignore[reportMissingTypeStubs]
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.transports.speech.interfaces import SpeechEdge
from callpipe.transports.speech.tones import ToneDetector, ToneEar, ToneVoice

CHARACTER_MS = 40

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
EAR = ToneEar()
unhurried = settings(deadline=None)
texts = st.text(PRINTABLE, max_size=40)


def spoken(text: str, sample_rate: int = 8_000) -> bytes:
    return b"".join(ToneVoice(sample_rate).speak(text))


def silence(duration_ms: float, sample_rate: int = 8_000) -> bytes:
    return bytes(2 * int(duration_ms * sample_rate / 1000))


def through_g711(pcm: bytes) -> bytes:
    return audioop.ulaw2lin(audioop.lin2ulaw(pcm, 2), 2)


def resampled(pcm: bytes, from_rate: float, to_rate: float) -> bytes:
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    return (soxr.resample(samples, from_rate, to_rate) * 32767).clip(-32768, 32767).astype("<i2").tobytes()


def is_subsequence(part: str, whole: str) -> bool:
    rest = iter(whole)
    return all(character in rest for character in part)


@given(texts, st.sampled_from([1.0, 0.3, 0.1, 2.5]), st.integers(0, 700), st.integers(0, 700))
@unhurried
def test_text_survives_g711_level_and_silence(text: str, gain: float, before_ms: int, after_ms: int) -> None:
    line = through_g711(audioop.mul(silence(before_ms) + spoken(text) + silence(after_ms), 2, gain))
    assert EAR.hear(line, 8_000) == text


@given(texts, st.sampled_from([8_000, 16_000, 24_000]), st.floats(-2e-4, 2e-4))
@settings(max_examples=50, deadline=None)
def test_text_survives_resampling_and_drift(text: str, sample_rate: int, drift: float) -> None:
    line = through_g711(resampled(spoken(text, sample_rate), sample_rate, 8_000)) if text else b""
    assert EAR.hear(line, 8_000) == text
    if text:
        assert EAR.hear(resampled(line, 8_000, 24_000 * (1 + drift)), 24_000) == text


@given(texts, st.data())
@unhurried
def test_a_cut_leaves_the_text_up_to_it(text: str, data: st.DataObject) -> None:
    line = through_g711(spoken(text))
    cut = data.draw(st.integers(0, len(line) // 2))
    heard = EAR.hear(line[: 2 * cut], 8_000)
    whole = int(cut / 8 / CHARACTER_MS)
    assert text.startswith(heard)
    assert whole <= len(heard) <= whole + 1


@given(texts, st.data())
@unhurried
def test_audio_that_begins_within_the_text_is_heard_from_there(text: str, data: st.DataObject) -> None:
    line = through_g711(spoken(text))
    cut = data.draw(st.integers(0, len(line) // 2))
    heard = EAR.hear(line[2 * cut :], 8_000)
    assert text.endswith(heard)
    assert len(heard) >= len(text) - int(cut / 8 / CHARACTER_MS) - 1


@given(st.text(PRINTABLE, min_size=30, max_size=60), st.integers(0, 2**32), st.booleans(), st.integers(0, 159))
@unhurried
def test_lost_packets_cost_only_the_characters_they_hit(
    text: str, seed: int, concealed: bool, offset: int
) -> None:
    chance = random.Random(seed)
    line = bytes(2 * offset) + through_g711(spoken(text))
    packets = [line[at : at + 320] for at in range(0, len(line), 320)]
    lost = {at for at in range(len(packets)) if chance.random() < 0.02}
    received = b"".join(
        bytes(len(packet)) * concealed if at in lost else packet for at, packet in enumerate(packets)
    )
    hit = {(at * 160 - offset + sample) // 320 for at in lost for sample in range(160)}
    heard = EAR.hear(received, 8_000)
    assert is_subsequence("".join(c for at, c in enumerate(text) if at not in hit), heard)
    assert is_subsequence(heard, text)


@given(st.text(PRINTABLE, min_size=1, max_size=20), st.integers(1, 14), st.data())
@unhurried
def test_a_gap_in_playout_costs_nothing(text: str, packets: int, data: st.DataObject) -> None:
    line = through_g711(spoken(text))
    at = 320 * data.draw(st.integers(0, 2 * len(text)))
    assert EAR.hear(line[:at] + silence(20 * packets) + line[at:], 8_000) == text


def test_two_utterances_are_two_words() -> None:
    assert EAR.hear(spoken("yes") + silence(400) + spoken("please"), 8_000) == "yes please"


@given(st.binary(max_size=4000))
@unhurried
def test_any_bytes_can_be_heard(noise: bytes) -> None:
    assert EAR.hear(noise, 8_000).strip(PRINTABLE) == ""


def test_silence_and_noise_say_nothing() -> None:
    noise = np.random.default_rng(0).normal(0, 1000, 40_000).astype("<i2").tobytes()
    assert EAR.hear(silence(3_000), 8_000) == ""
    assert len(EAR.hear(noise, 8_000)) < 5


def test_two_characters_at_once_are_neither() -> None:
    assert EAR.hear(audioop.add(spoken("A" * 5), spoken("z" * 5), 2), 8_000) == ""


def test_tones_too_quiet_for_a_telephone_are_not_heard() -> None:
    assert EAR.hear(audioop.mul(spoken("hello"), 2, 0.005), 8_000) == ""


def test_what_is_not_ascii_is_replaced() -> None:
    assert EAR.hear(spoken("Zoë\tpaid\n5 €"), 8_000) == "Zoe paid 5 ?"


def test_tones_are_as_loud_as_speech_and_last_their_time() -> None:
    line = spoken(string.ascii_letters)
    assert len(line) == 2 * 8 * CHARACTER_MS * 52
    assert 20 * np.log10(audioop.rms(line, 2) / 32768) == pytest.approx(-20.3, abs=0.5)


def test_a_rate_without_tones_is_refused() -> None:
    with pytest.raises(ValueError, match="not at 44100"):
        ToneVoice(44_100)


def edges(line: bytes, silence_ms: int = 500, piece: int = 320) -> list[tuple[SpeechEdge, float]]:
    """Give each edge with the ms of audio that had passed when it was found."""
    detector = ToneDetector(silence_ms)
    return [
        (edge, (at + piece) / 16)
        for at in range(0, len(line), piece)
        for edge in detector.detect(line[at : at + piece])
    ]


@given(st.integers(0, 2_000), st.integers(1, 50), st.sampled_from([1.0, 0.1]), st.sampled_from([200, 500]))
@unhurried
def test_speech_is_detected_in_time(start_ms: int, length: int, gain: float, silence_ms: int) -> None:
    end_ms = start_ms + length * CHARACTER_MS
    speech = silence(start_ms) + spoken("m" * length) + silence(1_000)
    (start, start_found_ms), (stop, stop_found_ms) = edges(
        through_g711(audioop.mul(speech, 2, gain)), silence_ms
    )
    assert (start.started, stop.started) == (True, False)
    assert start.at_ms == pytest.approx(start_ms, abs=10)
    assert stop.at_ms == pytest.approx(end_ms, abs=10)
    assert start_found_ms <= start_ms + 60
    assert stop_found_ms == pytest.approx(end_ms + silence_ms, abs=40)


def test_a_pause_shorter_than_the_silence_is_speech() -> None:
    found = [edge for edge, _ in edges(spoken("one") + silence(480) + spoken("two") + silence(600))]
    assert found == [SpeechEdge(True, 0.0), SpeechEdge(False, 720.0)]


@pytest.mark.parametrize(("amplitude", "found"), [(131, 1), (129, 0)])
def test_speech_is_louder_than_48_db_below_full_scale(amplitude: int, found: int) -> None:
    assert len(edges(amplitude.to_bytes(2, "little") * 2_000)) == found


def test_a_click_is_no_speech() -> None:
    assert edges(silence(300) + spoken("x")[:160] + silence(1_000)) == []


@given(texts, st.integers(100, 2_000))
@unhurried
def test_the_size_of_pieces_makes_no_difference(text: str, piece: int) -> None:
    line = silence(130) + spoken(text) + silence(700)
    detector, other = ToneDetector(), ToneDetector()
    pieces = [line[at : at + piece] for at in range(0, len(line), piece)]
    assert [edge for part in pieces for edge in detector.detect(part)] == other.detect(line)
