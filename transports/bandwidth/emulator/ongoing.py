"""What the parts of one emulated call share: its settings, its facts, its webhooks, its report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from urllib.parse import urljoin

from ...speech.interfaces import Voice
from ...websocket import Connect
from .faults import CarrierDelays, CarrierFaults
from .line import Line
from .report import CallReport, Timeline
from .sightings import Sightings
from .verbs import Credentials
from .webhook_delivery import WebhookDelivery
from .webhooks import CallFacts, Payload

Result = TypeVar("Result")


class RunBlocking(Protocol):
    """Runs what computes or reads for long without holding up the clock: `asyncio.to_thread`."""

    async def __call__(self, function: Callable[[], Result], /) -> Result:
        """Return what `function` returns."""
        ...


@dataclass(frozen=True, slots=True)
class TransferTarget:
    """Somebody whom a call may be transferred to.

    Attributes:
        after_s: How long they let it ring.
        cause: What becomes of it then: ``answered``, or ``busy`` or ``rejected``.
        talks_s: How long they talk until they hang up.
    """

    after_s: float = 2.0
    cause: str = "answered"
    talks_s: float = 5.0


@dataclass(frozen=True, slots=True)
class CarrierSettings:
    """How a carrier treats every call.

    Attributes:
        initiate_url: Where the first document of a call comes from.
        status_url: Where the disconnect webhook goes, None for nowhere.
        credentials: For both.
        line: What every caller's line is like.
        connect: Opens media sockets.
        announcer: The voice of SpeakSentence; None is silence of the same length.
        run_blocking: Runs what blocks.
        clock: Monotonic seconds.
        max_call_s: How long a call may last before the carrier ends it.
        delays: What it takes its time with.
        faults: What goes wrong.
        initiate_fallback_url: Where the first document comes from when `initiate_url` does not answer.
        transfer_targets: Who answers transfers, by number or URI; nobody else does.
    """

    initiate_url: str
    status_url: str | None
    credentials: Credentials
    line: Line
    connect: Connect
    announcer: Voice | None
    run_blocking: RunBlocking
    clock: Callable[[], float]
    max_call_s: float
    delays: CarrierDelays = field(default_factory=CarrierDelays)
    faults: CarrierFaults = field(default_factory=CarrierFaults)
    initiate_fallback_url: str | None = None
    transfer_targets: Mapping[str, TransferTarget] = field(default_factory=dict[str, TransferTarget])


@dataclass(frozen=True, slots=True)
class OngoingCall:
    """A call that goes on.

    Attributes:
        settings: How the carrier treats it.
        facts: What every webhook says of it.
        delivery: Sends its webhooks.
        timeline: Where what happens is noted.
        tasks: What runs beside the call; none of it outlives the call.
        report: Filled in as the call goes on.
        sightings: What else is known of it, for the caller's expectations.
    """

    settings: CarrierSettings
    facts: CallFacts
    delivery: WebhookDelivery
    timeline: Timeline
    tasks: asyncio.TaskGroup
    report: CallReport
    sightings: Sightings = field(default_factory=Sightings)

    def now_utc(self) -> datetime:
        """Return the time of day, as far from the call's start as the clock says."""
        return self.facts.started + timedelta(seconds=self.settings.clock() - self.report.started_at)

    def tell(
        self,
        url: str,
        payload: Payload,
        *,
        base: str = "",
        method: str = "POST",
        credentials: Credentials | None,
    ) -> None:
        """Send a webhook whose answer does not matter, without waiting for it.

        Args:
            url: Where it goes; may be relative to `base`.
            payload: What it says.
            base: The URL of the document that names `url`.
            method: GET or POST.
            credentials: For `url`.
        """
        delivery = self.delivery.tell(urljoin(base, url), payload, method=method, credentials=credentials)
        self.tasks.create_task(delivery)
