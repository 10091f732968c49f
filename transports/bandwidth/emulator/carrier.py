"""A carrier on this machine, in place of Bandwidth: calls any server that speaks Bandwidth's protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from uuid import uuid4

import httpx

from ... import websocket
from ...speech.interfaces import Voice
from ...websocket import Connect
from .call import run_call
from .caller import Caller
from .expectations import check_expectations
from .faults import CarrierDelays, CarrierFaults
from .line import Line
from .live_call import LiveCall
from .ongoing import CarrierSettings, OngoingCall, RunBlocking, TransferTarget
from .report import CallReport, CarrierEvent, Timeline
from .sightings import Sightings
from .verbs import Credentials
from .voice_api import EmulatedVoiceApi
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
        delays: What the carrier takes its time with; nothing when None.
        faults: What goes wrong; more may be added while calls go on.
        initiate_fallback_url: Where a call's first document comes from when `initiate_url` does not answer.
        transfer_targets: Who answers transfers, by number or URI; nobody else does.
        voice_api: Reaches the calls as they go on; it has to be of the same account.
        account_id: The account's number.
        application_id: The application's id.

    Attributes:
        live: The calls that have been answered and go on, by id.
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
        delays: CarrierDelays | None = None,
        faults: CarrierFaults | None = None,
        initiate_fallback_url: str | None = None,
        transfer_targets: Mapping[str, TransferTarget] | None = None,
        voice_api: EmulatedVoiceApi | None = None,
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
            delays=delays or CarrierDelays(),
            faults=faults or CarrierFaults(),
            initiate_fallback_url=initiate_fallback_url,
            transfer_targets=transfer_targets or {},
        )
        self.live: dict[str, LiveCall] = {}
        self._voice_api = voice_api
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
        sightings: Sightings | None = None,
    ) -> CallReport:
        """Place a call and return when it is over, all its webhooks answered or given up.

        Args:
            caller: Who calls.
            from_: Their number, E.164.
            to: The number they call, E.164.
            on_event: Called at once with everything that happens.
            sightings: Filled by whoever runs the server too, for expectations that a carrier can't judge.

        Raises:
            ScriptError: A WAV file of the caller's script can't be read, or it expects what nobody can judge.
        """
        settings = self._settings
        sightings = sightings or Sightings()
        check_expectations(caller.script, sightings, has_ear=caller.ear is not None)
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
            delivery = WebhookDelivery(
                http,
                timeline,
                protocol_errors=report.protocol_errors,
                timeout_s=self._webhook_timeout_s,
                delays=settings.delays,
                faults=settings.faults,
                clock=settings.clock,
            )
            async with asyncio.TaskGroup() as tasks:
                ongoing = OngoingCall(settings, facts, delivery, timeline, tasks, report, sightings)
                await run_call(ongoing, caller, answered=self._answered, over=self._over)
        return report

    def _answered(self, live: LiveCall) -> None:
        self.live[live.call_id] = live
        if self._voice_api is not None:
            self._voice_api.calls[live.call_id] = live

    def _over(self, call_id: str) -> None:
        live = self.live.pop(call_id, None)
        if live is not None:
            live.state = "disconnected"
