"""What went wrong on a session, counted, and reported seldom enough to stay readable."""

from __future__ import annotations

from collections import Counter

from ..call_events import ModelFaultFrame
from .events import UnknownEvent

MAX_KINDS = 256
"""Kinds of faults that are counted apart."""

MAX_EXPLANATION = 300
"""Characters of a server's words that are reported."""

HARMLESS_ERRORS = frozenset(
    {
        "conversation_already_has_active_response",
        "item_delete_invalid_item_id",
        "item_truncate_invalid_item_id",
        "response_cancel_not_active",
    }
)
"""Errors that come of two sides acting at once. They are counted, not reported."""


LASTING_ERRORS = frozenset(
    {
        "account_deactivated",
        "billing_hard_limit_reached",
        "insufficient_quota",
        "invalid_api_key",
        "model_not_found",
    }
)
"""Errors that this place answers with until somebody mends it."""


class Faults:
    """Counts faults by code.

    Attributes:
        counts: How often each was seen.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, code: str) -> int:
        """Count a fault; return how often it was seen."""
        if len(self.counts) >= MAX_KINDS and code not in self.counts:
            code = "other"
        self.counts[code] += 1
        return self.counts[code]

    def report(self, code: str, explanation: str, now: float) -> list[ModelFaultFrame]:
        """Count a fault; return a report of the 1st, 2nd, 4th, 8th ... of a kind, none of a harmless one."""
        count = self.count(code)
        if code in HARMLESS_ERRORS or count & (count - 1):
            return []
        return [ModelFaultFrame(now, code, explanation[:MAX_EXPLANATION])]

    def unknown_event(self, event: UnknownEvent, now: float) -> list[ModelFaultFrame]:
        """Count an event of an unknown type; return a report of the first of each."""
        name = event.type[:64]
        return [] if self.count(f"unknown event {name}") > 1 else [ModelFaultFrame(now, "unknown_event", name)]
