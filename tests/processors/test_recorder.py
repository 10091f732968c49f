"""What was said on the line is in the file, at its place, whatever happens to the process or to the disk."""

import asyncio
import base64
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from pipecat.frames.frames import CancelFrame, EndFrame, ErrorFrame, Frame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.workers.runner import WorkerRunner

from callpipe.processors.disk import DiskWriter
from callpipe.processors.recorder import FIRST_LINES, LineRecording, Recorder
from callpipe.processors.wav import StereoWavWriter
from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.bandwidth.transport import BandwidthTransport
from callpipe.transports.frames import LineAudioFrame, LineAudioRequestFrame
from callpipe.transports.lane import MediaProcessor
from callpipe.transports.loopback import socket_pair

SILENCE = 0xFF
CALLER, BOT = 0x80, 0x00
"""The mu-law codes of the largest samples, 32,124 and -32,124."""


@pytest.fixture
def writer() -> Iterator[DiskWriter]:
    writer = DiskWriter()
    yield writer
    assert writer.close(5.0)


def line(position: int, *, caller: int = CALLER, bot: int = BOT, samples: int = 800) -> LineAudioFrame:
    return LineAudioFrame(position, bytes([caller]) * samples, bytes([bot]) * samples, samples / 8_000)


def lines(count: int) -> list[Frame]:
    return [line(800 * number) for number in range(count)]


def runs(path: Path) -> list[tuple[int, int, int]]:
    """Return the file's stretches of equal samples: how many, the caller's sample, the bot's."""
    with wave.open(str(path)) as reading:
        samples = np.frombuffer(reading.readframes(reading.getnframes()), "<i2").reshape(-1, 2)
    changes = (np.flatnonzero((samples[1:] != samples[:-1]).any(axis=1)) + 1).tolist()
    starts, ends = [0, *changes], [*changes, len(samples)]
    return [
        (end - start, int(samples[start, 0]), int(samples[start, 1]))
        for start, end in zip(starts, ends, strict=True)
    ]


def run(
    processor: FrameProcessor, *, frames_to_send: Sequence[Frame], send_end_frame: bool = True
) -> tuple[Sequence[Frame], Sequence[Frame]]:
    """Run a pipeline and return what came out downstream and upstream."""
    return asyncio.run(run_test(processor, frames_to_send=frames_to_send, send_end_frame=send_end_frame))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def stalled_until(released: threading.Event) -> Callable[[], None]:
    def stall() -> None:
        released.wait(5.0)

    return stall


def errors_of(frames: Sequence[Frame]) -> list[str]:
    return [frame.error for frame in frames if isinstance(frame, ErrorFrame)]


def test_the_caller_is_left_the_bot_right_and_lost_stretches_are_silence(
    tmp_path: Path, writer: DiskWriter
) -> None:
    path = tmp_path / "call.wav"
    frames = [line(0), line(800, bot=SILENCE), line(2_400, caller=SILENCE)]
    down, up = run(Recorder(path, writer=writer), frames_to_send=frames)
    assert runs(path) == [(800, 32_124, -32_124), (800, 32_124, 0), (800, 0, 0), (800, 0, -32_124)]
    assert list(down) == frames, "others may want the line's audio too"
    assert [type(frame) for frame in up] == [LineAudioRequestFrame]


class LastWords(MediaProcessor):
    """Stands for a transport: the line goes on while the output holds EndFrame, and ends with CancelFrame."""

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, CancelFrame):
            await self.push_frame(line(0))
        await self.push_frame(frame, direction)
        if isinstance(frame, EndFrame):
            await self.push_frame(line(0))


@pytest.mark.parametrize("ending", [EndFrame, CancelFrame])
def test_the_last_words_are_recorded(tmp_path: Path, writer: DiskWriter, ending: Callable[[], Frame]) -> None:
    path = tmp_path / "call.wav"
    pipeline = Pipeline([LastWords(), Recorder(path, writer=writer)])
    run(pipeline, frames_to_send=[ending()], send_end_frame=False)
    assert runs(path) == [(800, 32_124, -32_124)]


def test_the_file_is_closed_with_the_pipeline(tmp_path: Path, writer: DiskWriter) -> None:
    open_before = open_files()
    for number in range(3):
        run(Recorder(tmp_path / f"{number}.wav", writer=writer), frames_to_send=[line(0)])
    assert open_files() == open_before


def test_a_full_disk_stops_the_recording_and_not_the_call(tmp_path: Path, writer: DiskWriter) -> None:
    path = tmp_path / "call.wav"
    path.symlink_to("/dev/full")
    frames = [*lines(FIRST_LINES), SleepFrame(0.1), line(16_000), line(16_800)]
    down, up = run(Recorder(path, writer=writer), frames_to_send=frames)
    assert len(down) == FIRST_LINES + 2
    assert errors_of(up) == ["the recording has stopped"]


def test_a_file_that_is_no_recording_is_left_alone(tmp_path: Path, writer: DiskWriter) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(b"somebody's letter")
    frames = [*lines(FIRST_LINES), SleepFrame(0.1), line(16_000)]
    _, up = run(Recorder(path, writer=writer), frames_to_send=frames)
    assert errors_of(up) == ["the recording has stopped"]
    assert path.read_bytes() == b"somebody's letter"


def test_a_disk_that_is_slow_for_a_while_gets_it_all_at_once(tmp_path: Path, writer: DiskWriter) -> None:
    path = tmp_path / "call.wav"
    released = threading.Event()
    writer.submit(stalled_until(released))
    recorder = Recorder(path, writer=writer)
    for at in range(0, 16_000, 800):
        recorder.process_audio(line(at))
    released.set()
    assert writer.wait(5.0)
    assert runs(path) == [(16_000, 32_124, -32_124)]


