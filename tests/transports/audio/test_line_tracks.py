"""The line's two tracks, on a perfect line."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.transports.audio.formats import PCMU_8K, AudioFormat, Encoding
from callpipe.transports.audio.g711 import MULAW_SILENCE
from callpipe.transports.audio.line_tracks import LineAudio, LineTracks
from callpipe.transports.audio.playhead import CarrierClock, Playhead
from callpipe.transports.errors import FormatMismatchError

MAX_WAITING_S = 120.0

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

    def __init__(self, *, prebuffer_ms: float = 0.0) -> None:
        self.playhead = Playhead(prebuffer_ms=prebuffer_ms)
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
            self.tracks.received((self.packets - 1) * PACKET, payload, self.now)

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
        line.tracks.received(PACKET, b"\x22" * PACKET, line.now)
        line.take()
        assert line.caller == CALLER + b"\x22" * PACKET + CALLER

    def test_a_packet_that_comes_too_late_or_twice_changes_nothing(self) -> None:
        line = Line()
        line.hear(2)
        line.take()
        line.tracks.received(0, b"\x22" * PACKET, line.now)
        line.tracks.received(PACKET, b"\x22" * PACKET, line.now)
        line.hear(1)
        line.tracks.received(2 * PACKET, CALLER, line.now)
        line.take()
        assert line.caller == CALLER * 3

    def test_a_late_packet_that_reaches_into_the_unsettled_counts_there(self) -> None:
        line = Line()
        line.hear(1)
        line.take()
        line.packets += 1
        line.tracks.received(PACKET // 2, b"\x22" * PACKET, line.now)
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
        line = Line(prebuffer_ms=100)
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

    def test_the_prebuffer_moves_what_was_heard(self) -> None:
        line, said = Line(prebuffer_ms=40), distinct(PACKET)
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
            line.tracks.received(number * PACKET, CALLER, arrival)
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
        line.tracks.received(line.packets * PACKET, CALLER, line.now)
        line.tracks.finish(line.now + 1)
        assert [piece.reads for piece in pieces[:50]] == [0] * 50

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


steps = st.one_of(
    st.tuples(st.sampled_from(["hear", "lose"]), st.integers(1, 12)),
    st.tuples(st.just("say"), st.integers(0, 3_000)),
    st.tuples(st.sampled_from(["clear", "take"]), st.just(0)),
)


@settings(deadline=None)  # the machine may be busy
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
