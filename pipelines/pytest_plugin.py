"""A pytest plugin: calls bots as the emulated carrier does, in virtual time, and asserts on what came of it.

In a test module or a ``conftest.py``::

    pytest_plugins = ["callpipe.pipelines.pytest_plugin"]

A call by a caller's script, whose expectations fail the test with what came about instead::

    def test_books_a_table(phone: Phone) -> None:
        call = phone.follow("bot.py", "caller.yaml", model="model.yaml")
        call.assert_called("book_table", party_size=2)
        call.assert_heard("see you")

A call step by step::

    def test_is_polite(phone: Phone) -> None:
        with phone.dial("bot.py", model="model.yaml") as call:
            call.expect(words="good evening", within_ms=2000)
            call.say("Goodbye")
            call.wait_for_hang_up()
        call.result.assert_called("end_call")

Caller and model speak in tones, so what is said is what is heard, and time is virtual: a minute takes a moment.
The clock waits for tools that run in threads, but for no real socket: give such a tool a fake of what it calls.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .trials.phone import Phone

__all__ = ["Phone", "phone"]


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    """Calls bots; journals and recordings go into the test's own folder."""
    return Phone(tmp_path)
