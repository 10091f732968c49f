"""Minutes of both tracks against a carrier's playout: jitter, loss, cuts and a clock of its own."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from callpipe.transports.audio.g711 import MULAW_SILENCE, decode_mulaw, encode_mulaw
from callpipe.transports.audio.line_tracks import LineAudio, LineTracks
from callpipe.transports.audio.playhead import CarrierClock, Playhead
from callpipe.transports.frames import EncodedAudio

PACKET = 160
CALLER = bytes([0x11]) * PACKET
SILENCE = MULAW_SILENCE

Samples = NDArray[np.float64]


def samples_of(mulaw: bytes) -> Samples:
    return np.frombuffer(decode_mulaw(mulaw), "<i2").astype(np.float64)


class CarrierPlayout:
    """What the caller hears: queued audio plays on the carrier's own clock, a clear empties the queue."""

    def __init__(self, seconds: float, rate: float) -> None:
        self.rate = rate
        self.heard = bytearray(SILENCE * int((seconds + 60) * rate))
        self.ends_at = 0
        self.cuts: list[int] = []

    def play(self, audio: bytes, arrival: float) -> None:
        start = max(int(arrival * self.rate), self.ends_at)
        self.heard[start : start + len(audio)] = audio
        self.ends_at = start + len(audio)

    def clear(self, arrival: float) -> None:
        at = int(arrival * self.rate)
        if at < self.ends_at:
            self.heard[at : self.ends_at] = SILENCE * (self.ends_at - at)
            self.ends_at = at
            self.cuts.append(at)


class Conversation:
    """A bot answers in deltas faster than real time and is cut at random; sample 0 is spoken at 0.0 s."""

    def __init__(
        self, *, seconds: float, drift_ppm: float, jitter_ms: float, seed: int, delay_ms: float = 0
    ) -> None:
        self.rate = 8_000 * (1 + drift_ppm * 1e-6)
        self.random = random.Random(seed)
        self.jitter_ms = jitter_ms
        self.delay_ms = delay_ms
        self.seconds = seconds
        self.carrier = CarrierPlayout(seconds, self.rate)
        self.playhead, self.clock = Playhead(), CarrierClock()
        self.tracks = LineTracks(self.playhead, self.clock)
        self.events = sorted(self._packets() + self._answers(), key=lambda event: event[0])
        self.given: list[LineAudio] = []
        self.last_arrival = 0.0
        self.spoken = 0

    def _late(self) -> float:
        return (self.delay_ms + self.random.uniform(0, self.jitter_ms)) / 1000

    def _packets(self) -> list[tuple[float, str, bytes]]:
        """Caller's packets, 0.5 % of them lost, in the order they were spoken."""
        arrival, events = 0.0, list[tuple[float, str, bytes]]()
        for number in range(int(self.seconds * self.rate / PACKET)):
            arrival = max(arrival, (number + 1) * PACKET / self.rate + self._late())
            lost = number > 0 and self.random.random() < 0.005
            events.append((arrival, "lost" if lost else "packet", b""))
        return events

    def _answers(self) -> list[tuple[float, str, bytes]]:
        now, events, number = 0.7, list[tuple[float, str, bytes]](), 0
        while now < self.seconds - 15:
            number += 1
            deltas = self.random.randint(3, 40)
            noise = np.random.default_rng(number).normal(0, 6_000, deltas * 1_600).clip(-32_768, 32_767)
            audio = encode_mulaw(noise.astype("<i2").tobytes())
            ends = now
            for at in range(0, len(audio), 1_600):
                events.append((now + at / 1_600 * 0.06, "say", audio[at : at + 1_600]))
                ends = max(ends, events[-1][0]) + 0.2
            if self.random.random() < 0.4:
                cut = self.random.uniform(now + deltas * 0.06, now + deltas * 0.2 + 0.1)
                events.append((cut, "clear", b""))
                now = cut + self.random.choice([0.0, 0.3, 2.0])
            else:
                now += deltas * 0.2 + self.random.uniform(0.2, 2.0)
        return events

    def _arrives(self, now: float) -> float:
        self.last_arrival = max(self.last_arrival, now + self._late())
        return self.last_arrival

    def run(self) -> None:
        for now, what, audio in self.events:
            if what == "say":
                self.say(now, audio)
            elif what == "clear":
                self.playhead.cleared(now)
                self.carrier.clear(self._arrives(now))
            else:
                self.hear(now, lost=what == "lost")
        self._keep(self.tracks.finish(self.events[-1][0]))

    def say(self, now: float, audio: bytes) -> None:
        self.playhead.sent(len(audio) / 8, now)
        self.tracks.sent(EncodedAudio(audio=audio), now)
        self.carrier.play(audio, self._arrives(now))

    def hear(self, now: float, *, lost: bool) -> None:
        self.spoken += PACKET
        if not lost:
            self.tracks.received(self.spoken - PACKET, CALLER, now)
            if self.spoken % (5 * PACKET) == 0:
                self._keep(self.tracks.take(now))

    def _keep(self, taken: LineAudio | None) -> None:
        if taken is not None:
            self.given.append(taken)


