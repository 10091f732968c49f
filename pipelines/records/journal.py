"""A call's journal: its events as JSON lines, written by an observer, read as transcript and figures."""

from __future__ import annotations

import functools
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from loguru import logger
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ErrorFrame,
    Frame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed

from callpipe.processors.disk import Write, open_private, shared_writer, write_all
from callpipe.transports.call_events import REDACTED, CallEventFrame
from callpipe.transports.errors import where
from callpipe.transports.lane import DOWNSTREAM
from callpipe.transports.redaction import RedactedTimes, RedactionFrame

Seconds = TypeVar("Seconds", float, None)

Event: TypeAlias = dict[str, Any]
"""An entry: ``t`` (seconds since the call's start), ``time`` (ISO 8601, UTC), ``event`` (its name), fields."""

SPEAKING_EVENTS: dict[type[Frame], str] = {
    BotStartedSpeakingFrame: "bot_started_speaking",
    BotStoppedSpeakingFrame: "bot_stopped_speaking",
    UserStartedSpeakingFrame: "user_started_speaking",
    UserStoppedSpeakingFrame: "user_stopped_speaking",
}

JOURNALED_FRAMES = (CallEventFrame, ErrorFrame, *SPEAKING_EVENTS)
"""What `JournalObserver` writes."""


class Writer(Protocol):
    """Runs writes, one after the other. See `DiskWriter`, the one that all calls share."""

    def submit(self, write: Write) -> bool:
        """Run a write; False when it will not be."""
        ...

    def submit_last(self, write: Write) -> None:
        """Run the write that closes a file."""
        ...


class Journal:
    """Writes a call's events to a file, each as soon as the disk's thread gets to it.

    Nothing here waits for the disk. When the process is killed, the events of its last 20 ms are lost, or
    what a slow disk has yet to take (`disk.GATHER_S`); what was written stays unless the machine goes down.
    Events that could not be written, because the disk was full or far too slow, are counted, and the next line
    that can be written is ``events_lost`` with their number. A later generation of the call continues the file
    and its time.

    Args:
        path: The file; created with mode 0600, its missing folders with 0700.
        call_id: The carrier's id of the call, for log messages.
        began_at: What `t` counts from, on the call's clock; when None, that of a journal that is there already,
            else now.
        clock: The call's monotonic clock, in seconds.
        wall_clock: Unix time in seconds.
        writer: The thread that writes; the process's own when None.
    """

    def __init__(
        self,
        path: Path,
        *,
        call_id: str,
        began_at: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        writer: Writer | None = None,
    ) -> None:
        self.call_id = call_id
        self._clock = clock
        self._wall_clock = wall_clock
        self._writer = writer or shared_writer()
        self._refused = 0
        self._closed = False
        now = clock()
        started_at = now if began_at is None else began_at
        started_time = wall_clock() - (now - started_at)
        self._file = _JournalFile(path, call_id, started_at, started_time, goes_on=began_at is None)

    def write(self, event: str, /, *, at: float | None = None, **fields: object) -> None:
        """Write an event.

        Args:
            event: Its name.
            at: When it happened, on the call's clock; now when None.
            fields: What is told about it, as JSON can tell it; anything else is written as text. The names
                ``t``, ``time`` and ``event`` are taken.
        """
        if self._closed:
            logger.warning("call {}: event {} came after the journal was closed", self.call_id, event)
            return
        now = self._clock()
        at = now if at is None else at
        happened = self._wall_clock() - (now - at)
        line = json.dumps({"event": event, **fields}, ensure_ascii=False, default=str)
        if self._writer.submit(functools.partial(self._file.append, at, happened, line, self._refused)):
            self._refused = 0
        else:
            self._refused += 1

    def close(self) -> None:
        """Close the file after what was written so far; `DiskWriter.flush` waits for it."""
        if not self._closed:
            self._closed = True
            lost = functools.partial(self._file.close, self._clock(), self._wall_clock(), self._refused)
            self._writer.submit_last(lost)


