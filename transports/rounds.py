"""Rounds of the event loop: what came in one is taken together, and what that sends is sent together.

A packet goes through the kernel, the WebSocket's parser, the pipeline, and the kernel again. Packet by packet,
each of them finds the processor's caches full of the others' code. Step by step, the packets of a busy round
share what is there: each costs less, and waits for less.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

Take = Callable[[str | bytes], bool]
"""Takes a message in the round in which it comes; False leaves it to `WebSocket.receive`."""


TOGETHER = 8
"""Messages that are taken before what they send goes out: what is urgent waits for no more than these."""


class Receiver(Protocol):
    """A socket whose messages are taken in rounds.

    Attributes:
        take: Takes messages, as long as none waits.
        messages: Those that wait to be received.
    """

    take: Take
    messages: deque[str | bytes]

    def keep(self, message: str | bytes) -> None:
        """Let a message wait."""
        ...


class Round:
    """What comes and goes in the present round of an event loop.

    Args:
        loop: The event loop.

    Attributes:
        came: What was read and is to be taken, by whom. Whoever puts in the first calls `soon`.
        leaving: What is to be sent when all has been taken, and what sends it.
        is_taking: Whether messages are being taken, so that what is sent may wait for the others.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.came: list[tuple[Receiver, str | bytes]] = []
        self.leaving: list[tuple[Callable[[str | bytes], object], str | bytes]] = []
        self.is_taking = False

    def soon(self) -> None:
        """Take what comes as soon as every socket has been read."""
        self._loop.call_soon(self._take)

    def _take(self) -> None:
        came, self.came = self.came, []
        for first in range(0, len(came), TOGETHER):
            self._take_some(came[first : first + TOGETHER])

    def _take_some(self, came: list[tuple[Receiver, str | bytes]]) -> None:
        self.is_taking = True
        for receiver, message in came:
            try:
                if receiver.messages or not receiver.take(message):
                    receiver.keep(message)
            except Exception as failure:  # noqa: BLE001  whatever one message breaks, those of other calls are taken
                self._loop.call_exception_handler({"message": "a message was not taken", "exception": failure})
        self.is_taking = False
        leaving, self.leaving = self.leaving, []
        for send, message in leaving:
            send(message)


_rounds: WeakKeyDictionary[asyncio.AbstractEventLoop, Round] = WeakKeyDictionary()


def round_of(loop: asyncio.AbstractEventLoop) -> Round:
    """Return the rounds of an event loop, the same for all its sockets."""
    known = _rounds.get(loop)
    if known is None:
        known = _rounds[loop] = Round(loop)
    return known
