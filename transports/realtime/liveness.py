"""Whether the server is still there: a line that is half open takes everything and gives nothing.

The API has no ping, and a server has nothing to say while nobody speaks. So a silent server is asked for
something that it always answers.
"""

from __future__ import annotations

from .client_events import update_session

PROBE = update_session({"type": "realtime"})
"""Changes nothing, and is answered with the session as it is."""

IMPATIENT_S = 0.5
"""How long a server that owes something may be silent until it is asked; twice as long after each answer."""

PATIENT_S = 3.0
"""The same for one that only listens, and the most for one that owes something."""

LOOK_AGAIN_S = 0.2
"""How often it is looked whether a silent server owes something: it owes a word when the caller speaks."""

REPLY_S = 0.5
"""How long the server may take to answer until another one is looked for; twice as long each time on a call."""


class Liveness:
    """Decides when a server is asked, and when it counts as gone."""

    def __init__(self) -> None:
        self._heard_at = 0.0
        self._looked_at = 0.0
        self._asked_at: float | None = None
        self._suspicious = False
        self._reply_s = REPLY_S
        self._impatient_s = IMPATIENT_S

    def opened(self, now: float) -> None:
        """Note a new session."""
        self._asked_at = None
        self.heard(now)

    def heard(self, now: float) -> None:
        """Note that something came."""
        answered = self._asked_at is not None
        self._impatient_s = min(self._impatient_s * 2, PATIENT_S) if answered else IMPATIENT_S
        self._heard_at = now
        self._asked_at = None
        self._suspicious = False

    def due(self, *, owing: bool) -> float | None:
        """Return when `ask` or `suspects` may have something to say, in s; None after the latter.

        Args:
            owing: The server is known to owe something.
        """
        if self._suspicious:
            return None
        if self._asked_at is not None:
            return self._asked_at + self._reply_s
        impatient_at = self._heard_at + self._impatient_s
        if owing:
            return impatient_at
        return min(max(impatient_at, self._looked_at + LOOK_AGAIN_S), self._heard_at + PATIENT_S)

    def ask(self, now: float, *, owing: bool) -> bytes | None:
        """Return the question, when it is time for it.

        Args:
            now: The current time in s.
            owing: The server owes something, as far as can be found out.
        """
        if self._asked_at is not None or now < self._heard_at + (self._impatient_s if owing else PATIENT_S):
            self._looked_at = now
            return None
        self._asked_at = now
        return PROBE

    def suspects(self, now: float) -> bool:
        """Say, once for each question, that the server has left it unanswered for too long."""
        if self._suspicious or self._asked_at is None or now < self._asked_at + self._reply_s:
            return False
        self._reply_s *= 2
        self._suspicious = True
        return True

    @property
    def still_silent(self) -> bool:
        """Whether nothing has come since `suspects` said so."""
        return self._suspicious
