"""The demo's scenarios, and scripts of the operator's own in their place."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from callpipe.pipelines.demo import run_demo
from callpipe.pipelines.errors import DemoError
from callpipe.pipelines.scenario import DEFAULT, SCENARIOS, find_scenario
from callpipe.pipelines.settings import Settings
from callpipe.pipelines.trials.phone import Phone
from callpipe.transports.bandwidth.emulator import ScriptError
from callpipe.transports.realtime.emulator.brains import RECEPTIONIST

pytest_plugins = ["callpipe.pipelines.pytest_plugin"]

ENVIRONMENT = Settings()
BOT = Path(__file__).parents[2] / "bots" / "receptionist.py"


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_shipped_comes_about_in_virtual_time(name: str, phone: Phone) -> None:
    call = phone.follow(BOT, find_scenario(name).make().script, model=RECEPTIONIST)
    assert call.ended_by == ("caller" if name == "silence" else "bot")


def test_every_default_booking_is_another() -> None:
    made = [SCENARIOS[DEFAULT].make() for _ in range(20)]
    assert len({json.dumps(dict(one.told)) for one in made}) > 10
    assert all(one.told["booking"]["name"] in one.summary for one in made)


def test_what_is_no_scenario_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="'bargein' is no scenario: there are booking, barge-in, goodbye"):
        find_scenario("bargein")
    missing = find_scenario(str(tmp_path / "nothing.yaml"))
    with pytest.raises(ScriptError, match=r"nothing\.yaml can't be read: No such file"):
        missing.make()


@pytest.mark.parametrize(
    ("tool", "shortcoming"), [("end_call", None), ("book_table", "expected the call book_table()")]
)
async def test_a_script_of_the_operators_own_is_followed(
    tool: str, shortcoming: str | None, tmp_path: Path
) -> None:
    script = tmp_path / "mine.yaml"
    steps = f"steps:\n  - wait_for_bot\n  - say: Goodbye\n  - expect: {{tool: {tool}, within_ms: 2000}}\n"
    await asyncio.to_thread(script.write_text, f"{steps}  - wait_for_hang_up\n")
    settings = ENVIRONMENT.model_copy(update={"data_dir": tmp_path})
    shown, told = io.StringIO(), tmp_path / "told.json"
    held = run_demo(
        "scripted", settings, Console(file=shown, width=200), told, scenario=find_scenario(str(script))
    )
    if shortcoming is None:
        await held
    else:
        with pytest.raises(DemoError) as failed:
            await held
        assert str(failed.value).startswith(f"{script}:4: step 3, expect: {shortcoming}")
        assert "instead it called end_call()" in str(failed.value)
    assert f"The caller follows {script}." in shown.getvalue()
    figures = json.loads(await asyncio.to_thread(told.read_text))
    assert [expectation["met"] for expectation in figures["expectations"]] == [shortcoming is None]
