"""A carrier on this machine, in place of Bandwidth: calls any server that speaks Bandwidth's protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from uuid import uuid4

import httpx

from ... import websocket
from ...speech.interfaces import Voice
from ...websocket import Connect
from .bxml_interpreter import Credentials
from .call import run_call
from .caller import Caller
from .line import Line
from .ongoing import CarrierSettings, OngoingCall, RunBlocking
from .report import CallReport, CarrierEvent, Timeline
from .webhook_delivery import WebhookDelivery
from .webhooks import CallFacts

CALLER_NUMBER = "+15555550100"
CALLED_NUMBER = "+15555550199"
"""Numbers that are nobody's."""


class Carrier:
    """Places calls to one voice application.

    Args:
        initiate_url: The application's URL for new calls.
        username: The user of the application's webhooks.
        password: Their password.
        status_url: The application's URL for ended calls; None when it has none.
        line: What every caller's line is like.
        announcer: The voice of SpeakSentence; without one it is silence of the same length.
        http: Sends the webhooks; a test gives one that reaches its server in memory.
        connect: Opens the media sockets; a test gives one that stays in memory.
        run_blocking: Runs what computes for long; in virtual time it has to run at once, not in a thread.
        clock: Monotonic seconds, the event loop's own time.
        webhook_timeout_s: How long the carrier waits for a webhook's answer.
        max_call_s: How long a call may last.
        account_id: The account's number.
        application_id: The application's id.
    """

    def __init__(
        self,
        *,
        initiate_url: str,
        username: str,
        password: str,
        status_url: str | None = None,
        line: Line | None = None,
        announcer: Voice | None = None,
        http: httpx.AsyncClient | None = None,
        connect: Connect = websocket.connect,
        run_blocking: RunBlocking = asyncio.to_thread,
        clock: Callable[[], float] = time.monotonic,
        webhook_timeout_s: float = 15.0,
        max_call_s: float = 600.0,
        account_id: str = "5500001",
        application_id: str = "7fc9698a-b04a-468b-9e8f-91238c0d0086",
    ) -> None:
        self._settings = CarrierSettings(
            initiate_url=initiate_url,
            status_url=status_url,
            credentials=Credentials(username, password),
            line=line or Line(),
            connect=connect,
            announcer=announcer,
            run_blocking=run_blocking,
            clock=clock,
            max_call_s=max_call_s,
        )
        self._http = http
        self._webhook_timeout_s = webhook_timeout_s
        self._account_id = account_id
        self._application_id = application_id

    async def place_call(
        self,
        caller: Caller,
        *,
        from_: str = CALLER_NUMBER,
        to: str = CALLED_NUMBER,
        on_event: Callable[[CarrierEvent], None] | None = None,
    ) -> CallReport:
        """Place a call and return when it is over, all its webhooks answered or given up.

        Args:
            caller: Who calls.
            from_: Their number, E.164.
            to: The number they call, E.164.
            on_event: Called at once with everything that happens.

        Raises:
            ScriptError: A WAV file of the caller's script can't be read.
        """
        settings = self._settings
        await settings.run_blocking(caller.rehearse)
        timeline = Timeline(settings.clock, on_event)
        call_id = f"c-{uuid4()}"
        report = CallReport(call_id, started_at=settings.clock(), events=timeline.events)
        facts = CallFacts(
            self._account_id, self._application_id, call_id, from_=from_, to=to, started=datetime.now(UTC)
        )
        async with AsyncExitStack() as stack:
            http = self._http
            if http is None:
                # Making one reads the system's certificates.
                http = await stack.enter_async_context(await settings.run_blocking(httpx.AsyncClient))
            delivery = WebhookDelivery(http, timeline, timeout_s=self._webhook_timeout_s, clock=settings.clock)
            async with asyncio.TaskGroup() as tasks:
                await run_call(OngoingCall(settings, facts, delivery, timeline, tasks, report), caller)
        return report
