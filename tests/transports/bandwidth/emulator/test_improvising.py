"""A caller who is told what to do while the call goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callpipe.transports.bandwidth.emulator.improvising import ImprovisingCaller
from callpipe.transports.bandwidth.emulator.script import HangUp, Say, Silence

if TYPE_CHECKING:
    from .conftest import Kit


def test_steps_are_done_one_after_the_other_with_silence_between(kit: Kit) -> None:
    caller = ImprovisingCaller(kit.voice(), name="Ann")
    turns = caller.rehearse()
    assert caller.script.name == "Ann"
    assert [next(turns), next(turns)] == [None, None]

    said, silent = caller.do(Say(text="hi")), caller.do(Silence(ms=20))
    first = next(turns)
    assert first is not None
    assert (first.step, first.place, len(first.audio)) == (Say(text="hi"), "step 1, say", 800)
    assert not said.is_set()

    second = next(turns)
    assert second is not None
    assert (second.step, second.place) == (Silence(ms=20), "step 2, silence")
    assert (said.is_set(), silent.is_set()) == (True, False)
    assert next(turns) is None
    assert silent.is_set()


def test_a_call_that_ends_with_a_step_never_gets_to_its_end(kit: Kit) -> None:
    caller = ImprovisingCaller(kit.voice())
    turns = caller.rehearse()
    over = caller.do(HangUp())
    assert next(turns) is not None

    assert not over.is_set()
