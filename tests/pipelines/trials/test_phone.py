"""Calls to bots in tests: what fails is told with what came about instead, and with the call's story."""

from __future__ import annotations

import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from callpipe.pipelines import Bot, Call, Pipeline, realtime_call
from callpipe.pipelines.errors import BotLoadError, PipelineFormatError
from callpipe.pipelines.settings import Recording
from callpipe.pipelines.trials.phone import Phone
from callpipe.processors import RealtimeLLM
from callpipe.processors.tools import end_call, tool
from callpipe.transports.bandwidth.emulator import Line
from callpipe.transports.bandwidth.emulator.script import Expect, HangUp, Say, WaitForBot
from callpipe.transports.call_events import SessionReadyFrame
from callpipe.transports.realtime.emulator import Drop, Nth, first_sessions
from callpipe.transports.realtime.emulator.brains import Script
from callpipe.transports.realtime.settings import RealtimeSettings

pytest_plugins = ["callpipe.pipelines.pytest_plugin"]

MODEL = Script.parse("""
greeting: Hotel Aurora, hello!
rules:
  - {when: price, call: {tool: room_price, arguments: {nights: "2"}}}
  - {after: room_price, say: "That is {euros} euros."}
  - {when: bye, say: Goodbye!, call: {tool: end_call}}
""")


@tool
def room_price(nights: int) -> dict[str, int]:
    """Tell what a room costs.

    Args:
        nights: For how many nights.
    """
    time.sleep(0.1)  # a thread's, so that virtual time has to wait for it
    return {"euros": 80 * nights}


hotel = Bot("hotel")


@hotel.pipeline
def answer(call: Call) -> Pipeline:
    return realtime_call(
        call, instructions="Hotel.", greeting="Hotel Aurora, hello!", tools=[room_price, end_call]
    )


def test_a_tool_that_runs_in_a_thread_is_waited_for(phone: Phone) -> None:
    steps = [WaitForBot(), Say(text="what is the price"), Expect(words="160 euros"), HangUp()]
    call = phone.follow(hotel, steps, model=MODEL)
    found = call.assert_called("room_price", nights=2)
    assert (found.outcome, found.output) == ("ok", '{"result":{"euros":160}}')


def test_an_unmet_expectation_fails_with_the_calls_story(phone: Phone) -> None:
    steps = [WaitForBot(), Say(text="what is the price"), Expect(tool="room_price", arguments={"nights": 3})]
    with pytest.raises(AssertionError) as failed:
        phone.follow(hotel, steps, model=MODEL)
    told = str(failed.value)
    assert told.startswith(
        "step 3, expect: expected the call room_price(nights=3) within 10000 ms; instead it called"
        " room_price(nights=2)\n\nThe call:\n"
    )
    story = [line.split(None, 1)[1] for line in told.splitlines()[3:]]
    assert [line for line in story if "content" not in line] == [
        "bot     says 'Hotel Aurora, hello!'",
        "caller  says 680 ms 'what is the price'",
        'tool    room_price {"nights": 2} -> ok {"result":{"euros":160}}',
        "bot     says 'That is 160 euros.'",
        "caller  is disappointed step 3, expect",
        "caller  hangs up not what was expected",
        "call    ended hangup, by the caller",
    ]


@pytest.mark.parametrize(
    ("check", "explanation"),
    [
        ("heard", "the caller did not hear 'hello moon'; the bot said 'Hotel Aurora, hello!'"),
        ("not heard", "the caller heard 'aurora'"),
        ("called", "the model did not call room_price(nights=3); its calls: room_price(nights=2)"),
        ("not called", "the model called room_price"),
    ],
)
def test_an_assertion_that_fails_tells_what_came_about(check: str, explanation: str, phone: Phone) -> None:
    with phone.dial(hotel, model=MODEL) as call:
        call.wait_for_bot()
        call.say("price")
        call.expect(tool="room_price")
    result = call.result
    checks: dict[str, Callable[[], object]] = {
        "heard": lambda: result.assert_heard("hello moon"),
        "not heard": lambda: result.assert_not_heard("aurora"),
        "called": lambda: result.assert_called("room_price", nights=3),
        "not called": lambda: result.assert_not_called("room_price"),
    }
    with pytest.raises(AssertionError) as failed:
        checks[check]()
    assert str(failed.value).startswith(f"{explanation}\n\nThe call:\n   0.")


