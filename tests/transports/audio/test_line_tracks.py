"""The line's two tracks: small cases, and ten minutes against a carrier's playout on a clock of its own."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from callpipe.transports.audio.formats import PCM_8K, PCM_16K, PCM_24K, PCMU_8K, AudioFormat, Encoding
from callpipe.transports.audio.g711 import MULAW_SILENCE, decode_mulaw, encode_mulaw
from callpipe.transports.audio.line_tracks import MAX_WAITING_S, LineAudio, LineTracks
from callpipe.transports.audio.playhead import CarrierClock, Playhead
from callpipe.transports.audio.resampler import StreamResampler
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.frames import EncodedAudio

PACKET = 160
CALLER = bytes([0x11]) * PACKET
SILENCE = MULAW_SILENCE
STARTS_AT = 1_000.0
"""When the caller's sample 0 is spoken, in s."""


@dataclass
class Piece:
    """A sent piece; counts how often it was read."""

    audio_bytes: bytes
    audio_format: AudioFormat = PCMU_8K
    reads: int = 0

    @property
    def audio(self) -> bytes:
        self.reads += 1
        return self.audio_bytes


class Line:
    """Tracks on a perfect line: packet number n, from 0 on, arrives when its last sample is spoken."""

    def __init__(self, *, line_delay_ms: float = 0.0) -> None:
        self.playhead = Playhead(line_delay_ms=line_delay_ms)
        self.clock = CarrierClock()
        self.tracks = LineTracks(self.playhead, self.clock)
        self.given: list[LineAudio] = []
        self.packets = 0

    @property
    def now(self) -> float:
        return STARTS_AT + self.packets * 0.02

    def hear(self, count: int, payload: bytes = CALLER) -> None:
        for _ in range(count):
            self.packets += 1
            self.clock.received(self.packets * PACKET, self.now)
            self.tracks.received((self.packets - 1) * PACKET, payload)

    def say(self, piece: Piece, now: float | None = None) -> None:
        now = self.now if now is None else now
        self.playhead.sent(piece.audio_format.duration_ms(len(piece.audio_bytes)), now)
        self.tracks.sent(piece, now)

    def take(self) -> LineAudio | None:
        taken = self.tracks.take(self.now)
        if taken is not None:
            self.given.append(taken)
        return taken

    @property
    def caller(self) -> bytes:
        return b"".join(taken.caller for taken in self.given)

    @property
    def bot(self) -> bytes:
        return b"".join(taken.bot for taken in self.given)


def distinct(count: int, seed: int = 1) -> bytes:
    """Mu-law codes that are never silence and differ from place to place."""
    return random.Random(seed).randbytes(count).replace(b"\xff", b"\x01").replace(b"\x7f", b"\x02")