def segments(heard: bytes, cuts: Sequence[int]) -> list[tuple[int, int]]:
    """Stretches of sound between cuts and pauses of more than 2 ms, at least 300 ms long."""
    sounds = np.flatnonzero(np.frombuffer(heard, np.uint8) != 0xFF)
    breaks = np.flatnonzero(np.diff(sounds) > 16)
    starts = [int(sounds[0]), *(int(sounds[at + 1]) for at in breaks)]
    ends = [*(int(sounds[at]) + 1 for at in breaks), int(sounds[-1]) + 1]
    found: list[tuple[int, int]] = []
    for start, end in zip(starts, ends, strict=True):
        inner = [cut for cut in cuts if start < cut < end]
        bounds = [start, *inner, end]
        found += [(a, b) for a, b in pairwise(bounds) if b - a >= 2_400]
    return found


def best_match(recorded: Samples, heard: Samples, start: int, end: int, reach: int) -> tuple[float, int]:
    """Return the highest cross-correlation of a segment within the reach, and its lag in samples."""
    segment = heard[start:end]
    first = max(start - reach, 0)
    stretch = recorded[first : end + reach]
    size = 1 << int(stretch.size + segment.size).bit_length()
    products = np.fft.irfft(np.fft.rfft(stretch, size) * np.conj(np.fft.rfft(segment, size)), size)
    lag = int(np.argmax(products[: stretch.size - segment.size + 1]))
    found = stretch[lag : lag + segment.size]
    norm = float(np.linalg.norm(found) * np.linalg.norm(segment))
    return float(found @ segment) / max(norm, 1e-9), first + lag - start


@pytest.mark.parametrize(("drift_ppm", "seed"), [(100.0, 1), (-100.0, 2), (0.0, 3)])
def test_ten_minutes_are_recorded_as_the_caller_heard_them(drift_ppm: float, seed: int) -> None:
    call = Conversation(seconds=600, drift_ppm=drift_ppm, jitter_ms=30, seed=seed)
    call.run()

    position = 0
    for taken in call.given:
        assert taken.position == position
        assert len(taken.caller) == len(taken.bot)
        position += len(taken.bot)
    assert position == call.spoken
    assert abs(position - call.seconds * call.rate) <= 0.020 * 8_000

    bot = b"".join(taken.bot for taken in call.given)
    recorded, heard = samples_of(bot), samples_of(bytes(call.carrier.heard[:position]))
    stretches = segments(bytes(call.carrier.heard[:position]), call.carrier.cuts)
    assert len(stretches) > 80
    assert len(call.carrier.cuts) > 20
    for start, end in stretches:
        correlation, lag = best_match(recorded, heard, start, end, reach=480)
        assert correlation >= 0.95, (start, end, correlation)
        assert abs(lag) <= 0.035 * 8_000, (start, lag)


def test_a_long_answer_is_followed_without_gaps_on_a_drifting_clock() -> None:
    call = Conversation(seconds=120, drift_ppm=100, jitter_ms=30, seed=6)
    said = random.Random(1).randbytes(100 * 8_000)
    call.events = [event for event in call.events if event[1] not in ("say", "clear")]
    call.events += [(1.0 + at / 8_000 * 0.8, "say", said[at : at + 1_600]) for at in range(0, len(said), 1_600)]
    call.events.sort(key=lambda event: event[0])
    call.run()
    bot = b"".join(taken.bot for taken in call.given)
    assert said in bot
    assert abs(bot.index(said) - bytes(call.carrier.heard).index(said)) <= 0.035 * 8_000


def test_memory_stays_constant_over_the_call() -> None:
    playhead, clock = Playhead(), CarrierClock()
    tracks = LineTracks(playhead, clock)
    sizes: list[int] = []
    tracemalloc.start()
    for packet in range(50 * 240):
        now = 1.0 + packet * 0.02
        tracks.received(packet * PACKET, bytes(bytearray(CALLER)), now)
        if packet % 500 == 0:
            for _ in range(45):
                playhead.sent(200, now, str(packet))
                tracks.sent(EncodedAudio(audio=bytes(bytearray(1_600))), now)
        if packet % 1_500 == 400:
            playhead.cleared(now)
        if packet % 5 == 0:
            tracks.take(now)
        if packet % 500 == 499:
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(sizes[12:]) - max(sizes[:12]) < 20_000  # in two minutes both tracks have 1,920,000 bytes
