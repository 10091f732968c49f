"""What is said while tools run: a filler, when the caller has heard nothing for too long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Filler:
    text: str
    since: float
    after_s: float

    def due(self, silent_since: float) -> float:
        return max(self.since, silent_since) + self.after_s


class Fillers:
    """The fillers of the tools that run. One that is said serves all of them, and none is said twice."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Filler] = {}

    def add(self, call_id: str, text: str, *, after_ms: float, now: float) -> None:
        """Note a tool that has begun to run."""
        self._waiting[call_id] = _Filler(text, now, after_ms / 1000)

    def drop(self, call_id: str) -> None:
        """Note that a tool has answered."""
        self._waiting.pop(call_id, None)

    def due(self, silent_since: float) -> float | None:
        """Return when a filler is due, in s, if the caller has heard nothing since `silent_since`."""
        return min((filler.due(silent_since) for filler in self._waiting.values()), default=None)

    def take(self, silent_since: float) -> str:
        """Return the filler that is due first, and forget those it serves for as well."""
        text = min(self._waiting.values(), key=lambda filler: filler.due(silent_since)).text
        self._waiting.clear()
        return text
