"""Tools most bots need."""

from __future__ import annotations

from callpipe.processors.tools import ToolContext, end_call
from callpipe.transports.virtual_time import run_virtual


def test_the_model_is_told_to_say_goodbye_first_and_gives_no_arguments() -> None:
    assert "Say goodbye to the caller\nfirst" in end_call.description
    assert end_call.parameters["properties"] == {}


def test_the_call_ends() -> None:
    context = ToolContext(call_id="call_1", tool_name="end_call")
    answer = run_virtual(end_call.answer("{}", context))
    assert (answer.outcome, answer.ends_call, context.ends_call) == ("ok", True, True)
