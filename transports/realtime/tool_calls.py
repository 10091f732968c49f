"""The model's tool calls: each given out once, each answered once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class _Call:
    response_id: str
    answered: bool = False
    confirmed: bool = False


class ToolCalls:
    """Remembers which calls a response made and which of them are answered."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._dropped: set[str] = set()

    def made(self, call_id: str, response_id: str) -> bool:
        """Note a call; return whether it is new: the server tells of each in up to three events."""
        if call_id in self._calls:
            return False
        self._calls[call_id] = _Call(response_id)
        return True

    def dropped(self, call_id: str) -> bool:
        """Note a call that was never complete; return whether it is new."""
        if call_id in self._calls or call_id in self._dropped:
            return False
        self._dropped.add(call_id)
        return True

    def is_open(self, call_id: str) -> bool:
        """Whether a call waits for its answer."""
        call = self._calls.get(call_id)
        return call is not None and not call.answered

    def made_by(self, response_id: str) -> bool:
        """Whether a response made calls."""
        return any(call.response_id == response_id for call in self._calls.values())

    def answered(self, call_id: str) -> str | None:
        """Note that a call's output is sent; return its response, or None for an unknown or answered call."""
        call = self._calls.get(call_id)
        if call is None or call.answered:
            return None
        call.answered = True
        return call.response_id

    def confirmed(self, call_id: str) -> None:
        """Note that the conversation holds a call's output."""
        if call_id in self._calls:
            self._calls[call_id].confirmed = True

    @property
    def all_confirmed(self) -> bool:
        """Whether the conversation holds every output that was sent."""
        return all(call.confirmed for call in self._calls.values() if call.answered)

    def settled(self, response_id: str) -> bool:
        """Whether a response made calls and all of them are answered."""
        calls = [call for call in self._calls.values() if call.response_id == response_id]
        return bool(calls) and all(call.answered for call in calls)
