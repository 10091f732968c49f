"""A pipeline's drawing names every processor and the format at every joint, and is a complete SVG."""

from __future__ import annotations

import itertools
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pipecat.processors.filters.identity_filter import IdentityFilter

from callpipe.pipelines import Pipeline
from callpipe.pipelines.call import rehearsal_call
from callpipe.pipelines.command_line import app
from callpipe.pipelines.drawing import draw
from callpipe.pipelines.pipeline import Joint
from callpipe.pipelines.ready_made import realtime_call
from callpipe.pipelines.settings import Recording, Settings
from callpipe.transports.audio.formats import AudioFormat, Encoding, Tracks

SVG = "{http://www.w3.org/2000/svg}"
SETTINGS = Settings().model_copy(update={"recording": Recording.ON})


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_processor_and_joint_is_drawn() -> None:
    pipeline = realtime_call(rehearsal_call("concierge", SETTINGS), instructions="Be brief.")
    drawn = draw("concierge", pipeline.joints)
    assert texts(drawn)[3:] == [
        *("BandwidthInput", "PCMU 8 kHz, mono", "MulawDecoder", "PCM 8 kHz, mono", "Resampler"),
        *("PCM 24 kHz, mono", "RealtimeLLM", "PCM 24 kHz, mono", "ToolRouter", "PCM 24 kHz, mono", "Recorder"),
        *("PCM 24 kHz, mono", "Resampler", "PCM 8 kHz, mono", "MulawEncoder", "PCMU 8 kHz, mono"),
        "BandwidthOutput",
    ]
    assert drawn.count("http") == 1  # its namespace: nothing is loaded from elsewhere


def test_what_an_author_should_know_stands_below_the_processor() -> None:
    call = rehearsal_call("plain", SETTINGS)
    pipeline = Pipeline([call.transport.input(), IdentityFilter(), call.transport.output()])
    assert "hears nothing of the caller: put MulawDecoder() before it" in texts(draw("plain", pipeline.joints))


def test_nothing_overlaps_and_nothing_is_cut_off() -> None:
    joints = [Joint("Aquitelongnamedprocessor" * 2, Tracks(), "a note") for _ in range(30)]
    root = ElementTree.fromstring(draw("long", joints))
    height = float(root.attrib["height"])
    boxes = [box.attrib for box in root.iter(f"{SVG}rect") if "y" in box.attrib]
    edges = [(float(box["y"]), float(box["y"]) + float(box["height"])) for box in boxes]
    assert all(bottom < top for (_, bottom), (top, _) in itertools.pairwise(edges))
    assert edges[-1][1] < height


def test_names_can_be_no_markup() -> None:
    stereo = AudioFormat(Encoding.PCM, 48_000, 2)
    drawn = draw('<b>"&', [Joint("A<B>", Tracks(stereo, stereo)), Joint("C", Tracks())])
    assert {'<b>"&', "A<B>"} < set(texts(drawn))
    assert texts(drawn).count("PCM 48 kHz, 2 channels") == 2


def test_check_draws_one_bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bots = Path(__file__).parents[2] / "bots"
    app(["check", str(bots / "echo.py"), "--draw", "echo.svg"], standalone_mode=False)
    assert "BandwidthInput" in texts((tmp_path / "echo.svg").read_text())
