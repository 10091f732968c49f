"""Both tracks of the line as caller and carrier know them: the caller's words, and what the caller heard.

The time base is the carrier's clock: the count of inbound samples. The playhead says when each sent piece is
heard, the carrier's clock which inbound sample is spoken at that moment.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import FormatMismatchError
from .formats import PCMU_8K, AudioFormat, Encoding
from .g711 import MULAW_SILENCE, encode_mulaw
from .playhead import CarrierClock, Playhead, Span
from .resampler import SAMPLE_RATES, StreamResampler

LINE_RATE = PCMU_8K.sample_rate
"""Samples a second of both tracks; a sample is a byte."""

MAX_WAITING_S = 120.0
"""Sent audio that may wait for the caller's track to come as far; older pieces become silence."""


class SentAudio(Protocol):
    """A piece of audio as it was sent."""

    @property
    def audio_format(self) -> AudioFormat:
        """PCMU of 8 kHz, or mono PCM of 8, 16 or 24 kHz."""
        ...

    @property
    def audio(self) -> bytes:
        """The samples."""
        ...


@dataclass(frozen=True, slots=True)
class LineAudio:
    """Both tracks over one interval, equally long PCMU of 8 kHz; silence where nothing was received or heard.

    Attributes:
        position: The first sample's place on the carrier's clock.
        caller: What the caller said.
        bot: What the caller heard.
    """

    position: int
    caller: bytes = field(repr=False)
    bot: bytes = field(repr=False)


class LineTracks:
    """Puts both tracks together, and gives each interval once, as soon as nothing can change it any more.

    An interval is settled when the caller's packets have come and the bot's audio has been heard: until then a
    clear can still cut it. What has been given is forgotten.

    Args:
        playhead: Knows when the sent pieces are heard.
        carrier_clock: Is told of every inbound packet.
    """

    def __init__(self, playhead: Playhead, carrier_clock: CarrierClock) -> None:
        self._playhead = playhead
        self._carrier_clock = carrier_clock
        self._caller = _CallerTrack()
        self._bot = _BotTrack(carrier_clock)

    def received(self, position: int, payload: bytes, now: float) -> None:
        """Note a packet of the inbound track. One that is late fills its gap unless that was given already.

        Args:
            position: Samples of the inbound track before this packet, lost ones included.
            payload: PCMU of 8 kHz.
            now: When it arrived, in s.
        """
        self._carrier_clock.received(position + len(payload), now)
        caller = self._caller
        if position == caller.ends_at:  # as nearly every packet
            caller.samples += payload
            caller.ends_at += len(payload)
        else:
            caller.place(position, payload)

    def sent(self, piece: SentAudio, now: float) -> None:
        """Note a piece of audio right after `Playhead.sent` was told of it.

        Args:
            piece: The audio; it is read when it has been heard.
            now: The current time in s.

        Raises:
            FormatMismatchError: The piece's format is none the line takes.
            ValueError: The playhead was not told of anything.
        """
        span = self._playhead.latest
        if span is None:
            raise ValueError("the playhead is told of a piece first")
        audio_format = piece.audio_format
        pcm = audio_format.encoding is Encoding.PCM and audio_format.channels == 1
        if audio_format != PCMU_8K and not (pcm and audio_format.sample_rate in SAMPLE_RATES):
            raise FormatMismatchError("bot", str(audio_format), "PCMU 8 kHz or mono PCM of 8, 16 or 24 kHz")
        self._bot.keep(piece, span, now)

    def take(self, now: float) -> LineAudio | None:
        """Return what has been settled since the last time, or None when nothing has.

        Args:
            now: The current time in s.
        """
        if self._caller.position is None:
            return None
        self._bot.begin(self._caller.position)
        return self._give(self._bot.settled(now, self._caller.ends_at))

    def finish(self, now: float) -> LineAudio | None:
        """Return everything up to the last inbound sample; for the end of the media stream.

        Args:
            now: The current time in s. What would be heard later is not in it.
        """
        settled = self.take(now)
        rest = self._give(self._caller.ends_at)
        if settled is None or rest is None:
            return settled or rest
        return LineAudio(settled.position, settled.caller + rest.caller, settled.bot + rest.bot)

    def _give(self, until: int) -> LineAudio | None:
        position = self._caller.position
        if position is None or until <= position:
            return None
        count = until - position
        return LineAudio(position, self._caller.take(count), self._bot.take(count))


class _CallerTrack:
    """What came in and was not given yet.

    Attributes:
        position: The first sample that was not given; None before the first packet.
        ends_at: The position behind the last sample that came in.
        samples: What came in from `position` on.
    """

    def __init__(self) -> None:
        self.position: int | None = None
        self.ends_at = -1
        self.samples = bytearray()

    def place(self, position: int, payload: bytes) -> None:
        """Put a packet where it belongs, which is not behind the last one."""
        if self.position is None:
            self.position = position
        offset = position - self.position
        if offset < 0:
            payload, offset = payload[-offset:], 0
        gap = offset - len(self.samples)
        if gap > 0:
            self.samples += MULAW_SILENCE * gap
        self.samples[offset : offset + len(payload)] = payload
        self.ends_at = self.position + len(self.samples)

    def take(self, count: int) -> bytes:
        """Give so many samples."""
        taken = bytes(self.samples[:count])
        del self.samples[:count]
        self.position = (self.position or 0) + count
        return taken


