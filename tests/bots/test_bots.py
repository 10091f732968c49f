"""Our bots load, fit, and are what their names say."""

from pathlib import Path

import pytest

from callpipe.pipelines.bot import load_bot
from callpipe.pipelines.call import rehearsal_call
from callpipe.pipelines.settings import Settings

BOTS = Path(__file__).parents[2] / "bots"
CHAINS = {
    "receptionist": (
        "BandwidthInput MulawDecoder Resampler RealtimeLLM ToolRouter Recorder "
        "Resampler MulawEncoder BandwidthOutput"
    ),
    "passthrough": "BandwidthInput RealtimeLLM ToolRouter Recorder BandwidthOutput",
    "echo": "BandwidthInput Echo Recorder BandwidthOutput",
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_bots_chain(name: str) -> None:
    bot = load_bot(BOTS / f"{name}.py")
    settings = Settings().model_copy(update={"recording": "on"})
    pipeline = bot.build(rehearsal_call(bot.name, settings))
    assert " ".join(joint.processor for joint in pipeline.joints) == CHAINS[name]


def test_every_bot_is_tested() -> None:
    assert {path.stem for path in BOTS.glob("*.py")} - {"__init__"} == set(CHAINS)