class EagerWriter(DiskWriter):
    """Has written before whoever asks for it goes on."""

    def submit(self, write: Callable[[], None]) -> bool:
        write()
        return True


def test_a_disk_that_is_faster_than_the_event_loop_gets_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    writer = EagerWriter()
    recorder = Recorder(path, writer=writer)
    for each in lines(FIRST_LINES + 2):
        recorder.process_audio(each)
    assert writer.close(5.0)
    StereoWavWriter(path, 0.0).close()
    assert runs(path) == [((FIRST_LINES + 2) * 800, 32_124, -32_124)]


def test_what_does_not_fit_while_the_disk_stalls_is_silence_at_its_place(
    tmp_path: Path, writer: DiskWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callpipe.processors.recorder.MAX_WAITING", 10)
    path = tmp_path / "call.wav"
    released = threading.Event()
    writer.submit(stalled_until(released))
    threading.Timer(0.2, released.set).start()
    _, up = run(Recorder(path, writer=writer), frames_to_send=[*lines(12), SleepFrame(0.5), line(12 * 800)])
    assert runs(path) == [(10 * 800, 32_124, -32_124), (2 * 800, 0, 0), (800, 32_124, -32_124)]
    assert errors_of(up) == ["the recording has silent holes: the disk is too slow"]


@pytest.mark.parametrize(("passed_s", "silence"), [(2.0, 2 * 8_000), (0.05, 400), (0.0, 0), (-5.0, 0)])
def test_the_next_generation_goes_on_after_the_time_that_passed(
    tmp_path: Path, passed_s: float, silence: int
) -> None:
    path = tmp_path / "call.wav"
    first = LineRecording(path, 1_000.0)
    first.write([line(0)])
    first.close()
    second = LineRecording(path, 1_000.1 + passed_s)
    second.write([line(160, bot=SILENCE), line(1_760, bot=SILENCE)])
    second.close()
    gap = [(silence, 0, 0)] if silence else []
    assert runs(path) == [
        (800, 32_124, -32_124),
        *gap,
        (800, 32_124, 0),
        (800, 0, 0),
        (800, 32_124, 0),
    ]


def test_a_generation_that_died_before_it_wrote_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    recording = LineRecording(path, 1_002.5, 1_000.0)
    recording.write([line(0)])
    recording.close()
    assert runs(path) == [(20_000, 0, 0), (800, 32_124, -32_124)]


def test_a_wrong_clock_does_not_fill_the_disk_with_silence(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    for spoken_at in (0.0, 1e12):
        recording = LineRecording(path, spoken_at)
        recording.write([line(0)])
        recording.close()
    with wave.open(str(path)) as reading:
        assert reading.getnframes() == 800 + 3_600 * 8_000 + 800


def test_all_but_the_last_pieces_are_there_when_the_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    program = [sys.executable, "-W", "ignore", __file__, str(path), "98"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as recording:
        deadline = time.monotonic() + 30.0
        while time.monotonic() < deadline and (not path.exists() or path.stat().st_size < 70 * 160 * 4):
            time.sleep(0.02)
        recording.kill()
    StereoWavWriter(path, 0.0).close()  # as the next process does
    ((samples, *tracks),) = runs(path)
    assert 70 * 160 <= samples <= 75 * 160
    assert tracks == [32_124, 0]


def killed_recorder(path: Path, packets: int) -> tuple[float, float]:
    """Record in a process of its own and kill it; return when the first and the last packet came."""
    program = [sys.executable, "-W", "ignore", __file__, str(path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as recording:
        assert recording.stdout is not None
        times = [time.monotonic() for _ in range(packets) if recording.stdout.readline()]
        recording.kill()
    return times[0], times[-1]


def test_the_next_process_goes_on_where_a_killed_one_was_and_the_gap_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    first_began, _ = killed_recorder(path, 60)
    damaged = path.read_bytes()
    path.write_bytes(damaged[:88] + b"\0\0\0\0" + damaged[92:-3])  # killed within the header, and a sample
    second_began, second_ended = killed_recorder(path, 60)
    StereoWavWriter(path, 0.0).close()
    spoken, gap, again = runs(path)
    assert (spoken[1], gap[1:], again[1]) == (32_124, (0, 0), 32_124)
    placed_s = (spoken[0] + gap[0]) / 8_000
    assert placed_s == pytest.approx(second_began - first_began, abs=0.1)
    lasts_s = sum(samples for samples, _, _ in (spoken, gap, again)) / 8_000
    assert lasts_s == pytest.approx(second_ended - first_began, abs=0.3), "the end was killed too"


async def record_in_real_time(path: Path, packets: float) -> None:
    """Record a call over a loopback socket until the process is killed, and print a line for each packet."""
    carrier, socket = socket_pair()
    transport = BandwidthTransport(socket, StartMessage("1", "c-1", "s-1", "s-1"))
    worker = PipelineWorker(
        Pipeline([transport.input(), Recorder(path), transport.output()]), enable_rtvi=False
    )
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def pipeline_started(*_: object) -> None:
        started.set()

    runner = WorkerRunner()
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await started.wait()
    payload = base64.b64encode(bytes([CALLER]) * 160).decode()
    loop = asyncio.get_running_loop()
    next_at = loop.time()
    sent = 0
    while not running.done():
        sent += 1
        if sent > packets:
            await running
        carrier.send(f'{{"eventType":"media","track":"inbound","payload":"{payload}"}}')
        print("sent", flush=True)
        next_at += 0.02
        await asyncio.sleep(next_at - loop.time())


if __name__ == "__main__":
    asyncio.run(record_in_real_time(Path(sys.argv[1]), float((*sys.argv, "inf")[2])))
