"""Answers that failed: when the model is asked for them again, and when that is no use."""

from __future__ import annotations

import re

MAX_FAILURES = 3
"""Failures in a row after which the session is given up."""

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0

_TRY_AGAIN = re.compile(r"try again in (\d+(?:\.\d+)?) ?(ms|s)\b", re.IGNORECASE)
"""The server names a rate limit's end in words only."""


class Retries:
    """Counts failed responses, and says how long to wait.

    Attributes:
        due: Until when no response is asked for, in s; None while one may be.
    """

    def __init__(self) -> None:
        self.due: float | None = None
        self._in_a_row = 0

    def failed(self, explanation: str, now: float) -> bool:
        """Note a failed response; return whether it may be asked for again, from `due` on."""
        self._in_a_row += 1
        if self._in_a_row >= MAX_FAILURES:
            self.reset()
            return False
        wanted_s = wait_s(explanation)
        self.due = now + min(max(FIRST_DELAY_S * 2**self._in_a_row, wanted_s), LONGEST_DELAY_S)
        return True

    def spoke(self) -> None:
        """Note that a response has begun to speak."""
        self._in_a_row = 0

    def passed(self, now: float) -> None:
        """Note the time."""
        if self.due is not None and now >= self.due:
            self.due = None

    def reset(self) -> None:
        """Forget everything: another session is asked."""
        self.due = None
        self._in_a_row = 0


def wait_s(explanation: str) -> float:
    """Return the seconds that a server's words ask to wait, 0.0 when they ask for none."""
    told = _TRY_AGAIN.search(explanation)
    if told is None:
        return 0.0
    return float(told[1]) / (1000 if told[2].lower() == "ms" else 1)
