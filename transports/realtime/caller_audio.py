"""The caller's audio that no turn holds yet: what a session that takes over has to be given.

It is kept as the telephone carries it, 8 kHz in mu-law, which is a sixth of a session's PCM at 24 kHz.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from ..audio.formats import PCMU_8K, AudioFormat, Encoding
from ..audio.g711 import decode_alaw, decode_mulaw, encode_mulaw
from ..audio.resampler import SAMPLE_RATES, StreamResampler
from ..frames import EncodedAudio

MAX_HELD_MS = 30_000.0
"""Caller audio that is kept; the oldest is dropped beyond it."""

LEAD_MS = 2_000.0
"""What is kept of a silent caller: the server tells of speech later than it begins."""

QUIET = 400.0
"""The loudness (root mean square of 16-bit samples) below which nobody speaks: -38 dB of full scale."""


class CallerAudio:
    """Keeps the caller's audio from the start of their utterance, on the server's time line.

    The server counts milliseconds of all audio that it was sent; a new session counts from 0.

    Args:
        detects_turns: The server tells where turns begin and end.

    Attributes:
        dropped: Packets that found no room.
    """

    def __init__(self, *, detects_turns: bool) -> None:
        self.dropped = 0
        self._detects_turns = detects_turns
        # Bytes alone, and one format: a packet as an object would cost as much again, and garbage collections.
        self._packets: deque[bytes] = deque()
        self._format = self._kept_format = PCMU_8K
        self._ends_ms = 0.0
        self._kept_ms = 0.0
        self._speaking = False

    def hold(self, packet: EncodedAudio) -> None:
        """Keep a packet, and drop the oldest for it when there is no room.

        Raises:
            ValueError: Its payload is not base64.
        """
        audio = packet.audio
        audio_format = packet.audio_format
        duration_ms = kept_ms = audio_format.duration_ms(len(audio))
        if audio_format is not self._kept_format:
            if audio_format not in (self._format, self._kept_format):
                self._begin(audio_format)
            if audio_format != self._kept_format:
                audio = _every_nth(audio, audio_format.sample_rate // self._kept_format.sample_rate)
                kept_ms = self._kept_format.duration_ms(len(audio))
        self._ends_ms += duration_ms
        self._kept_ms += kept_ms
        self._packets.append(audio)
        while self._kept_ms > MAX_HELD_MS:
            self._drop_oldest()
            self.dropped += 1

    def _begin(self, audio_format: AudioFormat) -> None:
        """Keep audio of a session's format from now on; there is one such format in a call."""
        self._packets.clear()
        self._kept_ms = 0.0
        self._format = audio_format
        self._kept_format = PCMU_8K if _can_be_told_in_8_khz(audio_format) else audio_format

    def heard_of(self) -> None:
        """Note a sign of life of the server's: had the caller begun to speak before, it would have told."""
        if self._detects_turns and not self._speaking:
            self._forget(self._ends_ms - LEAD_MS)

    def started(self, audio_start_ms: float | None) -> None:
        """Note where the caller's utterance begins."""
        self._speaking = True
        if audio_start_ms is not None:
            self._forget(audio_start_ms)

    def ended(self, audio_end_ms: float | None = None) -> list[EncodedAudio]:
        """Note where a turn ends, None for here; return its audio, which is not kept here any more.

        It is as it was kept; `given` turns it into what a session takes.
        """
        self._speaking = False
        turn = self._forget(self._ends_ms if audio_end_ms is None else audio_end_ms)
        return [EncodedAudio(audio=audio, audio_format=self._kept_format) for audio in turn]

    def clear(self) -> None:
        """Forget everything."""
        self._speaking = False
        self._packets.clear()
        self._kept_ms = 0.0

    def put_back(self, turn: list[EncodedAudio]) -> None:
        """Keep a turn's audio again, before what is kept now."""
        later = self._kept()
        self.clear()
        for packet in [*turn, *later]:
            self.hold(packet)

    def restart(self) -> Iterator[EncodedAudio]:
        """Give out what a new session has to be sent, in order; it stays kept."""
        kept = self._kept()
        self.clear()
        self._ends_ms = 0.0
        for packet, given in zip(kept, self.given(kept), strict=True):
            self.hold(packet)
            yield given

    def is_quiet(self, duration_ms: float) -> bool:
        """Whether the last so many milliseconds were kept, and hold no speech."""
        newest = self._newest(duration_ms)
        return newest is not None and loudness(newest, self._kept_format) < QUIET

    def is_loud(self, duration_ms: float) -> bool:
        """Whether the last so many milliseconds were kept, and hold speech."""
        newest = self._newest(duration_ms)
        return newest is not None and loudness(newest, self._kept_format) >= QUIET

    def _newest(self, duration_ms: float) -> bytes | None:
        newest: list[bytes] = []
        missing = self._kept_format.size(duration_ms)
        for audio in reversed(self._packets):
            if missing <= 0:
                break
            newest.append(audio)
            missing -= len(audio)
        return b"".join(reversed(newest)) if missing <= 0 else None

    def _forget(self, until_ms: float) -> list[bytes]:
        forgotten: list[bytes] = []
        # A packet belongs to where most of it lies.
        while self._packets and self._middle_of_oldest_ms() < until_ms:
            forgotten.append(self._drop_oldest())
        return forgotten

    def _middle_of_oldest_ms(self) -> float:
        return self._ends_ms - self._kept_ms + self._kept_format.duration_ms(len(self._packets[0])) / 2

    def _drop_oldest(self) -> bytes:
        audio = self._packets.popleft()
        self._kept_ms -= self._kept_format.duration_ms(len(audio))
        return audio

    def given(self, packets: Sequence[EncodedAudio]) -> Sequence[EncodedAudio]:
        """Return packets that were kept in the session's format."""
        if self._kept_format == self._format:
            return packets
        up = StreamResampler(self._kept_format.sample_rate, self._format.sample_rate)
        pcm = [up.resample(decode_mulaw(packet.audio)) for packet in packets]
        return [EncodedAudio(audio=audio, audio_format=self._format) for audio in pcm]

    def _kept(self) -> list[EncodedAudio]:
        return [EncodedAudio(audio=audio, audio_format=self._kept_format) for audio in self._packets]


def _can_be_told_in_8_khz(audio_format: AudioFormat) -> bool:
    """Whether it is PCM at the rate of a model: on a telephone nothing lies above 4 kHz."""
    pcm = audio_format.encoding is Encoding.PCM and audio_format.channels == 1
    return pcm and audio_format.sample_rate in SAMPLE_RATES


def _every_nth(pcm: bytes, n: int) -> bytes:
    """Return each nth sample in mu-law: no filter, for there is nothing that would have to be filtered."""
    return encode_mulaw(np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2")[::n].tobytes())


def loudness(audio: bytes, audio_format: AudioFormat) -> float:
    """Return the root mean square of the samples of some audio, as if they had 16 bits; 0 for none."""
    samples = np.frombuffer(_linear(audio, audio_format.encoding), "<i2").astype(np.float32)
    return math.sqrt(np.dot(samples, samples) / len(samples)) if len(samples) else 0.0


def _linear(audio: bytes, encoding: Encoding) -> bytes:
    match encoding:
        case Encoding.PCMU:
            return decode_mulaw(audio)
        case Encoding.PCMA:
            return decode_alaw(audio)
        case Encoding.PCM:
            return audio[: len(audio) // 2 * 2]
