from __future__ import annotations

import numpy as np
import pytest

from callpipe.transports.speech.hibari_voice import HibariVoice
from callpipe.transports.speech.interfaces import SpeechEdge
from callpipe.transports.speech.silero_detector import SileroDetector

from .telephone import over_the_line

pytestmark = pytest.mark.offline


def edges(line: bytes, silence_ms: int = 500) -> list[tuple[SpeechEdge, float]]:
    """Give each edge with the ms of audio that had passed when it was found."""
    detector = SileroDetector(silence_ms)
    return [
        (edge, (at + 320) / 16)
        for at in range(0, len(line), 320)
        for edge in detector.detect(line[at : at + 320])
    ]


@pytest.mark.parametrize("before_ms", [0, 700, 9_300])
def test_speech_is_found_with_its_end(before_ms: int) -> None:
    line = over_the_line(
        HibariVoice(), "What time do you open on Saturday?", before_ms=before_ms, after_ms=1_000
    )
    end_ms = len(line) / 16 - 1_000 - 250
    (start, start_found_ms), (stop, stop_found_ms) = edges(line)
    assert (start.started, stop.started) == (True, False)
    assert before_ms <= start.at_ms <= before_ms + 300
    assert start_found_ms - start.at_ms <= 64 + 32 + 20
    assert stop.at_ms == pytest.approx(end_ms, abs=200)
    assert 500 <= stop_found_ms - stop.at_ms <= 500 + 32 + 20


def test_noise_and_silence_are_no_speech() -> None:
    noise = np.random.default_rng(0).normal(0, 300, 80_000).astype("<i2").tobytes()
    assert edges(bytes(160_000) + noise) == []


def test_streams_do_not_disturb_each_other() -> None:
    line = over_the_line(HibariVoice(), "Good evening, how are you?", before_ms=500, after_ms=900)
    alone = [edge for edge, _ in edges(line)]
    first, second = SileroDetector(), SileroDetector()
    found: list[SpeechEdge] = []
    for at in range(0, len(line), 320):
        found += first.detect(line[at : at + 320])
        second.detect(line[-320 - at :][:320])
    assert found == alone


def test_the_size_of_pieces_makes_no_difference() -> None:
    line = over_the_line(HibariVoice(), "Hello?", before_ms=300, after_ms=900)
    detector = SileroDetector()
    odd = [edge for at in range(0, len(line), 777) for edge in detector.detect(line[at : at + 777])]
    assert odd == SileroDetector().detect(line)