class _JournalFile:
    """The file, as the disk's thread sees it: opened when there is something to write."""

    def __init__(
        self, path: Path, call_id: str, started_at: float, started_time: float, *, goes_on: bool
    ) -> None:
        self._path = path
        self._call_id = call_id
        self._started_at = started_at
        self._started_time = started_time
        self._goes_on = goes_on
        self._descriptor: int | None = None
        self._lost = 0

    def append(self, at: float, happened: float, line: str, refused: int) -> None:
        """Write one event; `refused` events before it never came here."""
        self._lost += refused
        try:
            self._report_loss(at, happened)
            self._write(at, happened, line)
        except (OSError, ValueError) as failure:
            if self._lost == 0:
                logger.error("call {}: the journal cannot be written: {}", self._call_id, failure)
            self._lost += 1
            self._close_descriptor()

    def close(self, at: float, happened: float, refused: int) -> None:
        self._lost += refused
        try:
            self._report_loss(at, happened)
        except (OSError, ValueError):
            logger.error("call {}: {} events of the journal are lost", self._call_id, self._lost)
        self._close_descriptor()

    def _report_loss(self, at: float, happened: float) -> None:
        if self._lost:
            self._write(at, happened, json.dumps({"event": "events_lost", "count": self._lost}))
            self._lost = 0

    def _write(self, at: float, happened: float, line: str) -> None:
        descriptor = self._opened()
        t = at - self._started_at
        moment = datetime.fromtimestamp(happened, UTC).isoformat(timespec="milliseconds")
        entry = f'{{"t": {t:.3f}, "time": "{moment}", {line[1:]}\n'
        write_all(descriptor, entry.encode(errors="replace"))

    def _opened(self) -> int:
        """Return the open file; end a line that another process could not finish, go on in the file's time."""
        if self._descriptor is not None:
            return self._descriptor
        self._descriptor = open_private(self._path, os.O_RDWR | os.O_APPEND)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            write_all(self._descriptor, b"\n")
        if self._goes_on and (first := next(read_journal(self._path), None)):
            began = datetime.fromisoformat(first["time"]).timestamp() - first["t"]
            self._started_at -= self._started_time - began
            self._started_time = began
        return self._descriptor

    def _close_descriptor(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class JournalObserver(BaseObserver):
    """Writes what a pipeline tells of its call: call events, errors, who speaks. Each once.

    While the call is redacted no words are written, nor are those of a turn or a tool call of which any part
    lies in that time.

    Args:
        journal: Where to.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__(observe_every_push=False)  # pyright: ignore[reportUnknownMemberType]  pipecat's **kwargs
        self._journal = journal
        self._redacted = RedactedTimes()

    async def on_push_frame(self, data: FramePushed) -> None:
        """Write an event frame; of a broadcast, which pushes two siblings, the one that goes downstream."""
        frame = data.frame
        if not isinstance(frame, JOURNALED_FRAMES):
            return
        if frame.broadcast_sibling_id is not None and data.direction is not DOWNSTREAM:
            return
        try:
            self._write(frame)
        except Exception as failure:  # noqa: BLE001  an observer that raises once gets no frames any more
            logger.error("call {}: {} was not journaled: {}", self._journal.call_id, frame.name, where(failure))

    def _write(self, frame: Frame) -> None:
        if isinstance(frame, CallEventFrame):
            if isinstance(frame, RedactionFrame):
                self._redacted.take(frame)
            redacted = self._redacted.touch(frame.since, frame.at)
            told = frame.redacted_fields() if redacted else frame.fields()
            self._journal.write(frame.event, at=frame.at, **told)
        elif isinstance(frame, ErrorFrame):
            message = REDACTED if self._redacted.open else frame.error
            processor = frame.processor.name if frame.processor else None
            category = frame.category.value if frame.category else None
            self._journal.write("error", processor=processor, category=category, message=message)
        else:
            name = next(name for kind, name in SPEAKING_EVENTS.items() if isinstance(frame, kind))
            self._journal.write(name)


def read_journal(path: Path) -> Iterator[Event]:
    """Yield a journal's events, without lines that a killed process could not finish.

    Args:
        path: The file.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry: object = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and {"t", "time", "event"} <= entry.keys():
                yield cast(Event, entry)


@dataclass(frozen=True, slots=True)
class CallFigures:
    """What a call's events add up to.

    Attributes:
        duration_s: From the call's answer to its end, or to the last event when it has none.
        answer_to_first_audio_ms: From the call's answer to the bot's first audio; None without audio.
        turns: How often the caller spoke.
        tool_calls: How many tools were called.
        barge_ins: For each barge-in, the milliseconds of the cut item the caller is held to have heard.
        response_ms: For each answer, the time from the end of the caller's speech to the answer's first audio
            on the wire.
        heard_ms: For each answer, the time from the end of the caller's speech until they hear it, where the
            transport told of it.
        tokens: What was used, summed by kind as `UsageFrame` tells it; milliseconds for what is billed by time.
        loop_lag_ms: The longest that the process kept the call's work waiting, as far as it was notable.
        cost_usd: What the model cost, as far as prices are known.
        unpriced: The models that were used and whose price is not known.
    """

    duration_s: float
    answer_to_first_audio_ms: float | None
    turns: int
    tool_calls: int
    barge_ins: tuple[float, ...]
    response_ms: tuple[float, ...]
    cost_usd: float
    unpriced: tuple[str, ...]
    heard_ms: tuple[float, ...] = ()
    loop_lag_ms: float = 0.0
    tokens: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def response_p50_ms(self) -> float | None:
        """The median of `response_ms`; None without answers."""
        return statistics.median(self.response_ms) if self.response_ms else None

    @property
    def response_max_ms(self) -> float | None:
        """The longest of `response_ms`; None without answers."""
        return max(self.response_ms, default=None)


def figures(events: Iterable[Event]) -> CallFigures:
    """Return what a call's events add up to.

    Args:
        events: The call's events, as `read_journal` gives them.
    """
    by_name: dict[str, list[Event]] = {}
    last_t = 0.0
    for event in events:
        by_name.setdefault(event["event"], []).append(event)
        last_t = max(last_t, event["t"])
    began = _first_t(by_name, "answered", _first_t(by_name, "call_started", 0.0))
    ended = by_name["call_ended"][-1]["t"] if "call_ended" in by_name else last_t
    first_audio = _first_t(by_name, "bot_started_speaking", None)
    latencies = [each for each in by_name.get("turn_latency", []) if each["response_ms"] is not None]
    usage = by_name.get("usage", [])
    return CallFigures(
        duration_s=round(ended - began, 3),
        answer_to_first_audio_ms=None if first_audio is None else round((first_audio - began) * 1000),
        turns=len(by_name.get("caller_turn", [])),
        tool_calls=len(by_name.get("tool_call", [])),
        barge_ins=tuple(each["believed_ms"] for each in by_name.get("barge_in", [])),
        response_ms=tuple(each["response_ms"] + (each["wire_ms"] or 0.0) for each in latencies),
        heard_ms=tuple(_waited_ms(each) for each in latencies if each.get("heard_ms") is not None),
        loop_lag_ms=max((each["lag_ms"] for each in by_name.get("loop_lag", [])), default=0.0),
        cost_usd=sum(each["cost_usd"] or 0.0 for each in usage),
        unpriced=tuple(sorted({each["model"] for each in usage if each["cost_usd"] is None})),
        tokens=_summed(each.get("tokens", {}) for each in usage),
    )


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for each in counts:
        for kind, count in each.items():
            sums[kind] = sums.get(kind, 0) + count
    return sums


def _waited_ms(latency: Event) -> float:
    return latency["response_ms"] + (latency["wire_ms"] or 0.0) + latency["heard_ms"]


def _first_t(by_name: dict[str, list[Event]], name: str, otherwise: Seconds) -> float | Seconds:
    return by_name[name][0]["t"] if name in by_name else otherwise


def transcript(events: Iterable[Event]) -> str:
    """Return who said what, and which tools were called, a line each, in the order of time.

    A bot's turn that was cut off ends with what the caller had heard of it.

    Args:
        events: The call's events, as `read_journal` gives them.
    """
    lines = [
        f"{_minutes(event['t'])}  {_SPOKEN[event['event']](event)}\n"
        for event in sorted(events, key=lambda event: event["t"])
        if event["event"] in _SPOKEN
    ]
    return "".join(lines)


def _minutes(t: float) -> str:
    minutes, tenths = divmod(round(max(0.0, t) * 10), 600)
    return f"{minutes:3}:{tenths / 10:04.1f}"


def _caller_line(event: Event) -> str:
    return f"Caller: {_one_line(event['text']) or '[no transcript]'}"


def _bot_line(event: Event) -> str:
    if event["interrupted"]:
        return f"Bot: {_one_line(event['heard_text'])} [cut off after {event['heard_ms'] / 1000:.1f} s]"
    return f"Bot: {_one_line(event['text'])}"


def _tool_line(event: Event) -> str:
    called = f"{event['tool_name']}({_one_line(event['arguments'])}) -> {_one_line(event['output'])}"
    return f"Tool: {called} [{event['outcome']}, {event['duration_ms']:.0f} ms]"


def _one_line(text: str) -> str:
    return " ".join(text.split())


_SPOKEN: dict[str, Callable[[Event], str]] = {
    "caller_turn": _caller_line,
    "bot_turn": _bot_line,
    "tool_call": _tool_line,
}
