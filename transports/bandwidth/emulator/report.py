"""What happened on an emulated call, as the carrier and the caller saw it."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from .expectations import Expectation
from .measures import Resumption, longest_silence_ms, resumptions
from .narrowband import BYTES_PER_SAMPLE, SAMPLE_RATE
from .playout import Burst, Cut
from .sightings import HeardWords, SeenToolCall


@dataclass(frozen=True, slots=True)
class CarrierEvent:
    """One line of a call's timeline.

    Attributes:
        at: When, in seconds of the carrier's `clock`.
        name: What, in one or two words, such as `webhook`, `verb` or `bot speaks`.
        detail: The particulars, without anyone's words.
        words: What was said, where something was said.
    """

    at: float
    name: str
    detail: str = ""
    words: str = field(default="", repr=False)


class Timeline:
    """Collects the events of a call, and shows each at once to whoever wants to see it.

    Args:
        clock: What the events' times are read from.
        on_event: Called with every event.
    """

    def __init__(
        self, clock: Callable[[], float], on_event: Callable[[CarrierEvent], None] | None = None
    ) -> None:
        self.events: list[CarrierEvent] = []
        self._clock = clock
        self._on_event = on_event

    def note(self, name: str, detail: str = "", words: str = "") -> None:
        """Add an event that happens now."""
        event = CarrierEvent(self._clock(), name, detail, words)
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended.

    Attributes:
        cause: What the disconnect webhook says, such as `hangup`, `callback-error` or `invalid-bxml`.
        ended_by: `caller`, `bot` or `carrier`.
        explanation: Why, in one sentence; empty for a plain hang-up.
    """

    cause: str
    ended_by: str
    explanation: str = ""


@dataclass(slots=True)
class CallReport:
    """A finished call. Times are in seconds of the carrier's `clock`.

    Attributes:
        call_id: The call's id.
        started_at: When the carrier asked for the first document.
        answered_at: When it got it; both tracks begin here. None when it got none.
        ended_at: When the call was over.
        ending: Who ended it and why.
        events: The timeline.
        heard: What the caller really heard, PCM16 at 8 kHz.
        said: What the caller said, as it left them, PCM16 at 8 kHz.
        bursts: Every burst of audio the caller heard.
        cuts: What each `clear` kept from the caller.
        streams_started_at: When each media stream got its start message.
        streams_lost_at: When each media stream's connection broke; one that was closed is not lost.
        recorded: What each Record verb recorded, PCM16 at 8 kHz.
        protocol_errors: What the server did that the protocol does not allow.
        gave_up: The step of the script at which the caller lost patience, None when they never did.
        expectations: What became of what the caller expected.
        spoken: What the bot said, as far as somebody understood it.
        tool_calls: The tools the bot's model called, as far as somebody saw them.
        worst_packet_ms: How much too late a packet was sent at the worst: more than some milliseconds, and this
            machine was too busy for the other figures to mean much.
    """

    call_id: str
    started_at: float
    ending: Ending = field(default_factory=lambda: Ending("unknown", "carrier"))
    ended_at: float = 0.0
    answered_at: float | None = None
    events: list[CarrierEvent] = field(default_factory=list[CarrierEvent])
    heard: bytes = field(default=b"", repr=False)
    said: bytes = field(default=b"", repr=False)
    bursts: list[Burst] = field(default_factory=list[Burst])
    cuts: list[Cut] = field(default_factory=list[Cut])
    streams_started_at: list[float] = field(default_factory=list[float])
    streams_lost_at: list[float] = field(default_factory=list[float])
    recorded: list[bytes] = field(default_factory=list[bytes], repr=False)
    protocol_errors: list[str] = field(default_factory=list[str])
    gave_up: str | None = None
    expectations: list[Expectation] = field(default_factory=list[Expectation])
    spoken: list[HeardWords] = field(default_factory=list[HeardWords])
    tool_calls: list[SeenToolCall] = field(default_factory=list[SeenToolCall])
    worst_packet_ms: float = 0.0

    @property
    def cause(self) -> str:
        """What the disconnect webhook said."""
        return self.ending.cause

    @property
    def answer_ms(self) -> float | None:
        """Milliseconds from the initiate webhook to its BXML."""
        return None if self.answered_at is None else (self.answered_at - self.started_at) * 1000

    @property
    def first_audio_ms(self) -> float | None:
        """Milliseconds from the first stream's start message to the first audio the caller heard after it."""
        if not self.streams_started_at:
            return None
        started_at = self.streams_started_at[0]
        heard_at = next((burst.started_at for burst in self.bursts if burst.started_at >= started_at), None)
        return None if heard_at is None else (heard_at - started_at) * 1000

    @property
    def resumptions(self) -> list[Resumption]:
        """How the caller's call went on after each lost media stream."""
        return resumptions(self.streams_lost_at, self.streams_started_at, self.bursts)

    def longest_silence_ms(self, since: float | None = None, until: float | None = None) -> float:
        """Return the longest time in which neither the caller heard anything nor said anything.

        Args:
            since: From when on; the call's answer when None.
            until: Up to when; the call's end when None.
        """
        if self.answered_at is None:
            return 0.0
        begin_s, end_s = (
            (at or default) - self.answered_at
            for at, default in ((since, self.answered_at), (until, self.ended_at))
        )
        return longest_silence_ms((self.heard, self.said), begin_s, end_s)

    @property
    def shortcomings(self) -> list[str]:
        """What the caller expected and did not get, a sentence each; empty when all went well."""
        unmet = [str(expectation) for expectation in self.expectations if not expectation.met]
        return unmet if self.gave_up is None else [*unmet, f"the caller lost patience at {self.gave_up}"]

    def named(self, name: str) -> list[CarrierEvent]:
        """Return the events of one name, in order."""
        return [event for event in self.events if event.name == name]

    def write_wav(self, path: Path) -> None:
        """Write both tracks as a WAV file: left what the caller said, right what they heard.

        It blocks while it writes.
        """
        tracks = (memoryview(track).cast("h") for track in (self.said, self.heard))
        samples = bytearray()
        for said, heard in zip_longest(*tracks, fillvalue=0):
            samples += said.to_bytes(BYTES_PER_SAMPLE, "little", signed=True)
            samples += heard.to_bytes(BYTES_PER_SAMPLE, "little", signed=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(BYTES_PER_SAMPLE)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(samples)
