"""The playhead against a playout of single milliseconds, and the carrier's clock against jitter and drift."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callpipe.transports.audio.playhead import CarrierClock, Playhead

MAX_ITEMS = 64


class TestPlayhead:
    def test_audio_starts_when_it_is_sent(self) -> None:
        playhead = Playhead()
        assert playhead.sent(200, 10.0, "a") == 10.0
        assert playhead.ends_at == pytest.approx(10.2)
        assert playhead.heard_ms("a", 10.05) == pytest.approx(50)
        assert playhead.unheard_ms(10.05) == pytest.approx(150)

    def test_audio_sent_ahead_plays_back_to_back(self) -> None:
        playhead = Playhead()
        first_ends = playhead.sent(200, 10.0, "a") + 0.2
        assert playhead.sent(100, 10.01, "a") == first_ends
        assert playhead.sent(100, 10.02, "b") == pytest.approx(10.3)
        assert playhead.heard_ms("a", 10.25) == pytest.approx(250)
        assert playhead.heard_ms("b", 10.25) == 0.0
        assert playhead.heard_ms("b", 10.35) == pytest.approx(50)

    def test_audio_after_a_pause_starts_afresh(self) -> None:
        playhead = Playhead()
        playhead.sent(100, 1.0, "a")
        assert playhead.sent(100, 3.0, "a") == 3.0
        assert playhead.heard_ms("a", 2.0) == 100
        assert playhead.heard_ms("a", 3.05) == pytest.approx(150)

    def test_a_prebuffer_delays_audio_that_starts_but_not_audio_that_goes_on(self) -> None:
        playhead = Playhead(prebuffer_ms=80)
        assert playhead.sent(60, 1.0, "a") == pytest.approx(1.08)
        assert playhead.heard_ms("a", 1.1) == pytest.approx(20)
        assert playhead.sent(100, 1.1, "a") == pytest.approx(1.14)

    @pytest.mark.parametrize(("duration_ms", "starts_at"), [(79.5, 2.08), (80.0, 2.0)])
    def test_a_prebuffer_is_filled_anew_by_what_comes_after_a_silence(
        self, duration_ms: float, starts_at: float
    ) -> None:
        playhead = Playhead(prebuffer_ms=80)
        playhead.sent(60, 1.0, "a")
        assert playhead.sent(duration_ms, 2.0, "b") == pytest.approx(starts_at)

    def test_a_prebuffer_that_is_full_plays_at_once(self) -> None:
        playhead = Playhead(prebuffer_ms=80)
        assert playhead.sent(80, 1.0, "a") == pytest.approx(1.0)
        assert playhead.sent(60, 2.0, "a") == pytest.approx(2.08)
        assert playhead.sent(20, 2.01, "b") == pytest.approx(2.07)
        assert playhead.ends_at == pytest.approx(2.09)
        assert playhead.heard_ms("a", 2.02) == pytest.approx(90)

    def test_after_a_clear_the_prebuffer_fills_anew(self) -> None:
        playhead = Playhead(prebuffer_ms=80)
        playhead.sent(500, 1.0, "a")
        playhead.cleared(1.2)
        assert playhead.sent(20, 1.2, "b") == pytest.approx(1.28)

    def test_a_clear_tells_of_every_unfinished_item(self) -> None:
        playhead = Playhead()
        for context_id, duration_ms in (("finished", 100), ("playing", 200), (None, 50), ("waiting", 300)):
            playhead.sent(duration_ms, 1.0, context_id)
        assert playhead.cleared(1.15) == {"playing": pytest.approx(50), "waiting": 0.0}
        assert playhead.unheard_ms(1.15) == 0.0
        assert playhead.cleared(1.15) == {}

    def test_heard_figures_stay_after_a_clear_and_new_audio_starts_at_once(self) -> None:
        playhead = Playhead()
        playhead.sent(1_000, 1.0, "a")
        playhead.cleared(1.25)
        assert playhead.ends_at == 1.25
        assert playhead.sent(100, 1.25, "b") == 1.25
        assert playhead.heard_ms("a", 9.0) == pytest.approx(250)
        assert playhead.heard_ms("b", 9.0) == 100

    def test_a_clear_before_the_first_sample_is_heard(self) -> None:
        playhead = Playhead(prebuffer_ms=300)
        playhead.sent(200, 1.0, "a")
        assert playhead.cleared(1.05) == {"a": 0.0}
        assert playhead.heard_ms("a", 9.0) == 0.0
        assert playhead.sent(10, 1.06, "b") == pytest.approx(1.36)

    def test_an_item_cut_twice_keeps_what_was_heard_of_both_parts(self) -> None:
        playhead = Playhead()
        playhead.sent(100, 1.0, "a")
        playhead.cleared(1.04)
        playhead.sent(100, 2.0, "a")
        assert playhead.cleared(2.03) == {"a": pytest.approx(70)}

    @pytest.mark.parametrize("duration_ms", [20.0, 33.3, 200.125, 7.7])
    def test_at_its_end_an_item_is_heard_to_the_last_bit(self, duration_ms: float) -> None:
        for number in range(500):
            playhead, now = Playhead(), 100_000 + number * 0.7
            playhead.sent(duration_ms, now, "a")
            assert playhead.heard_ms("a", playhead.ends_at) == duration_ms
            assert playhead.cleared(playhead.ends_at) == {}

    def test_a_clear_at_the_very_end_is_not_misled_by_rounding(self) -> None:
        playhead = Playhead()
        playhead.sent(191, 0.013, "a")
        assert playhead.ends_at > 0.204  # 0.013 + 0.191 rounds up
        assert playhead.cleared(0.204) == {}
        assert playhead.heard_ms("a", 0.204) == 191

    def test_nothing_was_sent(self) -> None:
        playhead = Playhead()
        assert playhead.ends_at == 0.0
        assert playhead.latest is None
        assert playhead.unheard_ms(5.0) == 0.0
        assert playhead.heard_ms("unknown", 5.0) == 0.0
        assert playhead.cleared(5.0) == {}

    def test_a_span_is_shortened_by_a_clear(self) -> None:
        playhead = Playhead()
        playhead.sent(100, 1.0, "a")
        playing = playhead.latest
        playhead.sent(100, 1.0, "a")
        waiting = playhead.latest
        assert playing is not None
        assert waiting is not None
        playhead.cleared(1.03)
        assert (playing.cut, playing.ends_at, playing.duration_ms) == (True, 1.03, pytest.approx(30))
        assert (waiting.cut, waiting.duration_ms) == (True, 0.0)

    def test_only_the_last_items_are_remembered(self) -> None:
        playhead = Playhead()
        for number in range(MAX_ITEMS + 10):
            playhead.sent(20, float(number), str(number))
        playhead.cleared(1_000.0)
        remembered = [number for number in range(MAX_ITEMS + 10) if playhead.heard_ms(str(number), 1_000.0)]
        assert remembered == list(range(10, MAX_ITEMS + 10))


@dataclass
class MillisecondPlayout:
    """What a playhead says, found by playing every millisecond on its own."""

    prebuffer_ms: int
    now_ms: int = 0
    begins_at_ms: int = 0
    heard: dict[str, int] = field(default_factory=dict[str, int])
    waiting: deque[str | None] = field(default_factory=deque[str | None])

    def send(self, duration_ms: int, context_id: str | None) -> None:
        if not self.waiting:
            self.begins_at_ms = self.now_ms + self.prebuffer_ms
        self.waiting.extend([context_id] * duration_ms)
        if len(self.waiting) >= self.prebuffer_ms:
            self.begins_at_ms = min(self.begins_at_ms, self.now_ms)

    def clear(self) -> dict[str, int]:
        unfinished = {context_id for context_id in self.waiting if context_id is not None}
        self.waiting.clear()
        return {context_id: self.heard.get(context_id, 0) for context_id in unfinished}

    def play(self, milliseconds: int) -> None:
        for _ in range(milliseconds):
            if self.waiting and self.begins_at_ms <= self.now_ms:
                context_id = self.waiting.popleft()
                if context_id is not None:
                    self.heard[context_id] = self.heard.get(context_id, 0) + 1
            self.now_ms += 1


items = st.sampled_from(["a", "b", "c", None])
steps = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 400), items),
    st.tuples(st.just("wait"), st.integers(0, 500), st.none()),
    st.tuples(st.just("clear"), st.just(0), st.none()),
)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(steps, max_size=40), st.sampled_from([0, 60, 150]))
@example([("wait", 13, None), ("send", 191, "a"), ("wait", 191, None), ("clear", 0, None)], 0)
def test_agrees_with_a_playout_of_single_milliseconds(
    script: list[tuple[str, int, str | None]], prebuffer_ms: int
) -> None:
    playhead, playout = Playhead(prebuffer_ms=prebuffer_ms), MillisecondPlayout(prebuffer_ms)
    for what, milliseconds, context_id in script:
        now = playout.now_ms / 1000
        if what == "send":
            playhead.sent(milliseconds, now, context_id)
            playout.send(milliseconds, context_id)
        elif what == "wait":
            playout.play(milliseconds)
        else:
            assert playhead.cleared(now) == pytest.approx(playout.clear(), abs=1e-6)
        now = playout.now_ms / 1000
        for item in ("a", "b", "c"):
            assert playhead.heard_ms(item, now) == pytest.approx(playout.heard.get(item, 0), abs=1e-6)
        if prebuffer_ms == 0:
            assert playhead.unheard_ms(now) == pytest.approx(len(playout.waiting), abs=1e-6)


waits = st.floats(0, 1.0)
pieces = st.tuples(st.floats(0.125, 500), st.sampled_from(["a", "b"]), waits, st.booleans(), waits)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(pieces, max_size=30))
def test_heard_never_exceeds_what_was_sent_and_never_decreases(
    script: list[tuple[float, str, float, bool, float]],
) -> None:
    playhead, now = Playhead(), 100.0
    sent = {"a": 0.0, "b": 0.0}
    last = {"a": 0.0, "b": 0.0}
    for duration_ms, item, wait, clears, wait_again in script:
        ends_at = playhead.ends_at
        starts_at = playhead.sent(duration_ms, now, item)
        assert starts_at == max(now, ends_at)
        sent[item] += duration_ms
        now += wait
        if clears:
            told = playhead.cleared(now)
            assert all(heard == playhead.heard_ms(item, now) for item, heard in told.items())
        now += wait_again
        for each in ("a", "b"):
            heard = playhead.heard_ms(each, now)
            assert last[each] <= heard <= sent[each]
            last[each] = heard


PACKET = 160


def packets(
    seconds: float,
    *,
    drift_ppm: float = 0.0,
    jitter_ms: float = 30.0,
    stalls: tuple[tuple[float, float], ...] = (),
    delay_ms: float = 0.0,
    seed: int = 1,
) -> Iterator[tuple[int, float]]:
    """Give samples so far and arrival time of each packet, in order; spoken from 50.0 s on."""
    jitter = random.Random(seed)
    rate = 8_000 * (1 + drift_ppm * 1e-6)
    arrival = 0.0
    for number in range(1, int(seconds * 50) + 1):
        spoken = 50.0 + number * PACKET / rate
        arrival = max(arrival, spoken + (delay_ms + jitter.uniform(0, jitter_ms)) / 1000)
        for start, length in stalls:
            if start <= arrival - 50.0 < start + length:
                arrival = 50.0 + start + length
        yield number * PACKET, arrival


def errors_ms(clock: CarrierClock, arrivals: Iterator[tuple[int, float]], drift_ppm: float) -> list[float]:
    """Feed the clock, and return after each packet how many ms it is ahead of the truth."""
    found: list[float] = []
    for samples, arrival in arrivals:
        clock.received(samples, arrival)
        truth = (arrival - 50.0) * 8_000 * (1 + drift_ppm * 1e-6)
        found.append((clock.position(arrival) - truth) / 8)
    return found


class TestCarrierClock:
    def test_before_the_first_packet_the_position_is_0(self) -> None:
        assert CarrierClock().position(123.0) == 0.0

    def test_it_runs_between_packets_and_back(self) -> None:
        clock = CarrierClock()
        clock.received(160, 10.0)
        assert clock.position(10.5) == pytest.approx(4_160)
        assert clock.position(9.99) == pytest.approx(80)

    @pytest.mark.parametrize("drift_ppm", [-100.0, 0.0, 100.0])
    @pytest.mark.parametrize(("jitter_ms", "at_most", "on_average"), [(0, 2.1, 2), (30, 2.5, 2), (100, 10, 3)])
    def test_follows_drift_through_jitter_for_ten_minutes(
        self, drift_ppm: float, jitter_ms: float, at_most: float, on_average: float
    ) -> None:
        arrivals = packets(600, drift_ppm=drift_ppm, jitter_ms=jitter_ms)
        errors = errors_ms(CarrierClock(), arrivals, drift_ppm)
        assert max(map(abs, errors[500:])) < at_most
        assert sum(map(abs, errors[500:])) / len(errors[500:]) <= on_average
        assert min(errors) > -jitter_ms - 1  # from the first packet on

    @pytest.mark.parametrize("drift_ppm", [-100.0, 100.0])
    def test_follows_drift_for_three_hours(self, drift_ppm: float) -> None:
        errors = errors_ms(CarrierClock(), packets(3 * 3_600, drift_ppm=drift_ppm), drift_ppm)
        assert max(map(abs, errors[500:])) < 2.5

    def test_a_stall_does_not_move_it(self) -> None:
        arrivals = packets(60, stalls=((20.0, 0.5), (40.0, 5.0)))
        errors = errors_ms(CarrierClock(), arrivals, 0.0)
        assert max(map(abs, errors[500:])) < 2

    def test_lost_and_late_packets_do_not_move_it(self) -> None:
        lossy = random.Random(2)
        arrivals = [packet for packet in packets(60) if lossy.random() > 0.3]
        late = [(samples - 10 * PACKET, arrival) for samples, arrival in arrivals[::7]]
        in_time_order = iter(sorted(arrivals + late, key=lambda packet: packet[1]))
        assert max(map(abs, errors_ms(CarrierClock(), in_time_order, 0.0)[500:])) < 2

    def test_a_line_that_becomes_longer_is_followed_within_the_window(self) -> None:
        clock = CarrierClock()
        errors_ms(clock, packets(20), 0.0)
        longer = ((samples + 20 * 8_000, arrival + 20.0) for samples, arrival in packets(22, delay_ms=200))
        errors = errors_ms(clock, longer, 0.0)
        assert errors[-1] == pytest.approx(-200, abs=2)
