"""Rounds of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from callpipe.transports.rounds import TOGETHER, Round, round_of


class Receiver:
    """Notes what it is given."""

    def __init__(self, said: list[str], *, takes: bool = True) -> None:
        self.said = said
        self.takes = takes
        self.messages: deque[str | bytes] = deque()

    def take(self, message: str | bytes) -> bool:
        if message == "broken":
            raise ValueError("broken")
        if self.takes:
            self.said.append(f"took {message!r}")
        return self.takes

    def keep(self, message: str | bytes) -> None:
        self.messages.append(message)


def come(into: Round, receiver: Receiver, message: str) -> None:
    if not into.came:
        into.soon()
    into.came.append((receiver, message))


async def test_all_is_taken_before_anything_is_sent() -> None:
    said: list[str] = []
    present = round_of(asyncio.get_running_loop())

    class Answering(Receiver):
        def take(self, message: str | bytes) -> bool:
            assert present.is_taking
            present.leaving.append((lambda answer: said.append(f"sent {answer!r}"), message))
            return super().take(message)

    for message in ("one", "two"):
        come(present, Answering(said), message)
    assert said == []
    await asyncio.sleep(0)
    assert said == ["took 'one'", "took 'two'", "sent 'one'", "sent 'two'"]
    assert not present.is_taking
    await asyncio.sleep(0)
    assert len(said) == 4


async def test_in_a_long_round_nothing_waits_for_all_the_others() -> None:
    said: list[str] = []
    present = round_of(asyncio.get_running_loop())

    class Answering(Receiver):
        def take(self, message: str | bytes) -> bool:
            present.leaving.append((lambda answer: said.append(f"sent {answer!r}"), message))
            return super().take(message)

    for number in range(TOGETHER + 1):
        come(present, Answering(said), str(number))
    await asyncio.sleep(0)
    assert said.index("sent '0'") == TOGETHER
    assert said[-2:] == [f"took '{TOGETHER}'", f"sent '{TOGETHER}'"]


async def test_the_next_round_takes_what_comes_in_it() -> None:
    said: list[str] = []
    present = round_of(asyncio.get_running_loop())
    for message in ("one", "two"):
        come(present, Receiver(said), message)
        await asyncio.sleep(0)
    assert said == ["took 'one'", "took 'two'"]


async def test_what_is_not_taken_waits_and_what_follows_waits_behind_it() -> None:
    said: list[str] = []
    present = round_of(asyncio.get_running_loop())
    busy = Receiver(said, takes=False)
    come(present, busy, "one")
    await asyncio.sleep(0)
    busy.takes = True
    come(present, busy, "two")
    await asyncio.sleep(0)
    assert (list(busy.messages), said) == (["one", "two"], [])


async def test_a_message_that_breaks_its_taker_costs_no_other_call() -> None:
    said: list[str] = []
    loop = asyncio.get_running_loop()
    failures: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, failure: failures.append(failure))
    for message in ("broken", "whole"):
        come(round_of(loop), Receiver(said), message)
    await asyncio.sleep(0)
    assert said == ["took 'whole'"]
    assert [str(failure["exception"]) for failure in failures] == ["broken"]


def test_each_loop_has_rounds_of_its_own() -> None:
    async def rounds() -> Round:
        loop = asyncio.get_running_loop()
        assert round_of(loop) is round_of(loop)
        return round_of(loop)

    assert asyncio.run(rounds()) is not asyncio.run(rounds())
