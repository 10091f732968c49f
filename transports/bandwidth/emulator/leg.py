"""The caller's leg of a call: keeps the carrier's 20 ms clock, speaks for the caller and plays to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ...audio.g711 import decode_mulaw, encode_mulaw
from .caller import PACKET_BYTES, SILENT_PACKET, Caller, Performance
from .line import BurstLoss, Line, PacketClock
from .listener import Listener
from .narrowband import BYTES_PER_SAMPLE, SAMPLE_RATE
from .playout import PlayoutBuffer
from .report import CallReport, Timeline
from .sightings import Sightings


class PacketTaker(Protocol):
    """What a leg gives its packets to: a media stream."""

    def take(self, track: str, packet: bytes | None) -> None:
        """Take the next 20 ms of a track, PCMU at 8 kHz; None when the line lost them."""
        ...


class CallLeg:
    """The caller on their line, from answer to hang-up.

    Args:
        caller: Who calls; already rehearsed.
        line: What the line is like.
        timeline: Where is noted what is said and heard.
        clock: Monotonic seconds.
        started_at: When the call was answered, by this clock.
        sightings: What else is known of the call; the caller's expectations look there.
        press: Called with each key the caller presses.
        bot_spoke: Called with each burst of the bot's speech, PCM16 at 8 kHz, when it is over, and with the
            milliseconds that had been heard when it began.

    Attributes:
        playout: What the caller hears.
        takers: The media streams that get the packets.
    """

    def __init__(
        self,
        caller: Caller,
        line: Line,
        timeline: Timeline,
        *,
        clock: Callable[[], float],
        started_at: float,
        sightings: Sightings | None = None,
        press: Callable[[str], None] = lambda _key: None,
        bot_spoke: Callable[[bytes, float], None] = lambda _pcm, _began_ms: None,
    ) -> None:
        self._clock = clock
        self._timeline = timeline
        self.playout = PlayoutBuffer(started_at, drift_ppm=line.drift_ppm, prebuffer_ms=line.prebuffer_ms)
        self.takers: list[PacketTaker] = []
        self._packets = PacketClock(started_at, line.drift_ppm)
        self._loss = BurstLoss(line)
        self._listener = Listener()
        self._bot_spoke = bot_spoke
        self._performance = Performance(
            caller.rehearse(),
            caller.script.linger_s,
            self._listener,
            timeline.note,
            sightings=sightings,
            press=press,
        )
        self._saying: bytes | None = SILENT_PACKET
        self._heard = bytearray()
        self._said = bytearray()
        self._outbound = bytearray()
        self._worst_packet_s = 0.0

    async def run(self) -> None:
        """Keep the clock until the caller hangs up; after a stall every missed packet is made up for."""
        number = 0
        self._saying = self._performance.next_packet()
        while self._saying is not None:
            due_at = self._packets.ends_at(number)
            if due_at > self._clock():
                await asyncio.sleep(due_at - self._clock())
            self._worst_packet_s = max(self._worst_packet_s, self._clock() - due_at)
            self._packet(due_at, self._saying)
            number += 1

    def stream_over(self) -> None:
        """Tell the caller's ear that a media stream is over: words that it broke off are no answer."""
        if self._listener.speaking and self.playout.playing:
            self._performance.cut_off()

    def finish(self, report: CallReport) -> None:
        """Write into the report what was heard and said until now."""
        self._heard += self.playout.advance(self._clock())
        unheard_ms = self.playout.drop(self._clock())
        if unheard_ms:
            self._timeline.note("unheard", f"{unheard_ms:.0f} ms when the call ended")
        if self._listener.speaking:
            self._tell_burst()
        report.heard = bytes(self._heard)
        report.said = decode_mulaw(bytes(self._said))
        report.bursts = self.playout.bursts
        report.cuts = self.playout.cuts
        report.worst_packet_ms = self._worst_packet_s * 1000

    def judge(self, report: CallReport) -> None:
        """Write into the report what became of the caller's expectations; the call is over."""
        self._performance.judge()
        report.gave_up = self._performance.gave_up
        report.expectations = self._performance.expectations

    def _packet(self, due_at: float, said: bytes) -> None:
        heard = self.playout.advance(due_at)
        self._heard += heard
        self._said += said
        self._give("inbound", None if self._loss.lost() else said)
        self._outbound += heard
        packet_size = PACKET_BYTES * BYTES_PER_SAMPLE
        while len(self._outbound) >= packet_size:
            self._give("outbound", encode_mulaw(bytes(self._outbound[:packet_size])))
            del self._outbound[:packet_size]
        self._listen(heard)
        self._saying = self._performance.next_packet()

    def _give(self, track: str, packet: bytes | None) -> None:
        for taker in self.takers:
            taker.take(track, packet)

    def _listen(self, heard: bytes) -> None:
        spoke = self._listener.speaking
        self._listener.hear(heard, playing=self.playout.playing)
        if self._listener.speaking and not spoke:
            self._timeline.note("bot speaks")
        elif spoke and not self._listener.speaking:
            self._timeline.note("bot quiet", f"after {self._listener.burst_ms:.0f} ms")
            self._tell_burst()

    def _tell_burst(self) -> None:
        began_ms = self._listener.burst_began_ms or 0.0
        first = round(began_ms * SAMPLE_RATE / 1000) * BYTES_PER_SAMPLE
        self._bot_spoke(bytes(self._heard[first:]), began_ms)
