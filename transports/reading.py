"""Reading a socket for a pipeline: what can be passed on at once is, in the round in which it comes."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from .errors import SocketClosedError
from .websocket import OfferingSocket, WebSocket

PassOn = Callable[[str | bytes], Coroutine[Any, Any, None] | None]
"""Passes a message on; returns what is left to be awaited, usually nothing. Neither it nor that may raise."""


class Reader:
    """Reads sockets, one at a time and every message in its order.

    A message is passed on without waking a task, which costs 4 microseconds and more, unless one before it has
    something left to be awaited.

    Args:
        pass_on: Takes the messages.
    """

    def __init__(self, pass_on: PassOn) -> None:
        self._pass_on = pass_on
        self._idle = False  # somebody reads, and has nothing in hand
        self._passing_on: asyncio.Task[None] | None = None

    async def read(self, socket: WebSocket) -> SocketClosedError:
        """Read a socket until it closes; return how it closed."""
        if isinstance(socket, OfferingSocket):
            # In the call's context, by which log messages are told apart.
            socket.offer_to(functools.partial(contextvars.copy_context().run, self._take))
        try:
            while True:
                self._idle = True
                try:
                    message = await socket.receive()
                except SocketClosedError as closed:
                    self._idle = False
                    await self._passed_on()
                    return closed
                self._idle = False
                await self._passed_on()
                rest = self._pass_on(message)
                if rest is not None:
                    await rest
        finally:
            self._idle = False
            if self._passing_on is not None:
                self._passing_on.cancel()

    def _take(self, message: str | bytes) -> bool:
        """Pass a message on, unless one before it is still in hand."""
        if not self._idle or self._passing_on is not None:
            return False
        rest = self._pass_on(message)
        if rest is not None:
            self._passing_on = asyncio.get_running_loop().create_task(rest)
            self._passing_on.add_done_callback(self._is_passed_on)
        return True

    def _is_passed_on(self, _done: asyncio.Task[None]) -> None:
        self._passing_on = None

    async def _passed_on(self) -> None:
        """Wait until what was taken before is passed on."""
        if self._passing_on is not None:
            await asyncio.wait([self._passing_on])
