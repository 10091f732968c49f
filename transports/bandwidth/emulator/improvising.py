"""A caller who is told what to do while the call goes on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import count

from ...speech.interfaces import Ear, Voice
from .caller import Caller, Turn
from .script import AnyStep, CallerScript, HangUp, step_name


class ImprovisingCaller(Caller):
    """Does one step after the other as it is told, and is silent between them. For one call.

    Args:
        voice: Speaks.
        ear: Understands the bot.
        name: What reports call the caller.
    """

    def __init__(self, voice: Voice, ear: Ear | None = None, *, name: str = "caller") -> None:
        # The steps come later; a script has one at least.
        super().__init__(CallerScript(name=name, steps=(HangUp(),)), voice, ear)
        self._numbers = count(1)
        self._next: deque[tuple[Turn, asyncio.Event]] = deque()

    def rehearse(self) -> Iterator[Turn | None]:
        """Give the steps as they come; see `Caller.rehearse`."""
        while True:
            if not self._next:
                yield None
                continue
            turn, done = self._next.popleft()
            yield turn
            done.set()

    def do(self, step: AnyStep) -> asyncio.Event:
        """Do a step after those before it.

        Returns:
            Set when the caller goes on to what follows; never when the call ends with the step.

        Raises:
            ScriptError: The step's WAV file can't be read.
        """
        done = asyncio.Event()
        self._next.append((self.turn(step, f"step {next(self._numbers)}, {step_name(step)}"), done))
        return done
