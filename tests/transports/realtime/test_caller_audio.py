"""Which of the caller's audio another session would need."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from callpipe.transports.audio.formats import PCM_24K, PCMA_8K, PCMU_8K, AudioFormat, Encoding
from callpipe.transports.audio.g711 import encode_alaw, encode_mulaw
from callpipe.transports.frames import EncodedAudio
from callpipe.transports.realtime.caller_audio import CallerAudio, loudness

LEAD_MS = 2_000.0
MAX_HELD_MS = 30_000.0


def packet(number: int = 0, ms: int = 20) -> EncodedAudio:
    return EncodedAudio(audio=number.to_bytes(2) * (4 * ms))


def keeper(audio_format: AudioFormat = PCMU_8K, *, detects_turns: bool = True) -> CallerAudio:
    return CallerAudio(audio_format, detects_turns=detects_turns)


def hold(audio: CallerAudio, packets: Iterable[EncodedAudio], begin_at: float = 0.0) -> None:
    now = begin_at
    for one in packets:
        now += one.duration_ms / 1000
        audio.hold(one.audio, now)


def held(count: int, *, detects_turns: bool = True) -> CallerAudio:
    audio = keeper(detects_turns=detects_turns)
    hold(audio, map(packet, range(count)))
    return audio


def restarted(audio: CallerAudio) -> EncodedAudio:
    """What a new session is sent, as one."""
    pieces = audio.restart(0.0)
    assert all(piece.duration_ms <= 100 for piece in pieces)
    return EncodedAudio(
        audio=b"".join(piece.audio for piece in pieces),
        audio_format=pieces[0].audio_format if pieces else PCMU_8K,
    )


def numbers(audio: EncodedAudio) -> list[int]:
    """The numbers of the packets that make the audio."""
    samples = audio.audio
    return [int.from_bytes(samples[place : place + 2]) for place in range(0, len(samples), 160)]


@pytest.mark.parametrize("count", [50, 51, 52, 53, 54, 55])
def test_every_packet_is_there_whenever_it_is_asked_for(count: int) -> None:
    assert numbers(held(count).ended()) == list(range(count))
    assert numbers(restarted(held(count))) == list(range(count))


def test_an_utterance_is_kept_from_its_start() -> None:
    audio = held(100)
    audio.started(1_000)
    audio.heard_of()

    assert numbers(restarted(audio)) == list(range(50, 100))


def test_a_turns_audio_is_given_out_and_kept_no_more() -> None:
    audio = held(100)
    audio.started(1_000)

    turn = audio.ended(1_600)

    assert numbers(turn) == list(range(50, 80))
    assert numbers(restarted(audio)) == list(range(80, 100))


def test_a_turn_ends_to_the_sample() -> None:
    audio = held(10)
    audio.started(0)

    assert len(audio.ended(109.125).audio) == 873
    assert len(audio.ended(131).audio) == 175
    assert len(audio.ended(131).audio) == len(audio.ended(20).audio) == 0


def test_packets_may_be_of_any_length() -> None:
    audio = keeper()
    hold(audio, [packet(ms=60), packet(ms=20), packet(ms=20)])

    assert audio.ended(70).duration_ms == 70
    assert audio.ended().duration_ms == 30


def test_half_a_sample_is_left_out() -> None:
    pcm = tone(8_000, ms=30) + b"\x01"
    audio = keeper(PCM_24K)
    audio.hold(pcm, 0.0)

    assert loudness(pcm, PCM_24K) == loudness(pcm[:-1], PCM_24K)
    assert len(restarted(audio).audio) == 480


def test_of_a_silent_caller_a_little_is_kept_when_the_server_gives_a_sign_of_life() -> None:
    audio = held(200)
    audio.heard_of()

    assert restarted(audio).duration_ms == LEAD_MS


OVER: list[Callable[[CallerAudio], object]] = [
    lambda audio: audio.ended(),
    lambda audio: audio.clear(),
    lambda audio: audio.restart(0.0),
]


@pytest.mark.parametrize("over", OVER, ids=["ended", "cleared", "told to another session"])
def test_a_caller_is_silent_when_their_turn_is_over(over: Callable[[CallerAudio], object]) -> None:
    audio = held(10)
    audio.started(0)
    over(audio)
    hold(audio, map(packet, range(200)))
    audio.heard_of()

    assert restarted(audio).duration_ms == LEAD_MS


def test_without_turn_detection_all_is_kept_until_a_turn_is_made_by_hand() -> None:
    audio = held(200, detects_turns=False)
    audio.heard_of()
    assert audio.ended().duration_ms == 4_000

    assert audio.restart(0.0) == []


def test_a_turn_that_the_server_does_not_take_belongs_to_the_next() -> None:
    audio = held(10, detects_turns=False)
    first = audio.ended()
    hold(audio, map(packet, range(10, 13)))

    audio.put_back(first)

    assert numbers(audio.ended()) == list(range(13))


def test_a_new_session_counts_from_zero() -> None:
    audio = held(100)
    audio.started(1_000)
    audio.restart(2.0)
    hold(audio, map(packet, range(100, 110)))

    audio.started(980)

    assert numbers(audio.ended(1_100)) == list(range(99, 105))


def test_it_is_known_when_the_audio_came_in() -> None:
    audio = held(100)
    assert audio.came_at(1_234.0) == pytest.approx(1.234)
    assert audio.came_at(2_001.0) is None

    hold(audio, map(packet, range(3)), begin_at=5.0)  # after a pause, and not put down yet
    assert audio.came_at(2_030.0) == pytest.approx(5.03)

    audio.hold(packet().audio, 9.0)
    audio.hold(packet().audio, 9.101)
    assert audio.came_at(2_079.0) == pytest.approx(8.999)

    audio.started(1_000)
    audio.restart(20.0)
    assert audio.came_at(600.0) == pytest.approx(20.0 - 0.5)


def test_memory_is_bounded_and_what_is_dropped_is_counted() -> None:
    audio = held(int(MAX_HELD_MS / 20) + 5)

    assert numbers(restarted(audio))[0] == 5
    assert audio.dropped_ms == 100

    full = audio.ended()
    hold(audio, [packet()])
    audio.put_back(full)
    audio.ended()
    assert audio.dropped_ms == 120


def test_what_is_cleared_is_not_kept() -> None:
    audio = held(13)
    audio.clear()

    assert audio.restart(0.0) == []


def test_what_is_cleared_counts_on_the_servers_time_line() -> None:
    audio = held(13)
    audio.clear()
    hold(audio, map(packet, range(13, 20)))

    assert numbers(audio.ended(300)) == [13, 14]


def test_pcm_comes_back_in_its_format_and_as_good_as_a_telephone_has_it() -> None:
    audio = keeper(PCM_24K)
    spoken = (8_000 * np.sin(np.arange(24_000) / 6)).astype("<i2")  # a second of 637 Hz
    pcm = [spoken[start : start + 480].tobytes() for start in range(0, 24_000, 480)]
    hold(audio, (EncodedAudio(audio=one, audio_format=PCM_24K) for one in pcm))

    sent = restarted(audio)

    assert (sent.audio_format, sent.duration_ms) == (PCM_24K, 1_000)
    told = np.frombuffer(sent.audio, "<i2")
    delay = 48  # of the filter
    error = told[delay:].astype(float) - spoken[:-delay]
    assert np.sqrt(np.mean(error[480:] ** 2)) < 0.03 * 8_000 / math.sqrt(2)
    kept = audio.ended()
    assert (len(kept.audio), kept.audio_format) == (8_000, PCMU_8K), "kept as the telephone carries it"
    assert audio.given(kept).audio == sent.audio


@pytest.mark.parametrize(
    "audio_format",
    [
        PCMA_8K,
        AudioFormat(Encoding.PCM, 11_025),
        AudioFormat(Encoding.PCM, 24_000, channels=2),
        AudioFormat(Encoding.PCMU, 24_000),
    ],
)
def test_audio_that_no_model_takes_on_a_telephone_is_kept_as_it_is(audio_format: AudioFormat) -> None:
    audio = keeper(audio_format)
    packets = [EncodedAudio(audio=bytes([number]) * 480, audio_format=audio_format) for number in range(3)]
    hold(audio, packets)

    sent = restarted(audio)

    assert (sent.audio, sent.audio_format) == (b"".join(one.audio for one in packets), audio_format)
    turn = audio.ended()
    assert audio.given(turn) is turn


def tone(amplitude: float, ms: int = 20) -> bytes:
    count = 8 * ms
    return b"".join(struct.pack("<h", int(amplitude * math.sin(n / 3))) for n in range(count))


@pytest.mark.parametrize(
    ("audio_format", "encode"), [(PCMU_8K, encode_mulaw), (PCMA_8K, encode_alaw), (PCM_24K, bytes)]
)
def test_loudness_is_the_same_in_every_encoding(audio_format: AudioFormat, encode: type[bytes]) -> None:
    loud = encode(tone(8_000))

    assert loudness(loud, audio_format) == pytest.approx(8_000 / math.sqrt(2), rel=0.05)
    assert loudness(b"", audio_format) == 0


def test_a_line_is_quiet_when_nobody_has_spoken_for_long_enough() -> None:
    audio = keeper()
    speech = EncodedAudio(audio=encode_mulaw(tone(8_000)))
    hiss = EncodedAudio(audio=encode_mulaw(tone(100)))
    for _ in range(24):
        audio.hold(hiss.audio, 0.0)
    assert not audio.is_quiet(500)
    audio.hold(hiss.audio, 0.0)
    assert audio.is_quiet(500)

    audio.hold(speech.audio, 0.0)
    for _ in range(20):
        audio.hold(hiss.audio, 0.0)

    assert not audio.is_quiet(500)
    assert audio.is_quiet(400)
