"""A call's recording holds what the caller said, and what they heard, on the carrier's clock."""

import random
import string
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from callpipe.pipelines import Call, Pipeline, passthrough_call, realtime_call
from callpipe.processors.disk import shared_writer
from callpipe.transports.bandwidth.emulator import CallerScript, Line
from callpipe.transports.bandwidth.emulator.caller import PACKET_BYTES
from callpipe.transports.bandwidth.emulator.line import BurstLoss
from callpipe.transports.bandwidth.emulator.script import HangUp, Say, Silence, Step

from .virtual_call import HeldCall, Scene, sentences

MS = 8
"""Samples."""
JITTER_MS = 30
LONGEST_LAG_MS = 400
PAUSE_MS = 25
"""Silence that parts two answers; within one there is none so long."""

Samples = NDArray[np.int16]


def realtime(call: Call) -> Pipeline:
    return realtime_call(call, instructions="Recite.")


def passthrough(call: Call) -> Pipeline:
    return passthrough_call(call, instructions="Recite.")


def recorded_call(build: Callable[[Call], Pipeline], line: Line, folder: Path, *, minutes: float) -> HeldCall:
    """A caller who says this and that, and hears out some of the answers, the last among them."""
    chance = random.Random(3)
    steps: list[Step] = []
    durations_ms: list[float] = []
    left_ms = minutes * 60_000
    while left_ms > 0:
        words = "".join(chance.choices(string.ascii_letters, k=chance.randrange(5, 50)))
        durations_ms.append(chance.randrange(2_000, 8_000, 40))
        pause_ms = 2_000 + chance.uniform(0, 1.2 * durations_ms[-1])
        steps += [Say(text=words), Silence(ms=pause_ms)]
        left_ms -= 40 * len(words) + pause_ms
    script = CallerScript.model_construct(steps=(*steps, Silence(ms=8_000), HangUp()))
    call = Scene(script, sentences(durations_ms, seed=3), build, line=line, folder=folder).hold()
    assert shared_writer().wait(10)
    assert call.reason == "caller"
    return call


def channels(recording: Path) -> tuple[Samples, Samples]:
    with wave.open(str(recording)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8_000, 2, 2)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return both[:, 0], both[:, 1]


@dataclass
class Segment:
    """A stretch of the bot's channel between silences, and where it is best found in what the caller heard."""

    duration_ms: float
    lag_ms: float
    correlation: float


def segments(bot: Samples, heard: Samples) -> list[Segment]:
    loud = np.flatnonzero(bot)
    stretches = np.split(loud, np.flatnonzero(np.diff(loud) > PAUSE_MS * MS) + 1)
    return [found(bot, heard, int(stretch[0]), int(stretch[-1]) + 1) for stretch in stretches]


def found(bot: Samples, heard: Samples, start: int, end: int) -> Segment:
    recorded = bot[start:end].astype(np.float64)
    around = np.zeros(len(recorded) + LONGEST_LAG_MS * MS)
    audible = heard[start : start + len(around)]
    around[: len(audible)] = audible
    # Correlation as a product of spectra, each lag over the energy that is heard at it.
    spectrum = np.fft.rfft(around) * np.fft.rfft(recorded, len(around)).conj()
    products = np.fft.irfft(spectrum, len(around))[: LONGEST_LAG_MS * MS]
    energy_until = np.concatenate([[0.0], np.cumsum(around**2)])
    energy = energy_until[len(recorded) : -1] - energy_until[: LONGEST_LAG_MS * MS]
    match = products / np.sqrt(np.maximum(energy, 1) * (recorded @ recorded))
    lag = int(match.argmax())
    return Segment(len(recorded) / MS, lag / MS, float(match[lag]))


@pytest.mark.parametrize(("build", "drift_ppm"), [(realtime, 100), (realtime, -100), (passthrough, 100)])
def test_ten_minutes_are_recorded_as_they_were_said_and_heard(
    build: Callable[[Call], Pipeline], drift_ppm: float, tmp_path: Path
) -> None:
    line = Line(one_way_ms=80, jitter_ms=JITTER_MS, drift_ppm=drift_ppm, seed=4)
    call = recorded_call(build, line, tmp_path, minutes=10)
    said, heard = (np.frombuffer(track, "<i2") for track in (call.report.said, call.report.heard))
    caller, bot = channels(call.recording)

    # The carrier's clock: 100 ppm of ten minutes are 60 ms.
    assert len(said) >= 600_000 * MS
    assert abs(len(caller) - len(said)) <= 20 * MS
    np.testing.assert_array_equal(caller, said[: len(caller)])

    answers = segments(bot, heard)
    lags_ms = [answer.lag_ms for answer in answers]
    correlations = [answer.correlation for answer in answers]
    print(
        f"{len(answers)} answers, correlation {min(correlations):.4f}, lag {min(lags_ms)} to {max(lags_ms)} ms"
    )
    assert len(call.report.cuts) > len(answers) / 3
    for answer, burst in zip(answers, call.report.bursts, strict=True):
        assert abs(answer.duration_ms - burst.heard_ms) <= JITTER_MS + 5
    assert min(correlations) >= 0.95
    # What the line hides stays; the jitter of each answer's first packet is all that changes.
    assert max(lags_ms) - min(lags_ms) <= JITTER_MS + 5


def test_lost_packets_are_silence_and_all_else_stays_in_its_place(tmp_path: Path) -> None:
    line = Line(one_way_ms=80, jitter_ms=JITTER_MS, loss=0.05, burst_packets=4, seed=9)
    call = recorded_call(realtime, line, tmp_path, minutes=2)
    caller, bot = channels(call.recording)

    expected = np.frombuffer(call.report.said, "<i2").reshape(-1, PACKET_BYTES).copy()
    loss = BurstLoss(line)
    lost = np.array([loss.lost() for _ in expected])
    received = np.flatnonzero(~lost)
    assert 0.03 < lost.mean() < 0.08
    assert np.any(expected[lost])
    expected[lost] = 0
    np.testing.assert_array_equal(caller, expected[received[0] : received[-1] + 1].ravel())

    answers = segments(bot, np.frombuffer(call.report.heard, "<i2")[int(received[0]) * PACKET_BYTES :])
    assert len(answers) == len(call.report.bursts)
    assert min(answer.correlation for answer in answers) >= 0.95
