"""What an error tells: whose it is, what was wrong, and where, without a word of anybody's."""

from __future__ import annotations

import pytest

from callpipe.transports.errors import (
    CallpipeError,
    Fault,
    FormatMismatchError,
    SocketBacklogError,
    SocketClosedError,
    SocketRefusedError,
    where,
)


def test_an_error_is_callpipes_unless_it_says_whose_it_is() -> None:
    assert CallpipeError().fault is Fault.CALLPIPE
    assert FormatMismatchError("bot", "PCM", "PCMU").fault is Fault.BOT_AUTHOR


def test_a_closed_socket_tells_its_code_and_the_peers_words_if_there_are_any() -> None:
    closed, silent = SocketClosedError(1001, "going away"), SocketClosedError(1006)
    assert (closed.code, closed.reason, str(closed)) == (
        1001,
        "going away",
        "socket closed with code 1001 (going away)",
    )
    assert (silent.reason, str(silent)) == ("", "socket closed with code 1006")


def test_errors_keep_what_a_program_asks_them() -> None:
    backlog = SocketBacklogError(7, 5)
    assert (backlog.waiting, backlog.bound) == (7, 5)
    refused = SocketRefusedError("no", 503, 2.0)
    assert (refused.status, refused.retry_after_s) == (503, 2.0)
    assert (SocketRefusedError("no").status, SocketRefusedError("no").retry_after_s) == (None, None)
    mismatch = FormatMismatchError("bot", "PCM", "PCMU")
    assert (mismatch.track, mismatch.offered, mismatch.accepted) == ("bot", "PCM", "PCMU")


def test_where_an_error_was_raised_is_told_without_its_words() -> None:
    def fails() -> None:
        raise LookupError("what the caller said")

    with pytest.raises(LookupError) as raised:
        fails()
    assert where(raised.value) == f"LookupError at {__file__}:{fails.__code__.co_firstlineno + 1}"
    assert where(KeyError("secret")) == "KeyError"