class TestCallersTrack:
    def test_packets_in_order_are_given_once(self) -> None:
        line = Line()
        assert line.take() is None
        line.hear(2)
        assert line.take() == LineAudio(0, CALLER * 2, SILENCE * 2 * PACKET)
        assert line.take() is None
        line.hear(1)
        assert line.take() == LineAudio(2 * PACKET, CALLER, SILENCE * PACKET)

    def test_what_was_lost_is_silence(self) -> None:
        line = Line()
        line.hear(1)
        line.packets += 2
        line.hear(1)
        line.take()
        assert line.caller == CALLER + SILENCE * 2 * PACKET + CALLER

    def test_a_late_packet_fills_its_gap(self) -> None:
        line = Line()
        line.hear(1)
        line.packets += 1
        line.hear(1)
        line.tracks.received(PACKET, b"\x22" * PACKET)
        line.take()
        assert line.caller == CALLER + b"\x22" * PACKET + CALLER

    def test_a_packet_that_comes_too_late_or_twice_changes_nothing(self) -> None:
        line = Line()
        line.hear(2)
        line.take()
        line.tracks.received(0, b"\x22" * PACKET)
        line.tracks.received(PACKET, b"\x22" * PACKET)
        line.hear(1)
        line.tracks.received(2 * PACKET, CALLER)
        line.take()
        assert line.caller == CALLER * 3

    def test_a_late_packet_that_reaches_into_the_unsettled_counts_there(self) -> None:
        line = Line()
        line.hear(1)
        line.take()
        line.tracks.received(PACKET // 2, b"\x22" * PACKET)
        line.packets += 1
        line.clock.received(2 * PACKET, line.now)
        line.take()
        assert line.caller == CALLER + b"\x22" * (PACKET // 2)

    def test_tracks_asked_for_within_a_call_begin_with_the_next_packet(self) -> None:
        line = Line()
        line.packets = 500
        line.hear(1)
        assert line.take() == LineAudio(500 * PACKET, CALLER, SILENCE * PACKET)


class TestBotsTrack:
    def test_audio_stands_where_it_was_heard(self) -> None:
        line, said = Line(), distinct(3 * PACKET)
        line.hear(5)
        line.say(Piece(said))
        line.hear(5)
        line.take()
        assert line.bot == SILENCE * 5 * PACKET + said + SILENCE * 2 * PACKET

    def test_pieces_sent_ahead_stand_sample_behind_sample(self) -> None:
        line, said = Line(), distinct(1_003)
        line.hear(1)
        for at in range(0, 1_003, 17):
            line.say(Piece(said[at : at + 17]))
        for _ in range(8):
            line.hear(1)
            line.take()
        assert line.bot == SILENCE * PACKET + said + SILENCE * (8 * PACKET - 1_003)

    def test_only_what_was_heard_is_given(self) -> None:
        line, said = Line(), distinct(10 * PACKET)
        line.hear(1)
        line.say(Piece(said))
        line.hear(2)
        taken = line.tracks.take(line.now - 0.01)
        assert taken is not None
        assert taken.bot == SILENCE * PACKET + said[: PACKET + PACKET // 2]
        assert len(taken.caller) == len(taken.bot)

    def test_a_clear_cuts_at_what_was_heard(self) -> None:
        line, said = Line(), distinct(10 * PACKET)
        line.hear(1)
        line.say(Piece(said[: 5 * PACKET]))
        line.say(Piece(said[5 * PACKET :]))
        line.hear(2)
        line.take()
        line.playhead.cleared(line.now + 0.005)
        line.hear(9)
        line.take()
        assert line.bot == SILENCE * PACKET + said[: 2 * PACKET + 40] + SILENCE * (9 * PACKET - 40)

    def test_a_new_answer_right_after_a_clear(self) -> None:
        line = Line()
        line.hear(1)
        old, waiting, new = distinct(5 * PACKET), distinct(5 * PACKET, seed=2), distinct(2 * PACKET, seed=3)
        line.say(Piece(old))
        line.say(Piece(waiting))
        line.hear(2)
        line.playhead.cleared(line.now)
        line.say(Piece(new))
        line.hear(3)
        line.take()
        assert line.bot == SILENCE * PACKET + old[: 2 * PACKET] + new + SILENCE * PACKET

    def test_pieces_cleared_before_they_were_heard_are_never_read(self) -> None:
        line = Line(line_delay_ms=100)
        line.hear(1)
        pieces = [Piece(distinct(PACKET)), Piece(distinct(PACKET))]
        for piece in pieces:
            line.say(piece)
        line.playhead.cleared(line.now)
        line.hear(20)
        line.take()
        assert [piece.reads for piece in pieces] == [0, 0]
        assert line.bot == SILENCE * 21 * PACKET

    def test_a_piece_is_read_once_and_only_when_it_is_heard(self) -> None:
        line, first, second = Line(), Piece(distinct(5 * PACKET)), Piece(distinct(PACKET))
        line.hear(1)
        line.say(first)
        line.say(second)
        for _ in range(3):
            line.hear(1)
            line.take()
        assert (first.reads, second.reads) == (1, 0)
        line.hear(5)
        line.take()
        assert (first.reads, second.reads) == (1, 1)

    def test_the_line_delay_moves_what_was_heard(self) -> None:
        line, said = Line(line_delay_ms=40), distinct(PACKET)
        line.hear(1)
        line.say(Piece(said))
        line.hear(5)
        line.take()
        assert line.bot == SILENCE * 3 * PACKET + said + SILENCE * 2 * PACKET

    def test_audio_heard_before_the_first_packet_lies_before_the_tracks(self) -> None:
        line, said = Line(), distinct(6 * PACKET)
        line.say(Piece(said), now=STARTS_AT - 0.08)
        line.hear(5)
        line.take()
        assert line.bot == said[4 * PACKET :] + SILENCE * 3 * PACKET

    def test_while_the_callers_track_stands_still_nothing_is_given_and_nothing_lost(self) -> None:
        line, said = Line(), distinct(100 * PACKET)
        pieces = [Piece(said[at : at + PACKET]) for at in range(0, len(said), PACKET)]
        line.hear(1)
        for piece in pieces:
            line.say(piece)
        line.take()
        assert line.tracks.take(line.now + 1.0) is None
        assert [piece.reads for piece in pieces] == [0] * 100
        line.hear(100)
        line.take()
        assert line.bot == SILENCE * PACKET + said

    def test_on_a_slow_carrier_a_run_never_overlaps_the_one_before(self) -> None:
        line, first, second = Line(), distinct(100 * 8_000, seed=1), distinct(800, seed=2)
        bot = b""
        for number in range(5_100):
            arrival = STARTS_AT + (number + 1) * 0.020_02  # 1,000 ppm slow: after 100 s it is 100 ms behind
            line.clock.received((number + 1) * PACKET, arrival)
            line.tracks.received(number * PACKET, CALLER)
            if number == 0:
                line.say(Piece(first), now=arrival)
            if number == 4_996:
                assert 0 < arrival - line.playhead.ends_at < 0.02  # a short pause for us, none for the carrier
                line.say(Piece(second), now=arrival)
            taken = line.tracks.take(arrival)
            bot += taken.bot if taken else b""
        assert first + second in bot

    def test_what_waits_for_a_caller_who_is_never_heard_is_bounded(self) -> None:
        line = Line()
        pieces = [Piece(distinct(8_000)) for _ in range(int(MAX_WAITING_S) + 60)]
        for second, piece in enumerate(pieces):
            line.say(piece, now=STARTS_AT + second)
        line.packets = len(pieces) * 50 - 1
        line.hear(1)
        line.tracks.finish(line.now)
        line.tracks.received(line.packets * PACKET, CALLER)
        line.tracks.finish(line.now + 1)
        assert [piece.reads for piece in pieces[:50]] == [0] * 50

    def test_broken_base64_is_silence_of_its_length(self) -> None:
        line, said = Line(), distinct(PACKET)
        line.hear(1)
        for encoded in (EncodedAudio(payload="*" * 216), EncodedAudio(audio=said)):
            line.playhead.sent(encoded.duration_ms, line.now)
            line.tracks.sent(encoded, line.now)
        line.hear(3)
        line.take()
        broken = EncodedAudio(payload="*" * 216).size
        assert line.bot == (SILENCE * (PACKET + broken) + said).ljust(4 * PACKET, SILENCE)

    @pytest.mark.parametrize(
        "audio_format",
        [
            AudioFormat(Encoding.PCMA, 8_000),
            AudioFormat(Encoding.PCM, 44_100),
            AudioFormat(Encoding.PCM, 8_000, 2),
        ],
    )
    def test_a_format_the_line_does_not_take_is_refused(self, audio_format: AudioFormat) -> None:
        line = Line()
        line.playhead.sent(20, 0.0)
        with pytest.raises(FormatMismatchError, match="bot"):
            line.tracks.sent(Piece(b"", audio_format), 0.0)

    def test_the_playhead_is_told_first(self) -> None:
        with pytest.raises(ValueError, match="playhead"):
            Line().tracks.sent(Piece(b""), 0.0)


class TestFinish:
    def test_everything_up_to_the_last_inbound_sample_is_given(self) -> None:
        line, said = Line(), distinct(10 * PACKET)
        line.hear(1)
        line.say(Piece(said))
        line.hear(4)
        line.take()
        line.hear(2)
        assert line.tracks.finish(line.now) == LineAudio(5 * PACKET, CALLER * 2, said[4 * PACKET : 6 * PACKET])
        assert line.tracks.finish(line.now) is None

    def test_it_gives_what_the_clock_holds_back(self) -> None:
        line, said = Line(), distinct(10 * PACKET)
        line.hear(1)
        line.say(Piece(said))
        line.hear(2)
        line.hear(2)
        finished = line.tracks.finish(line.now - 0.03)
        assert finished is not None
        assert finished.position == 0
        assert len(finished.caller) == len(finished.bot) == 5 * PACKET
        assert finished.bot[: 3 * PACKET] == SILENCE * PACKET + said[: 2 * PACKET]

    def test_without_a_packet_there_is_nothing(self) -> None:
        line = Line()
        line.say(Piece(distinct(PACKET)))
        assert line.tracks.finish(1.0) is None


Samples = NDArray[np.float64]


def samples_of(mulaw: bytes) -> Samples:
    return np.frombuffer(decode_mulaw(mulaw), "<i2").astype(np.float64)


def band_noise(seconds: float, seed: int) -> bytes:
    """PCM of 24 kHz with the telephone's band."""
    noise = np.random.default_rng(seed).normal(0, 5_000, int(seconds * 8_000)).clip(-32_768, 32_767)
    return StreamResampler(8_000, 24_000).resample(noise.astype("<i2").tobytes())


@pytest.mark.parametrize("chunk", [2, 482, 961, 9_600])
def test_pcm_is_given_as_pcmu_in_step_and_without_seams(chunk: int) -> None:
    chunk = chunk // 2 * 2
    pcm = band_noise(0.5, seed=4)
    whole = StreamResampler(24_000, 8_000)
    expected = encode_mulaw((whole.resample(pcm) + whole.flush())[round(whole.delay_ms * 8) * 2 :])
    line = Line()
    line.hear(2)
    for at in range(0, len(pcm), chunk):
        line.say(Piece(pcm[at : at + chunk], PCM_24K))
    for _ in range(30):
        line.hear(1)
        line.take()
    assert line.bot == (SILENCE * 2 * PACKET + expected).ljust(32 * PACKET, SILENCE)


def test_a_run_may_change_its_format() -> None:
    line, said = Line(), distinct(PACKET)
    line.hear(1)
    line.say(Piece(bytes(2 * 320), PCM_16K))
    line.say(Piece(said))
    line.say(Piece(bytes(2 * 480), PCM_24K))
    line.say(Piece(said))
    line.hear(5)
    line.take()
    assert line.bot == SILENCE * 2 * PACKET + said + SILENCE * PACKET + said + SILENCE * PACKET


def test_pcm_is_cut_at_what_was_heard() -> None:
    line, pcm = Line(), band_noise(1.0, seed=5)
    line.hear(1)
    line.say(Piece(pcm, PCM_24K))
    line.hear(3)
    line.playhead.cleared(line.now + 0.0105)
    line.hear(4)
    line.take()
    heard = len(line.bot.rstrip(SILENCE))
    assert heard == pytest.approx(4 * PACKET + 84, abs=3)


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
            self.clock.received(self.spoken, now)
            self.tracks.received(self.spoken - PACKET, CALLER)
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
    said = distinct(100 * 8_000)
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
        clock.received((packet + 1) * PACKET, now)
        tracks.received(packet * PACKET, bytes(bytearray(CALLER)))
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


steps = st.one_of(
    st.tuples(st.sampled_from(["hear", "lose"]), st.integers(1, 12)),
    st.tuples(st.just("say"), st.integers(0, 3_000)),
    st.tuples(st.sampled_from(["clear", "take"]), st.just(0)),
)


@given(st.lists(steps, max_size=60))
def test_any_call_gives_exactly_what_was_heard(script: list[tuple[str, int]]) -> None:
    line = Line()
    waiting, heard, said = bytearray(), bytearray(), bytearray()

    def play(count: int, inbound: bytes) -> None:
        heard.extend(bytes(waiting[: count * PACKET]).ljust(count * PACKET, SILENCE))
        del waiting[: count * PACKET]
        said.extend(inbound * count)

    for number, (what, count) in enumerate([*script, ("hear", 1)]):
        if what == "hear":
            line.hear(count)
            play(count, CALLER)
        elif what == "lose" and line.packets:
            line.packets += count
            play(count, SILENCE * PACKET)
        elif what == "say":
            audio = bytes([number + 1]) * count
            line.say(Piece(audio))
            waiting.extend(audio)
        elif what == "clear":
            line.playhead.cleared(line.now)
            waiting.clear()
        elif what == "take":
            line.take()
    finished = line.tracks.finish(line.now)
    line.given += [finished] if finished else []
    assert (line.caller, line.bot) == (bytes(said), bytes(heard))
    assert line.given[0].position == 0
    for before, after in pairwise(line.given):
        assert after.position == before.position + len(before.caller)
        assert len(after.caller) == len(after.bot)


@given(
    st.sampled_from([PCM_8K, PCM_16K, PCM_24K]),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 8), st.booleans()), max_size=30),
)
def test_pcm_of_any_sizes_keeps_both_tracks_in_step(
    audio_format: AudioFormat, script: list[tuple[int, int, bool]]
) -> None:
    line = Line()
    line.hear(1)
    for samples, packets, clears in script:
        line.say(Piece(bytes(2 * samples), audio_format))
        line.hear(packets)
        line.take()
        if clears:
            line.playhead.cleared(line.now)
    line.hear(1)
    finished = line.tracks.finish(line.now)
    line.given += [finished] if finished else []
    assert len(line.caller) == len(line.bot) == line.packets * PACKET