class _Run:
    """Pieces that are heard without a gap between them, and so stand sample behind sample.

    Attributes:
        span: The last piece's span.
        next_sample: The position behind the last sample that was made.
    """

    def __init__(self, span: Span, first_sample: int) -> None:
        self.span = span
        self.next_sample = first_sample
        self._first_sample = first_sample
        self._starts_at = span.starts_at
        self._encoder = _Encoder(PCMU_8K)

    def goes_on_with(self, span: Span | None) -> bool:
        """Whether a piece is heard right after this run."""
        return span is not None and span.starts_at == self.span.ends_at and not self.span.cut

    def sample_at(self, now: float) -> int:
        """Return the position up to which the run has been heard at `now`."""
        return self._first_sample + round((min(now, self.span.ends_at) - self._starts_at) * LINE_RATE)

    def heard_until(self, now: float) -> int:
        """Return the position up to which the run has been heard and its samples are made."""
        return min(self.sample_at(now), self.next_sample)

    def encode(self, piece: SentAudio) -> bytes:
        """Return the samples that a further piece makes."""
        audio_format = piece.audio_format
        tail = b""
        if audio_format != self._encoder.audio_format:
            tail = self._encoder.finish()
            self._encoder = _Encoder(audio_format)
        return tail + self._encoder.encode(piece.audio)

    def finish(self) -> bytes:
        """Return the samples that were held back."""
        return self._encoder.finish()


class _Encoder:
    """Makes PCMU of pieces of one format, in step with them: what the resampler delays is taken back."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.audio_format = audio_format
        self._resampler: StreamResampler | None = None
        self._delayed = 0
        if audio_format.encoding is Encoding.PCM:
            self._resampler = StreamResampler(audio_format.sample_rate, LINE_RATE)
            self._delayed = round(self._resampler.delay_ms * LINE_RATE / 1000)

    def encode(self, audio: bytes) -> bytes:
        if self._resampler is None:
            return audio
        return self._in_step(self._resampler.resample(audio[: len(audio) & ~1]))

    def finish(self) -> bytes:
        return b"" if self._resampler is None else self._in_step(self._resampler.flush())

    def _in_step(self, pcm: bytes) -> bytes:
        made = encode_mulaw(pcm)
        early = min(self._delayed, len(made))
        self._delayed -= early
        return made[early:]


class _BotTrack:
    """What was sent and was not given yet: pieces that wait to be heard, and samples of those that were."""

    def __init__(self, carrier_clock: CarrierClock) -> None:
        self._carrier_clock = carrier_clock
        self._waiting: deque[tuple[SentAudio, Span]] = deque()
        self._run: _Run | None = None  # the last one that was placed, as long as it may go on
        self._first_sample: int | None = None
        self._position = 0
        self._samples = bytearray()

    def keep(self, piece: SentAudio, span: Span, now: float) -> None:
        self._waiting.append((piece, span))
        while self._waiting[0][1].ends_at < now - MAX_WAITING_S:
            self._waiting.popleft()

    def begin(self, position: int) -> None:
        """Let the track begin with this sample, if it has not begun."""
        if self._first_sample is None:
            self._first_sample = self._position = position

    def settled(self, now: float, until: int) -> int:
        """Place what has been heard and return the position up to which nothing can change, at most `until`."""
        while True:
            piece, span = self._next_heard(now)
            run = self._run
            if run is not None and run.span.ends_at <= now and not run.goes_on_with(span):
                self._close(run)
                run = None
            if piece is None or span is None:
                heard_until = self._carrier_clock.position(now) if run is None else run.heard_until(now)
                return min(round(heard_until), until)
            if run is None:
                run = _Run(span, self._playout_start(span))
            if run.next_sample >= until:
                return min(until, self._position + len(self._samples)) if run is self._run else until
            self._waiting.popleft()
            self._run = run
            run.span = span
            self._write(run, run.encode(piece))

    def take(self, count: int) -> bytes:
        taken = bytes(self._samples[:count]).ljust(count, MULAW_SILENCE)
        del self._samples[:count]
        self._position += count
        return taken

    def _next_heard(self, now: float) -> tuple[SentAudio, Span] | tuple[None, None]:
        """Return the next piece that is being heard or was; those that never were are dropped."""
        waiting = self._waiting
        while waiting and not waiting[0][1].duration_ms:
            waiting.popleft()
        return waiting[0] if waiting and waiting[0][1].starts_at <= now else (None, None)

    def _playout_start(self, span: Span) -> int:
        """Return the sample a run starts at: never within what was heard before it."""
        start = round(self._carrier_clock.position(span.starts_at))
        ends_at = self._position + len(self._samples)
        # What was heard before the first inbound sample lies before the tracks' beginning.
        return start if ends_at == self._first_sample else max(start, ends_at)

    def _write(self, run: _Run, audio: bytes) -> None:
        offset = run.next_sample - self._position
        run.next_sample += len(audio)
        gap = offset - len(self._samples)
        if gap > 0:
            self._samples += MULAW_SILENCE * gap
        self._samples += audio[-offset:] if offset < 0 else audio

    def _close(self, run: _Run) -> None:
        self._write(run, run.finish())
        unheard = run.next_sample - run.sample_at(run.span.ends_at)
        if run.span.cut and unheard > 0:
            del self._samples[-unheard:]
        self._run = None
