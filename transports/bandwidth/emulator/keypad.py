"""Where the keys of an emulated caller go: to a Gather that waits for them, or to a StartGather's webhook."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from .ongoing import OngoingCall
from .verbs import Gather, StartGather, StopGather
from .webhooks import dtmf


class Keypad:
    """The keys of one call.

    Args:
        call: The call.
    """

    def __init__(self, call: OngoingCall) -> None:
        self._call = call
        self._told: tuple[StartGather, str] | None = None
        self._gathering: asyncio.Queue[str] | None = None

    def press(self, key: str) -> None:
        """The caller presses a key."""
        if self._gathering is not None:
            self._gathering.put_nowait(key)
        elif self._told is not None:
            verb, base = self._told
            payload = dtmf(self._call.facts, self._call.now_utc(), key, verb.tag)
            self._call.tell(verb.url, payload, base=base, method=verb.method, credentials=verb.credentials)
        else:
            self._call.timeline.note("key unheard", "no Gather and no StartGather waits for it")

    def tell(self, verb: StartGather | StopGather, document_url: str) -> None:
        """Tell of each key from now on, or of none any more."""
        self._told = (verb, document_url) if isinstance(verb, StartGather) else None

    async def gather(self, verb: Gather, prompt: Callable[[], Coroutine[Any, Any, None]]) -> tuple[str, str]:
        """Wait for keys.

        Args:
            verb: For which, and how long.
            prompt: Speaks the prompts; cancelled by the first key.

        Returns:
            The digits without the one that ended them, and that one, empty where none did.
        """
        keys = self._gathering = asyncio.Queue[str]()
        try:
            for _ in range(verb.repeat_count):
                first = await _first_key(verb, keys, prompt)
                if first is not None:
                    return await _digits(verb, first, keys)
            return "", ""
        finally:
            self._gathering = None


async def _first_key(
    verb: Gather, keys: asyncio.Queue[str], prompt: Callable[[], Coroutine[Any, Any, None]]
) -> str | None:
    key, speaking = asyncio.ensure_future(keys.get()), asyncio.ensure_future(prompt())
    try:
        await asyncio.wait({key, speaking}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({key}, timeout=verb.first_digit_timeout_s)
        return key.result() if key.done() else None
    finally:
        key.cancel()
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)


async def _digits(verb: Gather, first: str, keys: asyncio.Queue[str]) -> tuple[str, str]:
    digits, key = "", first
    while True:
        if key in verb.terminating_digits:
            return digits, key
        digits += key
        if len(digits) >= verb.max_digits:
            return digits, ""
        try:
            async with asyncio.timeout(verb.inter_digit_timeout_s):
                key = await keys.get()
        except TimeoutError:
            return digits, ""
