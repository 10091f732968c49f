"""The caller's audio that no turn holds yet: what a session that takes over has to be given.

It is kept as the telephone carries it, 8 kHz in mu-law, which is a sixth of a session's PCM at 24 kHz.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..audio.formats import PCMU_8K, AudioFormat, Encoding
from ..audio.g711 import decode_alaw, decode_mulaw, encode_mulaw, root_mean_square
from ..audio.resampler import SAMPLE_RATES, StreamResampler
from ..encoded_audio import EncodedAudio
from .arrivals import Arrivals

MAX_HELD_MS = 30_000.0
"""Caller audio that is kept; the oldest is dropped beyond it."""

LEAD_MS = 2_000.0
"""What is kept of a silent caller: the server tells of speech later than it begins."""

SPARE_MS = 400.0
"""What may be kept beyond that: it is not looked at each time something is heard of the server."""

QUIET = 400
"""The loudness (root mean square of 16-bit samples) below which nobody speaks: -38 dB of full scale."""

PUT_DOWN_MS = 500.0
"""How much new audio is put down at a time: packet by packet it would cost three times as much."""

PAUSE_S = 0.1
"""Audio that comes so much later than the audio before is put down by itself: it tells its own time."""

PIECE_MS = 100.0
"""How much of it a new session is sent in one message."""


class CallerAudio:
    """Keeps the caller's audio from the start of their utterance, on the server's time line.

    The server counts milliseconds of all audio that it was sent; a new session counts from 0.

    Args:
        audio_format: Of every packet.
        detects_turns: The server tells where turns begin and end.

    Attributes:
        dropped_ms: Audio that found no room.
    """

    def __init__(self, audio_format: AudioFormat, *, detects_turns: bool) -> None:
        self.dropped_ms = 0.0
        self._format = audio_format
        self._kept_format = PCMU_8K if _can_be_told_in_8_khz(audio_format) else audio_format
        self._detects_turns = detects_turns
        self._new = bytearray()
        self._new_at = 0.0
        self._sample_bytes = 2 if audio_format.encoding is Encoding.PCM else 1
        self._enough = audio_format.size(PUT_DOWN_MS)
        self._kept = bytearray()
        self._ends_ms = 0.0
        self._arrivals = Arrivals()
        self._speaking = False
        self._most_of_silence = self._kept_format.size(LEAD_MS + SPARE_MS)

    def hold(self, audio: bytes, now: float) -> None:
        """Keep what came in just now, whole samples; the oldest is dropped when there is no room."""
        new = self._new
        broken = len(audio) % self._sample_bytes
        if broken:
            audio = audio[:-broken]
        if new and now - self._new_at > PAUSE_S:
            self._put_down()
        new += audio
        self._new_at = now
        if len(new) >= self._enough:
            self._put_down()

    def came_at(self, audio_ms: float) -> float | None:
        """Return when the audio at a place on the server's time line came in, in s; None for unknown."""
        self._put_down()
        return self._arrivals.came_at(audio_ms)

    def heard_of(self) -> None:
        """Note a sign of life of the server's: had the caller begun to speak before, it would have told."""
        if self._detects_turns and not self._speaking and len(self._kept) > self._most_of_silence:
            self._put_down()
            self._forget(self._ends_ms - LEAD_MS)

    def started(self, audio_start_ms: float | None) -> None:
        """Note where the caller's utterance begins."""
        self._put_down()
        self._speaking = True
        if audio_start_ms is not None:
            self._forget(audio_start_ms)

    def ended(self, audio_end_ms: float | None = None) -> EncodedAudio:
        """Note where a turn ends, None for here; return its audio, which is not kept here any more.

        It is as it was kept; `given` turns it into what a session takes.
        """
        self._put_down()
        self._speaking = False
        turn = self._forget(self._ends_ms if audio_end_ms is None else audio_end_ms)
        return EncodedAudio(audio=turn, audio_format=self._kept_format)

    def clear(self) -> None:
        """Forget everything."""
        self._put_down()
        self._speaking = False
        self._kept.clear()

    def put_back(self, turn: EncodedAudio) -> None:
        """Keep a turn's audio again, before what is kept now."""
        self._put_down()
        self._kept[:0] = turn.audio
        self._make_room()

    def restart(self, now: float) -> list[EncodedAudio]:
        """Return what a new session has to be sent at once, in order; it stays kept."""
        self._put_down()
        self._speaking = False
        self._ends_ms = self._kept_format.duration_ms(len(self._kept))
        self._arrivals.restart()
        if self._kept:
            self._arrivals.came(self._ends_ms, now)
        return [EncodedAudio(audio=piece, audio_format=self._format) for piece in self._pieces(self._kept)]

    def is_quiet(self, duration_ms: float) -> bool:
        """Whether the last so many milliseconds were kept, and hold no speech."""
        newest = self._loudness(duration_ms)
        return newest is not None and newest < QUIET

    def is_loud(self, duration_ms: float) -> bool:
        """Whether the last so many milliseconds were kept, and hold speech."""
        newest = self._loudness(duration_ms)
        return newest is not None and newest >= QUIET

    def given(self, turn: EncodedAudio) -> EncodedAudio:
        """Return a turn's audio that was kept in the session's format."""
        if self._kept_format == self._format:
            return turn
        return EncodedAudio(audio=b"".join(self._pieces(turn.audio)), audio_format=self._format)

    def _put_down(self) -> None:
        """Keep what has come since the last time."""
        if not self._new:
            return
        duration_ms = self._format.duration_ms(len(self._new))
        self._ends_ms += duration_ms
        self._arrivals.came(duration_ms, self._new_at)
        if self._kept_format == self._format:
            self._kept += self._new
        else:
            self._kept += _every_nth(self._new, self._format.sample_rate // self._kept_format.sample_rate)
        self._new.clear()
        self._make_room()

    def _make_room(self) -> None:
        excess = len(self._kept) - self._kept_format.size(MAX_HELD_MS)
        if excess > 0:
            del self._kept[:excess]
            self.dropped_ms += self._kept_format.duration_ms(excess)

    def _loudness(self, duration_ms: float) -> int | None:
        """Return how loud the last so many milliseconds are; None when not so much is kept."""
        size = self._format.size(duration_ms)
        if 0 < size <= len(self._new):
            return loudness(bytes(self._new[-size:]), self._format)
        self._put_down()
        size = self._kept_format.size(duration_ms)
        return loudness(bytes(self._kept[-size:]), self._kept_format) if 0 < size <= len(self._kept) else None

    def _forget(self, until_ms: float) -> bytes:
        """Forget what lies before a place on the server's time line; return it."""
        starts_ms = self._ends_ms - self._kept_format.duration_ms(len(self._kept))
        size = self._kept_format.size(max(0.0, until_ms - starts_ms))
        forgotten = bytes(self._kept[:size])
        del self._kept[:size]
        return forgotten

    def _pieces(self, kept: bytes | bytearray) -> Iterator[bytes]:
        """Give what was kept as the session takes it."""
        size = self._kept_format.size(PIECE_MS)
        pieces = (bytes(kept[begin : begin + size]) for begin in range(0, len(kept), size))
        if self._kept_format == self._format:
            return pieces
        up = StreamResampler(self._kept_format.sample_rate, self._format.sample_rate)
        return (up.resample(decode_mulaw(piece)) for piece in pieces)


def _can_be_told_in_8_khz(audio_format: AudioFormat) -> bool:
    """Whether it is PCM at the rate of a model: on a telephone nothing lies above 4 kHz."""
    pcm = audio_format.encoding is Encoding.PCM and audio_format.channels == 1
    return pcm and audio_format.sample_rate in SAMPLE_RATES


def _every_nth(pcm: bytes | bytearray, n: int) -> bytes:
    """Return each nth sample in mu-law: no filter, for there is nothing that would have to be filtered."""
    return encode_mulaw(np.frombuffer(pcm, "<i2")[::n].tobytes())


def loudness(audio: bytes, audio_format: AudioFormat) -> int:
    """Return the root mean square of the samples of some audio, as if they had 16 bits; 0 for none."""
    match audio_format.encoding:
        case Encoding.PCMU:
            return root_mean_square(decode_mulaw(audio))
        case Encoding.PCMA:
            return root_mean_square(decode_alaw(audio))
        case Encoding.PCM:
            return root_mean_square(audio)
