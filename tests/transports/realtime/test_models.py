import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import openai.types.realtime as official
import pytest
from loguru import logger

from callpipe.transports.realtime import RealtimeSettings, Transcription, shutdown_notice, warn_of_shutdown
from callpipe.transports.realtime.models import SHUTDOWNS
from callpipe.transports.realtime.prices import PUBLISHED

TODAY = date(2026, 11, 20)


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), format="{level} {message}", level="DEBUG")
    warn_of_shutdown.cache_clear()
    yield lines
    logger.remove(sink)
    warn_of_shutdown.cache_clear()


def announced(source: str) -> Iterator[tuple[str, date]]:
    """Yield the shutdown dates that the official package's docstrings announce."""
    text = " ".join(source.split())
    for names, day in re.findall(r'- ((?:"[^"]+",? ?)+): Announced shutdown date: (\d{4}-\d\d-\d\d)', text):
        for name in re.findall(r'"([^"]+)"', names):
            yield name, date.fromisoformat(day)


@pytest.mark.parametrize("module", ["realtime_session_create_request", "audio_transcription"])
def test_every_shutdown_that_the_official_package_announces_is_known(module: str) -> None:
    source = (Path(official.__file__).parent / f"{module}.py").read_text()

    found = [(name, day) for name, day in announced(source) if not name.startswith("gpt-audio")]

    assert len(found) >= 4
    assert [(name, day) for name, day in found if SHUTDOWNS[name].day != day] == []


def test_no_replacement_is_shut_down_itself() -> None:
    replacements = {shutdown.replacement for shutdown in SHUTDOWNS.values()}

    assert not replacements & SHUTDOWNS.keys()
    assert replacements <= PUBLISHED.models.keys()


def test_our_defaults_stay() -> None:
    assert [shutdown_notice(model, TODAY) for model in RealtimeSettings().models] == [None, None]


@pytest.mark.parametrize(
    ("today", "notice"),
    [
        (TODAY, "the model gpt-realtime is shut down on 2027-01-20, in 61 days; use gpt-realtime-2.1"),
        (
            date(2027, 1, 19),
            "the model gpt-realtime is shut down on 2027-01-20, in 1 day; use gpt-realtime-2.1",
        ),
        (
            date(2027, 1, 20),
            "the model gpt-realtime was shut down on 2027-01-20: calls with it fail; use gpt-realtime-2.1",
        ),
    ],
)
def test_a_notice_tells_the_day_and_what_to_use(today: date, notice: str) -> None:
    assert shutdown_notice("gpt-realtime", today) == notice


def test_a_session_names_all_the_models_it_needs() -> None:
    assert RealtimeSettings(transcription=Transcription(model="whisper-1")).models == (
        "gpt-realtime-2.1",
        "whisper-1",
    )
    assert RealtimeSettings(transcription=None).models == ("gpt-realtime-2.1",)


def test_many_calls_warn_once_a_day(log: list[str]) -> None:
    for _ in range(3):
        warn_of_shutdown("whisper-1", TODAY)
        warn_of_shutdown("gpt-realtime-2.1", TODAY)
    warn_of_shutdown("whisper-1", date(2027, 2, 26))

    assert [line.split(" the model")[0] for line in log] == ["WARNING", "ERROR"]
    assert "use gpt-transcribe" in log[0]
