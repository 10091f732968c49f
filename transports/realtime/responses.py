"""Which response is live, and when the next one may be asked for: at most one request is in flight."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .events import cancel_response, create_response

REQUEST_DEADLINE_S = 5.0
"""How long a request may stay unanswered; then it is given up, and the next may be made."""

MAX_OVER = 64
"""Responses that are over and still recognised, so that their late audio is dropped."""


@dataclass(slots=True, eq=False)
class LiveResponse:
    """The response in progress.

    Attributes:
        response_id: The server's id; empty while it is only known that one is in progress.
        spoke: Audio of it has been passed on.
        cut: An interruption ended it; its audio is dropped.
    """

    response_id: str
    spoke: bool = False
    cut: bool = False


@dataclass(slots=True, eq=False)
class _Request:
    event_id: str
    instructions: str | None
    deadline: float
    cancelled: bool = False


class Responses:
    """Asks for responses one at a time, remembers those wanted meanwhile.

    A response is wanted either with instructions of its own (a greeting) or plainly, to go on with the
    conversation; plain ones are not counted, one answers them all.
    """

    def __init__(self) -> None:
        self.live: LiveResponse | None = None
        self._asked: _Request | None = None
        self._wanted: deque[str | None] = deque()
        self._over: dict[str, bool] = {}
        self._requests = 0

    @property
    def idle(self) -> bool:
        """Whether no response is live, asked for or wanted."""
        return self.live is None and self._asked is None and not self._wanted

    @property
    def wanted(self) -> bool:
        """Whether a response waits to be asked for."""
        return bool(self._wanted)

    def want(self, instructions: str | None = None) -> None:
        """Remember to ask for a response."""
        if instructions not in self._wanted:
            self._wanted.append(instructions)

    def satisfied(self) -> None:
        """Forget the plain wish: a response that the server began by itself answers it."""
        if None in self._wanted:
            self._wanted.remove(None)

    @property
    def due(self) -> float | None:
        """When the request in flight is given up, in s; None while there is none."""
        return None if self._asked is None else self._asked.deadline

    def give_up(self, now: float) -> None:
        """Forget a request that was not answered in time."""
        if self._asked is not None and now >= self._asked.deadline:
            self._asked = None

    def ask(self, now: float) -> bytes | None:
        """Return the request for the next wanted response, or None while another is live or asked for."""
        if self.live is not None or self._asked is not None or not self._wanted:
            return None
        self._requests += 1
        event_id, instructions = f"create_{self._requests}", self._wanted.popleft()
        self._asked = _Request(event_id, instructions, now + REQUEST_DEADLINE_S)
        return create_response(event_id, instructions)

    def created(self, response_id: str, request_id: str | None) -> bool:
        """Note that a response began; return whether it was asked for."""
        self.live = LiveResponse(response_id)
        asked = self._asked
        if asked is None or asked.event_id != request_id:
            return request_id is not None
        self.live.cut = asked.cancelled
        self._asked = None
        return True

    def refused(self, event_id: str | None, *, another_is_live: bool) -> bool:
        """Note an error about the client event `event_id`; return whether that was the request in flight.

        With another response live, the wish is kept until that one is over.
        """
        asked = self._asked
        if asked is None or asked.event_id != event_id:
            return False
        self._asked = None
        if another_is_live:
            self.live = self.live or LiveResponse("")
            if not asked.cancelled and asked.instructions not in self._wanted:
                self._wanted.appendleft(asked.instructions)
        return True

    def done(self, response_id: str) -> LiveResponse | None:
        """Note that a response is over; return it, or None when it was over already."""
        if response_id in self._over:
            return None
        response = LiveResponse(response_id)
        if self.live is not None and self.live.response_id in (response_id, ""):
            response, self.live = self.live, None
        self._over[response_id] = response.spoke
        if len(self._over) > MAX_OVER:
            del self._over[next(iter(self._over))]
        return response

    def is_live(self, response_id: str) -> bool:
        """Whether a response is the live one."""
        return self.live is not None and self.live.response_id == response_id

    def is_over(self, response_id: str) -> bool:
        """Whether a response is over: whatever still comes of it is late."""
        return response_id in self._over

    def spoke(self, response_id: str) -> bool:
        """Whether a response that is over had audio."""
        return self._over.get(response_id, False)

    def cancel(self) -> bytes | None:
        """Return the event that cancels the response that is live or asked for, if there is one."""
        if self.live is not None and not self.live.cut:
            self.live.cut = True
            return cancel_response(self.live.response_id or None)
        if self._asked is not None and not self._asked.cancelled:
            self._asked.cancelled = True
            return cancel_response()
        return None
