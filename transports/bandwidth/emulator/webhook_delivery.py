"""Delivers webhooks over HTTP as the carrier does: with a deadline, and again when the connection failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic

import httpx

from .bxml_interpreter import Credentials
from .errors import CallbackFailedError
from .report import Timeline

TELLINGS = 2
"""How often an event that wants no BXML is sent when the connection fails."""


class WebhookDelivery:
    """Sends the webhooks of one call.

    Args:
        http: The client; it must not follow redirects.
        timeline: Where each webhook is noted.
        timeout_s: How long the carrier waits for an answer.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        timeline: Timeline,
        *,
        timeout_s: float = 15.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._http = http
        self._timeline = timeline
        self._timeout_s = timeout_s
        self._clock = clock

    async def ask(
        self, url: str, payload: Mapping[str, object], *, method: str = "POST", credentials: Credentials | None
    ) -> bytes:
        """Send a webhook that is answered with BXML, and return the answer's body.

        Raises:
            CallbackFailedError: There was no answer in time, or one without success.
        """
        asked_at = self._clock()
        event_type = str(payload["eventType"])
        try:
            response = await self._send(url, payload, method, credentials)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            kind = "timeout" if isinstance(error, TimeoutError | httpx.TimeoutException) else "no answer"
            self._timeline.note("webhook", f"{event_type}: {kind}")
            raise CallbackFailedError(f"the {event_type} webhook: {kind}") from error
        took_ms = (self._clock() - asked_at) * 1000
        self._timeline.note("webhook", f"{event_type}: {response.status_code} after {took_ms:.0f} ms")
        if not response.is_success:
            explanation = f"the {event_type} webhook was answered with {response.status_code}"
            raise CallbackFailedError(explanation, response.status_code)
        return response.content

    async def tell(
        self, url: str, payload: Mapping[str, object], *, method: str = "POST", credentials: Credentials | None
    ) -> None:
        """Send a webhook whose answer does not matter; once more when the connection fails."""
        event_type = str(payload["eventType"])
        outcome = "not delivered"
        for _ in range(TELLINGS):
            try:
                response = await self._send(url, payload, method, credentials)
            except (httpx.TimeoutException, TimeoutError):
                outcome = "timeout"
                break
            except (httpx.HTTPError, httpx.InvalidURL):
                continue
            outcome = str(response.status_code)
            break
        self._timeline.note("webhook", f"{event_type}: {outcome}")

    async def _send(
        self, url: str, payload: Mapping[str, object], method: str, credentials: Credentials | None
    ) -> httpx.Response:
        auth = httpx.BasicAuth(credentials.username, credentials.password) if credentials else None
        async with asyncio.timeout(self._timeout_s):
            if method == "GET":
                query = {name: value for name, value in payload.items() if isinstance(value, str)}
                return await self._http.request("GET", url, params=query, auth=auth, timeout=self._timeout_s)
            return await self._http.request("POST", url, json=payload, auth=auth, timeout=self._timeout_s)
