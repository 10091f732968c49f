"""Whether the bot does what a caller expects of it, judged packet by packet. Without I/O or clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ScriptError
from .listener import Listener
from .script import CallerScript, Expect
from .sightings import HeardWords, SeenToolCall, Sightings, plain_words

AFTERTHOUGHT_MS = 1_000.0
"""So long after a burst of speech its words may become known."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What became of one expectation, or of a step that was never reached.

    Attributes:
        place: The step, as `CallerScript.place` calls it.
        wanted: What was expected, in words.
        met: Whether it came about.
        after_ms: How soon after the caller's words, where it did.
        instead: What came about instead, where it did not.
    """

    place: str
    wanted: str
    met: bool
    after_ms: float | None = None
    instead: str = ""

    def __str__(self) -> str:
        if self.met:
            return f"{self.place}: {self.wanted}, after {self.after_ms or 0:.0f} ms"
        return f"{self.place}: {self.wanted}; instead {self.instead}"


def check_expectations(script: CallerScript, sightings: Sightings, *, has_ear: bool) -> None:
    """Refuse a script whose expectations nobody can judge.

    Raises:
        ScriptError: One asks for tools, or for words, where none can be seen or heard.
    """
    for number, step in enumerate(script.steps, 1):
        if not isinstance(step, Expect):
            continue
        if step.tool is not None and not sightings.tells_tools:
            raise ScriptError(
                f"{script.place(number)}: a carrier can't see the tool calls of a server; expect words here, or"
                " run the script where the bot runs: callpipe demo --scenario FILE, or place_call in a test"
            )
        if step.words is not None and not (has_ear or sightings.tells_words):
            raise ScriptError(
                f"{script.place(number)}: nobody listens to the bot's words; give the caller an ear"
            )


class Watch:
    """Keeps what the bot does after the caller's last words.

    Args:
        listener: What the caller hears.
        sightings: What else is known of the call.
    """

    def __init__(self, listener: Listener, sightings: Sightings) -> None:
        self._listener = listener
        self._sightings = sightings
        self._since_ms = 0.0
        self._until_ms = 0.0
        self._quiet_at_ms: float | None = None
        self._answered_at_ms: float | None = None
        self._matched: set[int] = set()

    def caller_speaks(self, duration_ms: float) -> None:
        """The caller begins to say something that lasts so long: all before it is over."""
        self._since_ms = self._listener.heard_ms
        self._until_ms = self._since_ms + duration_ms
        self._quiet_at_ms = self._answered_at_ms = None
        self._matched = set(range(len(self._sightings.tool_calls)))

    def follow(self) -> None:
        """Look once a packet."""
        listener = self._listener
        self._sightings.follow(listener.heard_ms, listener.burst_began_ms)
        if self._quiet_at_ms is None and not listener.speaking:
            self._quiet_at_ms = max(self._since_ms, listener.heard_ms - listener.quiet_ms)
        began_ms = listener.burst_began_ms
        if self._answered_at_ms is None and began_ms is not None and began_ms >= self._since_ms:
            self._answered_at_ms = began_ms

    def after_ms(self, expect: Expect) -> float | None:
        """Return how soon what is expected came about; None while it has not."""
        if expect.bot == "quiet":
            return None if self._quiet_at_ms is None else self._quiet_at_ms - self._since_ms
        if expect.bot == "speaks":
            return self._after_words(self._answered_at_ms)
        if expect.tool is not None:
            return self._after_words(self._tool_called_at(expect))
        return self._after_words(self._said_at(expect.words or ""))

    def take(self, expect: Expect) -> None:
        """Use up the tool call that met an expectation; the next one needs another."""
        if expect.tool is not None and (number := self._tool_call(expect)) is not None:
            self._matched.add(number)

    def may_still_come(self, expect: Expect) -> bool:
        """Say whether there is still time, or what began in time is not over yet."""
        listener = self._listener
        start_ms = self._since_ms if expect.bot == "quiet" else self._until_ms
        deadline_ms = start_ms + expect.within_ms
        if listener.heard_ms < deadline_ms:
            return True
        if expect.words is None:
            return False
        began_ms = listener.burst_began_ms
        began_in_time = began_ms is not None and self._since_ms <= began_ms <= deadline_ms
        return began_in_time and (
            listener.speaking or self._sightings.listening > 0 or listener.quiet_ms < AFTERTHOUGHT_MS
        )

    def instead(self, expect: Expect) -> str:
        """Say what came about instead."""
        after_ms = self.after_ms(expect)
        if after_ms is not None:
            return f"it came after {after_ms:.0f} ms"
        if expect.tool is not None:
            called = [_call_words(call.name, call.arguments) for call in self._calls_since()]
            return f"it called {' and '.join(called)}" if called else "no tool was called"
        if expect.bot == "quiet":
            return "it went on speaking"
        said = [heard.text for heard in self._words_since()]
        return f"it said {' / '.join(map(repr, said))}" if said else "it said nothing"

    def _after_words(self, at_ms: float | None) -> float | None:
        return None if at_ms is None else max(0.0, at_ms - self._until_ms)

    def _words_since(self) -> list[HeardWords]:
        return [heard for heard in self._sightings.words if heard.began_ms >= self._since_ms]

    def _calls_since(self) -> list[SeenToolCall]:
        calls = enumerate(self._sightings.tool_calls)
        return [call for number, call in calls if number not in self._matched]

    def _said_at(self, words: str) -> float | None:
        """Return when the bot began the utterance with which the words were complete."""
        wanted, said = plain_words(words), ""
        for heard in self._words_since():
            said = f"{said} {heard.text}"
            if wanted in plain_words(said):
                return heard.began_ms
        return None

    def _tool_call(self, expect: Expect) -> int | None:
        return next(
            (
                number
                for number, call in enumerate(self._sightings.tool_calls)
                if number not in self._matched and call.name == expect.tool and call.has(expect.arguments)
            ),
            None,
        )

    def _tool_called_at(self, expect: Expect) -> float | None:
        number = self._tool_call(expect)
        return None if number is None else self._sightings.tool_calls[number].at_ms


def wanted(expect: Expect) -> str:
    """Return what is expected, in words."""
    within = f" within {expect.within_ms:g} ms"
    if expect.tool is not None:
        return f"expected the call {_call_words(expect.tool, expect.arguments)}{within}"
    if expect.bot is not None:
        return f"expected the bot to {'be quiet' if expect.bot == 'quiet' else 'speak'}{within}"
    return f"expected the bot to say {expect.words!r}{within}"


def _call_words(name: str, arguments: Mapping[str, Any]) -> str:
    written = (
        f"{key}={json.dumps(value, ensure_ascii=False, default=str)}" for key, value in arguments.items()
    )
    return f"{name}({', '.join(written)})"
