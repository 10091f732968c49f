"""HTTP requests that are sent again while the far end is unavailable, until a deadline."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from http import HTTPStatus

import httpx

from .errors import VoiceApiUnavailableError

ATTEMPT_S = 2.0
"""How long one attempt waits for its answer; the deadline leaves room for another."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0
"""The pause between attempts doubles from the first to the longest."""


class RetryingHttp:
    """Sends requests that may safely be sent twice.

    Args:
        http: Sends them; redirects are never followed, so credentials go where the URL says and nowhere else.
        clock: Monotonic seconds.
    """

    def __init__(self, http: httpx.AsyncClient, clock: Callable[[], float]) -> None:
        self._http = http
        self._clock = clock

    async def send(
        self, name: str, request: httpx.Request, *, auth: httpx.Auth, deadline_s: float
    ) -> httpx.Response:
        """Return the first answer that is neither 429 nor 5xx.

        An answer's Retry-After (RFC 9110, section 10.2.3, in seconds) makes the pause longer, never shorter.
        When the next attempt would come after the deadline, it is given up at once.

        Args:
            name: What is asked for, in the words of errors.
            request: The request, its body in memory.
            auth: Its credentials.
            deadline_s: How long all attempts may take together.

        Raises:
            VoiceApiUnavailableError: There was no such answer in time.
        """
        ends_at = self._clock() + deadline_s
        status: int | None = None
        for attempt in itertools.count():
            pause_s = min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
            asked_s: float | None = None
            try:
                async with asyncio.timeout(min(ATTEMPT_S, ends_at - self._clock())):
                    answer = await self._http.send(request, auth=auth, follow_redirects=False)
            except (TimeoutError, httpx.RequestError):
                status = None
            else:
                if answer.status_code != HTTPStatus.TOO_MANY_REQUESTS and answer.status_code < 500:
                    return answer
                status = answer.status_code
                asked_s = _retry_after_s(answer)
            pause_s = max(pause_s, asked_s or 0.0)
            if self._clock() + pause_s >= ends_at:
                raise VoiceApiUnavailableError(name, status, asked_s) from None
            await asyncio.sleep(pause_s)
        raise AssertionError("attempts are not counted to an end")


def _retry_after_s(answer: httpx.Response) -> float | None:
    said = answer.headers.get("Retry-After", "").strip()
    return float(said) if said.isascii() and said.isdecimal() else None
