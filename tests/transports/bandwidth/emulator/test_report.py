from __future__ import annotations

import array
import wave
from pathlib import Path

import pytest

from callpipe.transports.bandwidth.emulator.playout import Burst
from callpipe.transports.bandwidth.emulator.report import CallReport, CarrierEvent, Ending, Timeline


def test_the_wav_has_the_caller_left_and_the_bot_right(tmp_path: Path) -> None:
    report = CallReport(
        "c-1", 0.0, said=array.array("h", [1, 2, 3]).tobytes(), heard=array.array("h", [-9, -8]).tobytes()
    )
    report.write_wav(tmp_path / "call.wav")
    with wave.open(str(tmp_path / "call.wav"), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8_000)
        assert list(array.array("h", file.readframes(9))) == [1, -9, 2, -8, 3, 0]


def test_the_first_audio_is_that_after_the_stream_began() -> None:
    report = CallReport("c-1", 0.0, answered_at=0.25, bursts=[Burst(1.0), Burst(3.5)])
    report.streams_started_at += [3.0, 3.25]
    assert report.first_audio_ms == pytest.approx(500)
    assert report.answer_ms == pytest.approx(250)
    report.bursts.clear()
    assert report.first_audio_ms is None
    report.streams_started_at.clear()
    assert report.first_audio_ms is None


def test_a_call_that_nobody_answered_had_no_silence() -> None:
    assert CallReport("c-1", 0.0, ended_at=30.0).longest_silence_ms() == 0.0


def test_events_are_kept_in_order_with_their_time() -> None:
    times = iter([1.0, 2.0])
    seen: list[CarrierEvent] = []
    timeline = Timeline(lambda: next(times), seen.append)
    timeline.note("verb", "Pause")
    timeline.note("caller says", "100 ms", "secret")
    assert (
        seen
        == timeline.events
        == [
            CarrierEvent(1.0, "verb", "Pause"),
            CarrierEvent(2.0, "caller says", "100 ms", "secret"),
        ]
    )
    assert "secret" not in repr(seen)
    report = CallReport("c-1", 0.0, events=timeline.events, ending=Ending("hangup", "bot"))
    assert report.named("verb") == [CarrierEvent(1.0, "verb", "Pause")]
    assert report.cause == "hangup"
