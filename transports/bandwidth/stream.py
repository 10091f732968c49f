"""What has been received of a media stream: messages become frames, and what was wrong is counted. No I/O."""

from __future__ import annotations

from pipecat.frames.frames import Frame

from ..audio.formats import PCMU_8K
from ..call_events import CarrierFaultFrame, MediaStartedFrame, MediaStoppedFrame
from ..encoded_audio import EncodedAudio
from ..frames import InputEncodedAudioFrame
from .errors import MalformedMessageError
from .messages import MediaMessage, StartMessage, parse

INBOUND = "inbound"

WRONG_KINDS: tuple[str, ...] = ("malformed", "oversized", "binary", "unknown", "out-of-order")
"""Kinds of messages that say nothing about the stream's audio."""

MAX_GAP_SAMPLES = 10 * PCMU_8K.sample_rate
"""A longer gap in the sequence is no loss: the carrier counts anew."""

MAX_LATE_IN_A_ROW = 10
"""So many late packets one after the other are not late: the carrier counts anew."""


class MediaStream:
    """One media stream from its `start` to its `stop`.

    Any message may be wrong: it is counted, its kind is reported once in `faults`, and the stream goes on.

    Args:
        start: The start message, when it was read already.

    Attributes:
        faults: Reports that nobody has taken yet, at most one of each kind.
        position: Samples of the inbound track so far, lost ones included.
    """

    def __init__(self, start: StartMessage | None = None) -> None:
        self.faults: list[CarrierFaultFrame] = []
        self.position = 0
        self._started = start is not None
        self._stopped = False
        self._expected: int | None = None
        self._late_in_a_row = 0
        self._packets = 0
        self._lost = 0
        self._late = 0
        self._ignored = 0
        self._wrong = dict.fromkeys(WRONG_KINDS, 0)
        self._reported: set[str] = set()

    @property
    def counts(self) -> dict[str, int]:
        """What was received and what was wrong with it, as `MediaStoppedFrame` tells it."""
        return {
            "packets": self._packets,
            "lost": self._lost,
            "late": self._late,
            "ignored": self._ignored,
            **self._wrong,
        }

    def receive(self, message: str | bytes, now: float) -> Frame | None:
        """Return the frame a message makes, or None when it makes none.

        Args:
            message: As the socket gave it: text as `str`, binary as `bytes`.
            now: When it was read, monotonic seconds.
        """
        try:
            parsed = parse(message)
        except MalformedMessageError as malformed:
            self._wrong[malformed.kind] += 1
            self._report(malformed.kind, malformed.explanation, now)
            return None
        if type(parsed) is not MediaMessage:
            return self._start(parsed, now) if isinstance(parsed, StartMessage) else self._stop(now)
        if not self._started or self._stopped:
            return self._out_of_order("media without a running stream", now)
        if parsed.track != INBOUND:
            self._ignored += 1
            return None
        audio = parsed.audio
        size = len(audio)
        sequence = parsed.sequence
        expected = self._expected
        if sequence is not None:
            if sequence != expected and expected is not None and self._is_late(sequence, expected, size, now):
                return None
            self._late_in_a_row = 0
            self._expected = sequence + 1
        elif expected is not None:
            self._expected = expected + 1
        self._packets += 1
        position = self.position
        self.position = position + size
        return InputEncodedAudioFrame(EncodedAudio(audio), position, now)

    def stopped(self, cause: str, now: float) -> MediaStoppedFrame:
        """Return the frame that says the stream is over, with all counts."""
        self._stopped = True
        return MediaStoppedFrame(at=now, cause=cause, counts=self.counts)

    def _start(self, start: StartMessage, now: float) -> Frame | None:
        if self._started:
            return self._out_of_order("a second start", now)
        self._started = True
        return MediaStartedFrame(
            at=now, stream_id=start.stream_id, stream_name=start.stream_name, call_id=start.call_id
        )

    def _stop(self, now: float) -> Frame | None:
        if not self._started or self._stopped:
            return self._out_of_order("a stop without a running stream", now)
        return self.stopped("stop", now)

    def _is_late(self, sequence: int, expected: int, size: int, now: float) -> bool:
        """Note a packet out of sequence; False when it is to be heard."""
        missing = sequence - expected
        if abs(missing) * size > MAX_GAP_SAMPLES:
            self._report("lost", f"the sequence jumped by {missing} packets and is followed anew", now)
        elif missing > 0:
            self._lost += missing
            self.position += missing * size
            self._report("lost", f"{missing} packets are missing", now)
        elif self._late_in_a_row < MAX_LATE_IN_A_ROW:
            self._late += 1
            self._late_in_a_row += 1
            self._report("late", f"a packet came {-missing} packets too late, or twice", now)
            return True
        return False

    def _out_of_order(self, explanation: str, now: float) -> None:
        self._wrong["out-of-order"] += 1
        self._report("out-of-order", explanation, now)

    def _report(self, kind: str, explanation: str, now: float) -> None:
        if kind not in self._reported:
            self._reported.add(kind)
            self.faults.append(CarrierFaultFrame(at=now, kind=kind, explanation=explanation))
