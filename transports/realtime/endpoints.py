"""Where a model is reached, which of several places is tried, and how often. No I/O; times are passed in.

A place that fails is rested by its `Breaker`, which all calls of a process share, and a call that finds no
place keeps trying as long as its own `Attempts` last.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlsplit

TRIPPING_FAILURES = 5
"""Failures of an endpoint within `FAILURE_WINDOW_S` that rest it."""

FAILURE_WINDOW_S = 30.0
REST_S = 15.0
"""How long an endpoint rests; then one call tries it, and the others follow when that one gets through."""

PROBE_DEADLINE_S = 15.0
"""How long a call that tries a rested endpoint may keep the others away from it."""

MAX_ATTEMPTS = 5
"""Rounds over the endpoints that a call may make in a row; a session that does not last gives none back."""

MAX_SEARCH_S = 12.0
"""How long after the loss of a session an attempt may begin."""

REFILL_S = 30.0
"""A call that has had a session for so long may make one more."""

FIRST_DELAY_S = 0.25


@dataclass(frozen=True, slots=True)
class RealtimeEndpoint:
    """A place that speaks OpenAI's Realtime API (GA).

    Azure's is ``https://RESOURCE.openai.azure.com/openai/v1``, with the deployment as its model and
    ``key_header="api-key"``.

    Attributes:
        base_url: Its address, http(s) or ws(s), without ``/realtime``.
        api_key: Its key. It is sent in the handshake and nowhere else.
        model: The model there; None for the one of the session's settings.
        key_header: How the key is sent: as a ``bearer`` token, or in a header ``api-key``.
    """

    base_url: str
    api_key: str = field(repr=False)
    model: str | None = None
    key_header: Literal["bearer", "api-key"] = "bearer"

    @property
    def host(self) -> str:
        """The host, for reports."""
        return urlsplit(self.base_url).hostname or self.base_url

    @property
    def headers(self) -> dict[str, str]:
        """The handshake's headers."""
        if self.key_header == "api-key":
            return {"api-key": self.api_key}
        return {"Authorization": f"Bearer {self.api_key}"}

    def url(self, model: str) -> str:
        """Return the address of a model's socket."""
        base = self.base_url.rstrip("/")
        if base.startswith("http"):
            base = "ws" + base.removeprefix("http")
        return f"{base}/realtime?model={quote(model, safe='')}"


class Breaker:
    """Rests an endpoint that keeps failing, and lets one call try whether it works again."""

    def __init__(self) -> None:
        self._failures: deque[float] = deque(maxlen=TRIPPING_FAILURES)
        self._open_until: float | None = None

    def allows(self, now: float) -> bool:
        """Whether a call may try the endpoint; after its rest, one that asks may."""
        if self._open_until is None:
            return True
        if now < self._open_until:
            return False
        self._open_until = now + PROBE_DEADLINE_S
        return True

    def failed(self, now: float) -> None:
        """Note that the endpoint failed a call."""
        self._failures.append(now)
        tripped = len(self._failures) == TRIPPING_FAILURES and now - self._failures[0] <= FAILURE_WINDOW_S
        if tripped or self._open_until is not None:
            self._open_until = now + REST_S

    def succeeded(self) -> None:
        """Note that the endpoint has set a session up."""
        self._failures.clear()
        self._open_until = None


class Breakers:
    """The breakers of a process, one for each endpoint's model."""

    def __init__(self) -> None:
        self._breakers: dict[tuple[str, str | None], Breaker] = {}

    def of(self, endpoint: RealtimeEndpoint) -> Breaker:
        """Return an endpoint's breaker."""
        return self._breakers.setdefault((endpoint.base_url, endpoint.model), Breaker())


PROCESS_BREAKERS = Breakers()
"""What the calls of this process share."""


class Attempts:
    """How often, and how long, one call may look for a session.

    Args:
        chance: Gives a number from 0 to 1, for the jitter.
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._left = float(MAX_ATTEMPTS)
        self._began_at = 0.0
        self._in_a_row = 0
        self._found_at: float | None = None

    def begin(self, now: float) -> bool:
        """Begin to look for a session; return whether the first attempt, at once, may be made."""
        if self._found_at is not None:
            self._left = min(self._left + (now - self._found_at) / REFILL_S, float(MAX_ATTEMPTS))
            self._found_at = None
        self._began_at = now
        self._in_a_row = 0
        return self._take()

    def found(self, now: float) -> None:
        """Note that the call has a session."""
        self._found_at = now

    def again_in(self, now: float, retry_after_s: float = 0.0) -> float | None:
        """Note an attempt that failed; return how long to wait before the next, in s, or None for no more.

        Args:
            now: The current time in s.
            retry_after_s: What the endpoints ask to wait at least.
        """
        longest = FIRST_DELAY_S * 2**self._in_a_row
        self._in_a_row += 1
        delay_s = max(longest * (0.5 + 0.5 * self._chance()), retry_after_s)
        if now + delay_s > self._began_at + MAX_SEARCH_S or not self._take():
            return None
        return delay_s

    def _take(self) -> bool:
        self._left -= 1
        return self._left >= 0


class Choice:
    """The endpoints of one call, in their order, without those that refused it for good.

    Args:
        endpoints: The preferred one first.
        breakers: Which of them rest.

    Raises:
        ValueError: There is no endpoint.
    """

    def __init__(self, endpoints: Sequence[RealtimeEndpoint], breakers: Breakers) -> None:
        if not endpoints:
            raise ValueError("a call needs an endpoint")
        self._left = list(endpoints)
        self._breakers = breakers

    @property
    def exhausted(self) -> bool:
        """Whether every endpoint has refused the call for good."""
        return not self._left

    def round(self, now: float) -> Iterator[RealtimeEndpoint]:
        """Give the endpoints to try, one after the other; the first one when all of them rest."""
        resting = True
        for endpoint in tuple(self._left):
            if self._breakers.of(endpoint).allows(now):
                resting = False
                yield endpoint
        if resting:
            yield from self._left[:1]

    def refused(self, endpoint: RealtimeEndpoint) -> None:
        """Note that an endpoint will never take this call."""
        self._left = [other for other in self._left if other is not endpoint]

    def failed(self, endpoint: RealtimeEndpoint, now: float) -> None:
        """Note that an endpoint failed, for whatever may pass."""
        self._breakers.of(endpoint).failed(now)

    def succeeded(self, endpoint: RealtimeEndpoint) -> None:
        """Note that an endpoint has set a session up."""
        self._breakers.of(endpoint).succeeded()
