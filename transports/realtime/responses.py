"""Which response is live, and when the next one may be asked for: at most one request is in flight."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .client_events import cancel_response, create_response

REQUEST_DEADLINE_S = 5.0
"""How long a request may stay unanswered; then it is given up, and the next may be made."""

MAX_OVER = 64
"""Responses that are over and still recognised, so that their late audio is dropped."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A response that is wanted.

    Attributes:
        instructions: They stand in for the session's in it; None for a response that goes on with the
            conversation.
        words: What the instructions want said, where they want nothing else.
        alone: The model sees nothing but these instructions, and may call no tool.
        lasting: It is wanted again when the caller cuts in before its first word.
        filler: It passes the time while a tool runs.
    """

    instructions: str | None = field(default=None, repr=False)
    words: str | None = field(default=None, repr=False)
    alone: bool = False
    lasting: bool = False
    filler: bool = False


GO_ON = Wish()
"""A response that goes on with the conversation."""


def greet_with(greeting: str) -> str:
    """Return the instructions of the response that greets; they stand in for the session's in it."""
    return f"Greet the caller. Say exactly this, and nothing else: {greeting}"


def say_exactly(text: str) -> str:
    """Return the instructions of a response that says `text` and nothing else."""
    return f"Say exactly this, in one go, and nothing else: {text}"


@dataclass(slots=True, eq=False)
class LiveResponse:
    """The response in progress.

    Attributes:
        response_id: The server's id; empty while it is only known that one is in progress.
        spoke: Audio of it has been passed on.
        cut: An interruption ended it; its audio is dropped.
        calling: A function call of it has begun.
        wish: What it was asked for; None for one the server began by itself.
    """

    response_id: str
    spoke: bool = False
    cut: bool = False
    calling: bool = False
    wish: Wish | None = None


@dataclass(slots=True, eq=False)
class _Request:
    event_id: str
    wish: Wish
    deadline: float
    cancelled: bool = False


class Responses:
    """Asks for responses one at a time, remembers those wanted meanwhile.

    A response is wanted either with instructions of its own (a greeting) or to go on with the conversation;
    the latter are not counted, one answers them all.
    """

    def __init__(self) -> None:
        self.live: LiveResponse | None = None
        self._asked: _Request | None = None
        self._wanted: deque[Wish] = deque()
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

    def want(self, wish: Wish = GO_ON) -> None:
        """Remember to ask for a response."""
        if wish != GO_ON or GO_ON not in self._wanted:
            self._wanted.append(wish)

    def forget(self) -> None:
        """Want nothing of what was wanted so far and not asked for."""
        self._wanted.clear()

    def want_again(self) -> None:
        """Remember what the caller cuts off before its first word, when it is to outlast that."""
        live, asked = self.live, self._asked
        if live is not None:
            wish = None if live.cut or live.spoke else live.wish
        else:
            wish = None if asked is None or asked.cancelled else asked.wish
        if wish is not None and wish.lasting:
            self._wanted.appendleft(wish)

    def lost(self, owed: Wish | None) -> None:
        """Note that the session is gone; `owed` is what is left of its live response."""
        asked, self._asked, self.live = self._asked, None, None
        if asked is not None and not asked.cancelled:
            self.want_first(asked.wish)
        if owed is not None:
            self.want_first(owed)

    def want_first(self, wish: Wish) -> None:
        """Remember to ask for a response again, before any other."""
        if not wish.filler and not (wish == GO_ON and GO_ON in self._wanted):
            self._wanted.appendleft(wish)

    def satisfied(self) -> None:
        """Forget the wish to go on: a response that the server began by itself does."""
        if GO_ON in self._wanted:
            self._wanted.remove(GO_ON)

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
        event_id, wish = f"create_{self._requests}", self._wanted.popleft()
        self._asked = _Request(event_id, wish, now + REQUEST_DEADLINE_S)
        return create_response(event_id, wish.instructions, alone=wish.alone)

    def created(self, response_id: str, request_id: str | None) -> bool:
        """Note that a response began; return whether it was asked for."""
        self.live = LiveResponse(response_id)
        asked = self._asked
        if asked is None or asked.event_id != request_id:
            return request_id is not None
        self.live.cut = asked.cancelled
        self.live.wish = asked.wish
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
            if not asked.cancelled and not asked.wish.filler and asked.wish not in self._wanted:
                self._wanted.appendleft(asked.wish)
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
