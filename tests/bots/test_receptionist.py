"""The receptionist on the phone, in virtual time, with the plugin that is shipped for bot authors."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from callpipe.pipelines.trials.phone import Phone
from callpipe.transports.realtime.emulator.brains import RECEPTIONIST

pytest_plugins = ["callpipe.pipelines.pytest_plugin"]

BOT = Path(__file__).parents[2] / "bots" / "receptionist.py"
WISH = "A table for two people at seven, please. My name is Rossi."


def test_books_a_table_by_a_script(phone: Phone, tmp_path: Path) -> None:
    script = tmp_path / "caller.yaml"
    script.write_text(f"""
steps:
  - expect: {{words: good evening, within_ms: 1500}}
  - say: {WISH}
  - expect: {{tool: book_table, arguments: {{name: Rossi, party_size: 2, time: "19:00"}}, within_ms: 2000}}
  - expect: {{words: a table for 2 at 19 00, within_ms: 3000}}
  - wait_for_bot
  - say: Goodbye
  - expect: {{words: thank you for calling}}
  - wait_for_hang_up
""")
    began = time.monotonic()
    call = phone.follow(BOT, script, model=RECEPTIONIST)
    took_s = time.monotonic() - began
    assert took_s < call.report.ended_at - call.report.started_at
    assert call.said == [WISH, "Goodbye"]
    assert call.understood == [WISH, "Goodbye"]
    assert [tool.name for tool in call.called] == ["book_table", "end_call"]
    assert (call.ended_by, call.logged) == ("bot", [])
    assert '"event": "call_ended"' in (call.folder / "journal.jsonl").read_text()


def test_answers_step_by_step(phone: Phone) -> None:
    with phone.dial(BOT, model=RECEPTIONIST) as call:
        call.wait_for_bot()
        assert [heard.text for heard in call.heard] == ["Luigi's, good evening! How can I help you?"]
        call.say("When are you open on Monday?")
        call.expect(tool="opening_hours", arguments={"day": "monday"}, within_ms=2_000)
        call.cut_in("Goodbye", after_ms=1_000)
        call.expect(bot="quiet", within_ms=1_000)
        call.wait_for_hang_up()
    call.result.assert_heard("on monday it is closed")
    call.result.assert_not_heard("just tell me your name")
    call.result.assert_called("end_call")
    call.result.assert_not_called("book_table")
    assert call.result.report.cuts


def test_waits_for_a_caller_who_says_nothing(phone: Phone) -> None:
    with phone.dial(BOT, model=RECEPTIONIST) as call:
        call.wait_for_bot()
        call.stay_silent(20_000)
    assert call.result.ended_by == "caller"
    assert call.result.called == []


@pytest.mark.parametrize("name", ["receptionist", "passthrough"])
def test_greets(name: str, phone: Phone) -> None:
    with phone.dial(BOT.with_name(f"{name}.py"), model=RECEPTIONIST) as call:
        call.expect(bot="speaks", within_ms=1_500)


def test_the_echo_echoes(phone: Phone) -> None:
    with phone.dial(BOT.with_name("echo.py")) as call:
        call.say("Is anybody there?")
        call.expect(words="is anybody there", within_ms=1_000)
