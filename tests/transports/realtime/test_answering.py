"""What the model's side of a session leaves to be said, as the server tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Serve


@pytest.mark.parametrize(("of", "asked_again"), [("resp_1", True), ("resp_0", False)])
def test_the_next_session_is_asked_for_the_call_that_was_begun_behind_an_answer(
    serve: Serve, of: str, asked_again: bool
) -> None:
    server = serve()
    server.begins("resp_1")
    server.spoken("item_bot_1", 400, "resp_1", "One moment.")
    call = {"id": "item_call_1", "type": "function_call", "status": "in_progress"}
    server.says("response.output_item.added", response_id=of, item=call)
    server.sent()
    server.loses()
    server.opens()

    assert ("response.create" in server.sent_types()) is asked_again
