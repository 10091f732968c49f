"""A call's events are in its journal, each once, and come back as transcript and figures."""

import asyncio
import errno
import json
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.tests.utils import run_test

from callpipe.pipelines.records.journal import (
    SPEAKING_EVENTS,
    CallFigures,
    Journal,
    JournalObserver,
    figures,
    read_journal,
    transcript,
)
from callpipe.processors.disk import DiskWriter, write_all
from callpipe.transports.call_events import (
    BargeInFrame,
    BotTurnFrame,
    CallerTurnFrame,
    CallEventFrame,
    MediaStoppedFrame,
    ToolCalledFrame,
    TurnLatencyFrame,
    UsageFrame,
)
from callpipe.transports.lane import MediaProcessor

NEW_YEAR = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""


TOOL_CALL = ToolCalledFrame(
    at=0.0,
    call_id="t1",
    tool_name="find_order",
    arguments='{"number": 17}',
    output='{"state": "sent"}',
    outcome="ok",
    duration_ms=12.4,
)


KILLED = """
import sys, time
from pathlib import Path
from callpipe.pipelines.records.journal import Journal
journal = Journal(Path(sys.argv[1]), call_id="c")
for number in range(1_000_000):
    journal.write("tick", number=number)
    print(time.monotonic(), flush=True)
    time.sleep(0.002)
"""


