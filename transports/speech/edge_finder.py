"""From frames with and without speech to the edges of speech."""

from __future__ import annotations

from .interfaces import SpeechEdge

__all__ = ["EdgeFinder"]


class EdgeFinder:
    """Finds where speech starts and stops, in a row of frames that are speech or not.

    Args:
        frame_ms: Milliseconds of a frame.
        onset_ms: Milliseconds of speech without a gap that start it.
        silence_ms: Milliseconds without speech that end it.
    """

    def __init__(self, *, frame_ms: float, onset_ms: float, silence_ms: float) -> None:
        self.speaking = False
        self._frame_ms = frame_ms
        self._onset_ms = onset_ms
        self._silence_ms = silence_ms
        self._now_ms = 0.0
        self._unchanged_ms = 0.0
        """Until when the frames agree with `speaking`."""

    def take(self, speech: bool) -> SpeechEdge | None:
        """Take the next frame and give the edge that it reveals."""
        self._now_ms += self._frame_ms
        if speech == self.speaking:
            self._unchanged_ms = self._now_ms
            return None
        needed_ms = self._silence_ms if self.speaking else self._onset_ms
        if self._now_ms - self._unchanged_ms < needed_ms:
            return None
        edge = SpeechEdge(started=speech, at_ms=self._unchanged_ms)
        self.speaking = speech
        self._unchanged_ms = self._now_ms
        return edge
