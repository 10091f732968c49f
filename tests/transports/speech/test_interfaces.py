"""What a brain is told and answers."""

from callpipe.transports.speech.interfaces import CallTool, Heard, Say, ToolOutput

SECRET = "4711 0815"


def test_what_was_said_and_done_on_a_call_can_be_logged_without_its_words() -> None:
    said = (
        Heard(SECRET),
        Say(SECRET),
        CallTool("pay", {"card": SECRET}),
        ToolOutput("pay", output=SECRET),
    )
    assert SECRET not in repr(said)
