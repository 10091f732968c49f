from __future__ import annotations

from callpipe.transports.speech.edge_finder import EdgeFinder
from callpipe.transports.speech.interfaces import SpeechEdge


def edges(frames: str) -> list[tuple[int, SpeechEdge]]:
    """Give each edge with the number of the frame that reveals it; "x" is speech."""
    finder = EdgeFinder(frame_ms=10, onset_ms=20, silence_ms=30)
    found = ((at, finder.take(frame == "x")) for at, frame in enumerate(frames))
    return [(at, edge) for at, edge in found if edge is not None]


def test_edges_lie_before_the_frames_that_reveal_them() -> None:
    assert edges("..xxx......xx...") == [
        *((3, SpeechEdge(True, 20.0)), (7, SpeechEdge(False, 50.0))),
        *((12, SpeechEdge(True, 110.0)), (15, SpeechEdge(False, 130.0))),
    ]


def test_a_click_starts_and_a_gap_ends_nothing() -> None:
    assert edges(".x.x..xx..x..x") == [(7, SpeechEdge(True, 60.0))]