def test_a_killed_process_has_written_all_but_its_last_moments(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    program = [sys.executable, "-W", "ignore", "-c", KILLED, str(path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as writing:
        assert writing.stdout is not None
        times = [float(writing.stdout.readline()) for _ in range(300)]
        writing.kill()
        times += [float(line) for line in writing.stdout.readlines()]
    *_, last = read_journal(path)
    assert times[-1] - times[last["number"]] <= 0.1, "40 ms, and as much for a busy machine"


class Clock:
    """A clock that tests move."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def writer() -> Iterator[DiskWriter]:
    writer = DiskWriter()
    yield writer
    assert writer.close(5.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c-1" / "journal.jsonl"


def journal_at(path: Path, writer: DiskWriter, clock: Clock, wall_clock: Clock | None = None) -> Journal:
    wall_clock = wall_clock or Clock(NEW_YEAR)
    return Journal(path, call_id="c-1", clock=clock, wall_clock=wall_clock, writer=writer)


def written(path: Path, writer: DiskWriter) -> list[dict[str, Any]]:
    assert writer.wait(5.0)
    return list(read_journal(path))


def test_an_event_has_the_calls_time_the_worlds_time_and_its_fields(path: Path, writer: DiskWriter) -> None:
    clock, wall_clock = Clock(100.0), Clock(NEW_YEAR)
    journal = journal_at(path, writer, clock, wall_clock)
    journal.write("call_started", call_id="c-1", generation=1)
    clock.now, wall_clock.now = 101.5, NEW_YEAR + 1.5
    journal.write("noted", at=101.2345, text="Grüße \ud800", where=Path("x"), type=None)
    journal.close()
    assert written(path, writer) == [
        {"t": 0.0, "time": "2026-01-01T00:00:00.000+00:00", "event": "call_started"}
        | {"call_id": "c-1", "generation": 1},
        {"t": 1.234, "time": "2026-01-01T00:00:01.234+00:00", "event": "noted"}
        | {"text": "Grüße ?", "where": "x", "type": None},
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_each_event_is_on_the_disk_before_the_journal_is_closed(path: Path, writer: DiskWriter) -> None:
    journal = journal_at(path, writer, Clock(0.0))
    for number in range(3):
        journal.write("tick", number=number)
        assert [event["number"] for event in written(path, writer)] == list(range(number + 1))
    journal.close()


def test_the_next_generation_goes_on_in_the_calls_time_after_a_torn_line(
    path: Path, writer: DiskWriter
) -> None:
    first = journal_at(path, writer, Clock(50.0), Clock(NEW_YEAR))
    first.write("call_started")
    first.close()
    assert writer.wait(5.0)
    with path.open("ab") as file:
        file.write(b'{"t": 3.0, "time": "2026-01-0')
    second = journal_at(path, writer, Clock(7.0), Clock(NEW_YEAR + 10))
    second.write("call_started", generation=2)
    second.close()
    assert [(event["t"], event["event"]) for event in written(path, writer)] == [
        (0.0, "call_started"),
        (10.0, "call_started"),
    ]
    assert path.read_bytes().count(b"\n") == 3


def test_what_a_slow_disk_did_not_take_is_counted_in_the_journal(path: Path) -> None:
    writer = DiskWriter(capacity=2)
    released = threading.Event()
    journal = journal_at(path, writer, Clock(0.0))
    writer.submit(lambda: assert_true(released.wait(10)))
    for number in range(5):
        journal.write("tick", number=number)
    released.set()
    assert writer.wait(5.0)
    journal.write("tick", number=5)
    journal.close()
    events = written(path, writer)
    kept = [event["number"] for event in events if event["event"] == "tick"]
    lost = sum(event["count"] for event in events if event["event"] == "events_lost")
    assert kept[-1] == 5
    assert lost > 0
    assert len(kept) + lost == 6
    assert writer.close(5.0)


def assert_true(condition: bool) -> None:
    assert condition


def test_events_lost_at_the_very_end_are_counted_too(path: Path) -> None:
    writer = DiskWriter(capacity=1)
    released, reached = threading.Event(), threading.Event()
    journal = journal_at(path, writer, Clock(0.0))
    writer.submit(lambda: (reached.set(), assert_true(released.wait(10)))[0])
    assert reached.wait(5)
    journal.write("tick")
    journal.write("tick")
    journal.close()
    released.set()
    assert [event["event"] for event in written(path, writer)] == ["tick", "events_lost"]
    assert writer.close(5.0)


def test_a_full_disk_loses_events_and_says_so_once_there_is_room(
    path: Path, writer: DiskWriter, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(descriptor: int, content: bytes, position: int | None = None) -> None:
        write_all(descriptor, content[: len(content) // 2], position)
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = journal_at(path, writer, Clock(0.0))
    with monkeypatch.context() as full_disk:
        full_disk.setattr("callpipe.pipelines.records.journal.write_all", write_half)
        for _ in range(3):
            journal.write("tick", words="a secret")
        assert written(path, writer) == []
    journal.write("tock")
    journal.close()
    assert [(event["event"], event.get("count")) for event in written(path, writer)] == [
        ("events_lost", 3),
        ("tock", None),
    ]
    assert len([message for message in logged if message.startswith("ERROR")]) == 1
    assert not any("secret" in message for message in logged)


def test_an_event_after_the_end_is_logged_and_not_written(
    path: Path, writer: DiskWriter, logged: list[str]
) -> None:
    journal = journal_at(path, writer, Clock(0.0))
    journal.write("tick")
    journal.close()
    journal.close()
    journal.write("late", text="a secret")
    assert [event["event"] for event in written(path, writer)] == ["tick"]
    assert any("late" in message for message in logged)
    assert not any("secret" in message for message in logged)


@pytest.mark.parametrize(
    "line", [b"", b"\xff\xfe", b"[1, 2]", b"17", b'{"event": "no time"}', b'{"t": 1, "time"', b"null"]
)
def test_lines_that_are_no_events_are_skipped(tmp_path: Path, line: bytes) -> None:
    good = b'{"t": 1.0, "time": "2026-01-01T00:00:00Z", "event": "tick"}\n'
    path = tmp_path / "journal.jsonl"
    path.write_bytes(good + line + b"\n" + good + line)
    assert len(list(read_journal(path))) == 2


class Telling(MediaProcessor):
    """Pushes frames of its own: one way, or both ways as siblings."""

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        await self.push_frame(frame, direction)
        if isinstance(frame, MediaStoppedFrame):
            for speaking in SPEAKING_EVENTS:
                await self.broadcast_frame_instance(speaking())
            await self.broadcast_frame_instance(BargeInFrame(3.0, "i", believed_ms=1.0, generated_ms=2.0))
            await self.push_frame(CallerTurnFrame(2.0, "i", "hello"), FrameDirection.UPSTREAM)
            await self.push_frame(TOOL_CALL)
            await self.push_error("the model is gone")


class Stock(FrameProcessor):
    """A stock processor, whose every push is observed."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


def test_the_observer_writes_each_event_once(path: Path, writer: DiskWriter) -> None:
    clock = Clock(1.0)
    journal = journal_at(path, writer, clock)
    clock.now = 5.0
    frames = [
        InputAudioRawFrame(b"\0\0", 8_000, 1),
        OutputAudioRawFrame(b"\0\0", 8_000, 1),
        MediaStoppedFrame(2.5, cause="stop", counts={"packets": 7}),
    ]
    asyncio.run(
        run_test(
            Pipeline([Stock(), Telling(name="teller"), Stock()]),
            frames_to_send=frames,
            observers=[JournalObserver(journal)],
        )
    )
    journal.close()
    told = {event.pop("event"): event for event in written(path, writer)}
    timed = ("media_stopped", "barge_in", "caller_turn", "tool_call")
    assert [told[name].pop("t") for name in timed] == [1.5, 2.0, 1.0, -1.0]
    times = [event.pop("time") for event in told.values()]
    assert len(times) == len(told)
    assert told == {
        "media_stopped": {"cause": "stop", "counts": {"packets": 7}},
        "bot_started_speaking": {"t": 4.0},
        "bot_stopped_speaking": {"t": 4.0},
        "user_started_speaking": {"t": 4.0},
        "user_stopped_speaking": {"t": 4.0},
        "barge_in": {"item_id": "i", "believed_ms": 1.0, "generated_ms": 2.0},
        "caller_turn": {"item_id": "i", "text": "hello"},
        "tool_call": {
            "tool_name": "find_order",
            "call_id": "t1",
            "arguments": '{"number": 17}',
            "output": '{"state": "sent"}',
            "outcome": "ok",
            "duration_ms": 12.4,
        },
        "error": {
            "t": 4.0,
            "processor": "teller",
            "category": "unknown",
            "message": "the model is gone",
        },
    }
    assert path.read_bytes().count(b"\n") == len(told)


def test_the_observer_outlives_an_event_it_cannot_write(
    path: Path, writer: DiskWriter, logged: list[str]
) -> None:
    counts: dict[Any, Any] = {("a", "secret"): 1}
    journal = journal_at(path, writer, Clock(0.0))
    frames = [
        MediaStoppedFrame(0.0, cause="first", counts=counts),
        MediaStoppedFrame(0.0, cause="second", counts={}),
        ErrorFrame("no processor told this"),
    ]
    asyncio.run(run_test(Stock(), frames_to_send=frames, observers=[JournalObserver(journal)]))
    journal.close()
    first, second = written(path, writer)
    assert (first["cause"], second["processor"]) == ("second", None)
    assert any("was not journaled" in message for message in logged)


def events_of(*events: tuple[float, str | CallEventFrame]) -> list[dict[str, Any]]:
    """Return events as they come back from a journal."""
    time = "2026-01-01T00:00:00Z"
    entries: list[dict[str, Any]] = []
    for t, told in events:
        if isinstance(told, str):
            entries.append({"t": t, "time": time, "event": told})
        else:
            entries.append({"t": t, "time": time, "event": told.event} | told.fields())
    return [json.loads(json.dumps(entry)) for entry in entries]


CALL = events_of(
    (0.0, "call_started"),
    (0.5, "answered"),
    (1.25, "bot_started_speaking"),
    (4.0, BotTurnFrame(0, "i1", "Hello, how can I help you today?", "Hello, how", 3_000.0, 1_240.0, True)),
    (4.0, BargeInFrame(0, "i1", 1_240.0, 3_000.0)),
    (6.0, CallerTurnFrame(0, "i2", "Where is\nBot: my order?")),
    (6.5, TOOL_CALL),
    (6.6, UsageFrame(0, "m", {"audio_in": 10}, 0.25)),
    (7.0, TurnLatencyFrame(0, 400.0, 20.0)),
    (7.5, "bot_started_speaking"),
    (59.98, BotTurnFrame(0, "i3", "It is on its way.", "It is on its way.", 2_000.0, 2_000.0, False)),
    (61.0, CallerTurnFrame(0, "i4", "")),
    (62.0, TurnLatencyFrame(0, 900.0, None)),
    (62.0, TurnLatencyFrame(0, None, 10.0)),
    (63.0, TurnLatencyFrame(0, 500.0, 0.0, 80.0)),
    (64.0, UsageFrame(0, "m", {"audio_in": 10}, 0.5)),
    (65.0, "call_ended"),
    (66.0, "disconnected"),
)
LAGS = [{"t": t, "time": "", "event": "loop_lag", "lag_ms": lag_ms} for t, lag_ms in ((9.0, 61.5), (9.5, 55.0))]


def test_the_transcript_tells_who_said_what_in_the_order_of_time() -> None:
    expected = (
        "  0:04.0  Bot: Hello, how [cut off after 1.2 s]\n"
        "  0:06.0  Caller: Where is Bot: my order?\n"
        '  0:06.5  Tool: find_order({"number": 17}) -> {"state": "sent"} [ok, 12 ms]\n'
        "  1:00.0  Bot: It is on its way.\n"
        "  1:01.0  Caller: [no transcript]\n"
    )
    assert transcript(CALL) == expected
    assert transcript(iter(CALL[::-1])) == expected


def test_the_figures_add_up() -> None:
    told = figures(iter([*CALL, *LAGS]))
    assert told == CallFigures(
        duration_s=64.5,
        answer_to_first_audio_ms=750,
        turns=2,
        tool_calls=1,
        barge_ins=(1_240.0,),
        response_ms=(420.0, 900.0, 500.0),
        cost_usd=0.75,
        unpriced=(),
        heard_ms=(580.0,),
        loop_lag_ms=61.5,
        tokens={"audio_in": 20},
    )
    assert (told.response_p50_ms, told.response_max_ms) == (500.0, 900.0)


def test_a_call_that_broke_off_has_figures_too() -> None:
    told = figures(events_of((2.0, "call_started"), (3.0, UsageFrame(0, "unknown", {}, None))))
    assert told == CallFigures(1.0, None, 0, 0, (), (), 0.0, ("unknown",))
    assert (told.response_p50_ms, told.response_max_ms) == (None, None)
    assert figures([]) == CallFigures(0.0, None, 0, 0, (), (), 0.0, ())