def test_a_step_after_the_bot_has_hung_up_fails(phone: Phone) -> None:
    with phone.dial(hotel, model=MODEL) as call:
        call.wait_for_bot()
        call.say("bye")
        call.wait_for_hang_up()
        assert call.result.ended_by == "bot"
        with pytest.raises(AssertionError, match="the call is over; nobody can say"):
            call.say("hello?")
    with phone.dial(hotel, model=MODEL) as call:
        call.wait_for_bot()
        call.say("bye")
        with pytest.raises(AssertionError, match="the call ended before silence"):
            call.stay_silent(30_000)


def test_a_step_by_hand_that_is_not_met_fails(phone: Phone) -> None:
    with phone.dial(hotel, model=MODEL) as call:
        with pytest.raises(RuntimeError, match="the call goes on"):
            assert call.result
        with pytest.raises(AssertionError, match="step 1, expect: expected the bot to say 'goodbye'"):
            call.expect(words="goodbye", within_ms=3_000)
    with (
        phone.dial(hotel, model=MODEL) as call,
        pytest.raises(AssertionError, match="the caller lost patience at step 1, wait_for_hang_up"),
    ):
        call.wait_for_hang_up(deadline_s=5)


def test_a_bot_that_is_wrong_fails_before_the_call(phone: Phone, tmp_path: Path) -> None:
    broken = Bot("broken")

    @broken.pipeline
    def build(call: Call) -> Pipeline:
        model = RealtimeLLM(settings=RealtimeSettings(instructions=""), api_key="k")
        return Pipeline([call.transport.input(), model, call.transport.output()])

    assert build
    with pytest.raises(PipelineFormatError, match="RealtimeLLM does not fit behind BandwidthInput"):
        phone.follow(broken, [HangUp()])
    with pytest.raises(BotLoadError, match="nothing"):
        phone.follow(tmp_path / "nothing.py", [HangUp()])


def test_a_bot_that_fails_on_the_call_is_told_with_what_it_logged(phone: Phone) -> None:
    moody, builds = Bot("moody"), [0]

    @moody.pipeline
    def build(call: Call) -> Pipeline:
        builds[0] += 1
        if builds[0] > 1:
            raise LookupError("the menu is gone")
        return answer(call)

    assert build
    with pytest.raises(AssertionError) as failed:
        phone.follow(moody, [Expect(words="hello")], model=MODEL)
    assert "Sorry, we can't take your call right now." in str(failed.value)
    assert f"bot moody failed: LookupError at {__file__}:" in str(failed.value)


def test_line_faults_and_recording_are_as_the_test_wants_them(phone: Phone) -> None:
    call = phone.follow(
        hotel,
        [WaitForBot(), Say(text="price"), Expect(words="160 euros"), HangUp()],
        model=MODEL,
        line=Line(one_way_ms=80, jitter_ms=20),
        faults=first_sessions(1, Drop(Nth("response.output_audio.delta", 2))),
        recording=Recording.ON,
    )
    with wave.open(str(call.folder / "recording.wav")) as recording:
        seconds = recording.getnframes() / 8_000
    assert abs(seconds - (call.report.ended_at - (call.report.answered_at or 0))) < 1
    assert len([event for event in call.events if isinstance(event, SessionReadyFrame)]) == 2


async def test_an_async_test_is_told_to_be_none(phone: Phone) -> None:
    with pytest.raises(RuntimeError, match="call it from a plain def test"):
        phone.follow(hotel, [HangUp()])


def test_the_plugin_in_a_folder_of_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(
        "from callpipe.pipelines import Bot, Call, Pipeline, realtime_call\n"
        "bot = Bot('theirs')\n\n\n@bot.pipeline\ndef answer(call: Call) -> Pipeline:\n"
        "    return realtime_call(call, instructions='Be nice.', greeting='Good evening!')\n"
    )
    (tmp_path / "caller.yaml").write_text("steps:\n  - expect: good morning\n")
    (tmp_path / "test_bot.py").write_text(
        "from callpipe.pipelines.trials.phone import Phone\n"
        "pytest_plugins = ['callpipe.pipelines.pytest_plugin']\n\n\n"
        "def test_greets(phone: Phone):\n    phone.follow('bot.py', 'caller.yaml')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "caller.yaml:2: step 1, expect: expected the bot to say 'good morning' within 10000 ms" in ran.stdout
    assert "instead it said 'Good evening!'" in ran.stdout
    assert "1 failed" in ran.stdout
