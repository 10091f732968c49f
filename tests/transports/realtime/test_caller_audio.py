"""Which of the caller's audio another session would need."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from callpipe.transports.audio.formats import PCM_24K, PCMA_8K, PCMU_8K, AudioFormat, Encoding
from callpipe.transports.audio.g711 import encode_alaw, encode_mulaw
from callpipe.transports.frames import EncodedAudio
from callpipe.transports.realtime.caller_audio import CallerAudio, loudness

LEAD_MS = 2_000.0
MAX_HELD_MS = 30_000.0


def packet(number: int = 0) -> EncodedAudio:
    return EncodedAudio(audio=number.to_bytes(2) * 80)


def held(count: int, *, detects_turns: bool = True) -> CallerAudio:
    audio = CallerAudio(detects_turns=detects_turns)
    for number in range(count):
        audio.hold(packet(number))
    return audio


def numbers(packets: list[EncodedAudio]) -> list[int]:
    return [int.from_bytes(one.audio[:2]) for one in packets]


def test_an_utterance_is_kept_from_its_start() -> None:
    audio = held(100)
    audio.started(1_000)
    audio.heard_of()

    assert numbers(list(audio.restart())) == list(range(50, 100))


def test_a_turns_audio_is_given_out_and_kept_no_more() -> None:
    audio = held(100)
    audio.started(1_000)

    turn = audio.ended(1_600)

    assert numbers(turn) == list(range(50, 80))
    assert numbers(list(audio.restart())) == list(range(80, 100))


def test_a_packet_belongs_to_where_most_of_it_lies() -> None:
    audio = held(10)
    audio.started(0)

    assert numbers(audio.ended(109)) == [0, 1, 2, 3, 4]
    assert numbers(audio.ended(131)) == [5, 6]


@pytest.mark.parametrize(("ends_ms", "count"), [(29, 0), (31, 1), (69, 1), (71, 2)])
def test_packets_may_be_of_any_length(ends_ms: float, count: int) -> None:
    audio = CallerAudio(detects_turns=True)
    for ms in (60, 20, 20):
        audio.hold(EncodedAudio(audio=bytes(8 * ms)))

    assert len(audio.ended(ends_ms)) == count


def test_half_a_sample_at_the_end_of_a_packet_is_left_out() -> None:
    pcm = tone(8_000, ms=30) + b"\x01"
    audio = CallerAudio(detects_turns=True)
    audio.hold(EncodedAudio(audio=pcm, audio_format=PCM_24K))

    assert loudness(pcm, PCM_24K) == loudness(pcm[:-1], PCM_24K)
    assert [one.size for one in audio.restart()] == [480]


def test_of_a_silent_caller_a_little_is_kept_when_the_server_gives_a_sign_of_life() -> None:
    audio = held(200)
    audio.heard_of()

    assert len(list(audio.restart())) == LEAD_MS / 20


def test_without_turn_detection_all_is_kept_until_a_turn_is_made_by_hand() -> None:
    audio = held(200, detects_turns=False)
    audio.heard_of()
    assert len(audio.ended()) == 200

    assert list(audio.restart()) == []


def test_a_new_session_counts_from_zero() -> None:
    audio = held(100)
    audio.started(1_000)
    list(audio.restart())
    for number in range(100, 110):
        audio.hold(packet(number))

    audio.started(980)

    assert numbers(audio.ended(1_100)) == list(range(99, 105))


def test_memory_is_bounded_and_what_is_dropped_is_counted() -> None:
    audio = held(int(MAX_HELD_MS / 20) + 7)

    assert audio.dropped == 7
    assert numbers(list(audio.restart()))[0] == 7


def test_what_is_cleared_is_not_kept() -> None:
    audio = held(10)
    audio.clear()

    assert list(audio.restart()) == []


def test_pcm_comes_back_in_its_format_and_as_good_as_a_telephone_has_it() -> None:
    audio = CallerAudio(detects_turns=True)
    spoken = (8_000 * np.sin(np.arange(24_000) / 6)).astype("<i2")  # a second of 637 Hz
    for start in range(0, 24_000, 480):
        pcm = spoken[start : start + 480].tobytes()
        audio.hold(EncodedAudio(audio=pcm, audio_format=PCM_24K))

    packets = list(audio.restart())

    assert {(one.audio_format, one.size) for one in packets} == {(PCM_24K, 960)}
    told = np.frombuffer(b"".join(one.audio for one in packets), "<i2")
    delay = 48  # of the filter
    error = told[delay:].astype(float) - spoken[:-delay]
    assert np.sqrt(np.mean(error[480:] ** 2)) < 0.03 * 8_000 / math.sqrt(2)
    assert sum(map(len, audio._packets)) == 8_000, "kept as the telephone carries it"  # pyright: ignore[reportPrivateUsage]


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
    audio = CallerAudio(detects_turns=True)
    packets = [EncodedAudio(audio=bytes([number]) * 480, audio_format=audio_format) for number in range(3)]
    for one in packets:
        audio.hold(one)

    assert [(one.audio, one.audio_format) for one in audio.restart()] == [
        (one.audio, audio_format) for one in packets
    ]


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
    audio = CallerAudio(detects_turns=True)
    speech = EncodedAudio(audio=encode_mulaw(tone(8_000)))
    hiss = EncodedAudio(audio=encode_mulaw(tone(100)))
    for _ in range(24):
        audio.hold(hiss)
    assert not audio.is_quiet(500)
    audio.hold(hiss)
    assert audio.is_quiet(500)

    audio.hold(speech)
    for _ in range(20):
        audio.hold(hiss)

    assert not audio.is_quiet(500)
    assert audio.is_quiet(400)
