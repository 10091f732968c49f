"""The caller's turns: found by voice activity detection, or ended by the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ...audio.formats import AudioFormat
from ...speech.interfaces import SpeechDetector, SpeechEdge
from .caller_audio import CallerAudio
from .configuration import SemanticVad, ServerVad
from .errors import RequestError

SHORTEST_COMMIT_MS = 100.0
"""A client can't commit less audio."""

_LATEST_EDGE_MS = 2_000.0
"""Audio kept for a detector that tells late where speech started."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The caller has begun to speak.

    Attributes:
        item_id: The id that the turn's item will have.
        audio_start_ms: Where the turn's audio starts, prefix padding included.
    """

    item_id: str
    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Audio that becomes an item.

    Attributes:
        item_id: The item's id.
        pcm: PCM16 mono.
        sample_rate: Its rate in Hz.
        audio_start_ms: Where it starts on the time line of all audio.
        audio_end_ms: Where it ends; for a detected turn the silence that ended it is included.
    """

    item_id: str
    pcm: bytes = field(repr=False)
    sample_rate: int
    audio_start_ms: int
    audio_end_ms: int

    @property
    def duration_ms(self) -> float:
        """How long the audio lasts."""
        return len(self.pcm) / 2 * 1000 / self.sample_rate


class CallerTurns:
    """Cuts the caller's audio into turns.

    Args:
        audio_format: What the session takes at first.
        detector: Finds speech in the caller's audio.
        new_item_id: Makes the id of a turn's item.
    """

    def __init__(
        self, audio_format: AudioFormat, detector: SpeechDetector, new_item_id: Callable[[], str]
    ) -> None:
        self._audio = CallerAudio(audio_format)
        self._detector = detector
        self._new_item_id = new_item_id
        self._item_id: str | None = None
        self._silent_since_ms: float | None = None

    @property
    def position_ms(self) -> float:
        """All audio the session was ever given."""
        return self._audio.end_ms

    def use(self, audio_format: AudioFormat) -> None:
        """Take audio of another format from now on; what is buffered is dropped."""
        if audio_format != self._audio.audio_format:
            self._audio = CallerAudio(audio_format, self._audio.end_ms)
            self._reset()

    def append(self, audio: bytes, detection: ServerVad | SemanticVad | None) -> Iterator[TurnStarted | Turn]:
        """Add audio and give the starts and the ends of turns that it reveals."""
        edges = self._detector.detect(self._audio.append(audio))
        if detection is None:
            self._reset()
            return
        for edge in edges:
            yield from self._ended(edge.at_ms, detection)
            yield from self._edge(edge, detection)
        yield from self._ended(self.position_ms, detection)
        if self._item_id is None:
            kept_ms = max(detection.prefix_padding_ms + _LATEST_EDGE_MS, detection.idle_timeout_ms or 0)
            self._audio.drop_before(self.position_ms - kept_ms)

    def commit(self) -> Turn:
        """End the turn by hand.

        Raises:
            RequestError: Less than 100 ms are buffered.
        """
        buffered_ms = self._audio.buffered_ms
        if buffered_ms < SHORTEST_COMMIT_MS:
            raise RequestError(
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {buffered_ms:.2f}ms of audio.",
                "input_audio_buffer_commit_empty",
            )
        return self._cut(None)

    def commit_silence(self, duration_ms: float) -> Turn:
        """Make a turn of the last `duration_ms`, in which nobody spoke."""
        self._audio.drop_before(self.position_ms - duration_ms)
        return self._cut(None)

    def clear(self) -> None:
        """Drop what is not committed."""
        self._audio.take()
        self._reset()

    def _edge(self, edge: SpeechEdge, detection: ServerVad | SemanticVad) -> Iterator[TurnStarted]:
        if not edge.started:
            self._silent_since_ms = edge.at_ms
            return
        self._silent_since_ms = None
        if self._item_id is None:
            self._item_id = self._new_item_id()
            self._audio.drop_before(edge.at_ms - detection.prefix_padding_ms)
            yield TurnStarted(self._item_id, int(self._audio.start_ms))

    def _ended(self, position_ms: float, detection: ServerVad | SemanticVad) -> Iterator[Turn]:
        if self._item_id is None or self._silent_since_ms is None:
            return
        end_ms = self._silent_since_ms + detection.silence_duration_ms
        if position_ms >= end_ms:
            yield self._cut(end_ms)

    def _cut(self, until_ms: float | None) -> Turn:
        item_id = self._item_id or self._new_item_id()
        start_ms = self._audio.start_ms
        pcm = self._audio.take(until_ms)
        self._reset()
        return Turn(item_id, pcm, self._audio.sample_rate, int(start_ms), int(self._audio.start_ms))

    def _reset(self) -> None:
        self._item_id = None
        self._silent_since_ms = None
