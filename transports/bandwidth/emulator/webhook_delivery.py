"""Delivers webhooks over HTTP as the carrier does: with a deadline, and again when the connection failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic

import httpx

from .errors import CallbackFailedError
from .faults import CarrierDelays, CarrierFaults, DelayWebhook, DoubleWebhook, LoseWebhook
from .report import Timeline
from .verbs import Credentials

TELLINGS = 2
"""How often an event that wants no BXML is sent when the connection fails."""


class WebhookDelivery:
    """Sends the webhooks of one call.

    Args:
        http: The client; it must not follow redirects.
        timeline: Where each webhook is noted.
        protocol_errors: Where is added that a webhook, asked twice, was answered differently.
        timeout_s: How long the carrier waits for an answer: the application's callbackTimeout.
        delays: What a webhook takes on its way.
        faults: What happens to it there.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        timeline: Timeline,
        *,
        protocol_errors: list[str],
        timeout_s: float = 15.0,
        delays: CarrierDelays | None = None,
        faults: CarrierFaults | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._http = http
        self._timeline = timeline
        self._protocol_errors = protocol_errors
        self._timeout_s = timeout_s
        self._delay_s = (delays or CarrierDelays()).webhook_ms / 1000
        self._faults = faults or CarrierFaults()
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
        """Send a request as far as nothing happens to it on its way.

        Raises:
            TimeoutError: It was lost, or not answered in time.
            httpx.HTTPError: It could not be delivered.
        """
        event_type = str(payload["eventType"])
        hit = self._faults.hitting(event_type)
        for fault in hit:
            self._timeline.note("fault", f"{type(fault).__name__} {event_type}")
        late_s = sum(fault.late_ms for fault in hit if isinstance(fault, DelayWebhook)) / 1000
        async with asyncio.timeout(self._timeout_s):
            if any(isinstance(fault, LoseWebhook) for fault in hit):
                await asyncio.Event().wait()
            await asyncio.sleep(self._delay_s + late_s)
            if not any(isinstance(fault, DoubleWebhook) for fault in hit):
                return await self._request(url, payload, method, credentials)
            first, second = await asyncio.gather(
                self._request(url, payload, method, credentials),
                self._request(url, payload, method, credentials),
            )
        if (first.status_code, first.content) != (second.status_code, second.content):
            self._protocol_errors.append(f"the {event_type} webhook, asked twice, was answered differently")
        return first

    async def _request(
        self, url: str, payload: Mapping[str, object], method: str, credentials: Credentials | None
    ) -> httpx.Response:
        auth = httpx.BasicAuth(credentials.username, credentials.password) if credentials else None
        if method == "GET":
            query = {name: value for name, value in payload.items() if isinstance(value, str)}
            return await self._http.request("GET", url, params=query, auth=auth, timeout=self._timeout_s)
        return await self._http.request("POST", url, json=payload, auth=auth, timeout=self._timeout_s)
