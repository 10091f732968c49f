"""What a carrier takes its time with, and what goes wrong with it on demand."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CarrierDelays:
    """What a carrier takes its time with, beyond the line.

    Attributes:
        notice_close_ms: From a media socket's end until the carrier goes on with the call.
        webhook_ms: What a webhook takes on its way.
        connect_ms: What a media socket takes to open.
    """

    notice_close_ms: float = 0.0
    webhook_ms: float = 0.0
    connect_ms: float = 0.0

    @classmethod
    def realistic(cls) -> CarrierDelays:
        """Return the delays of a carrier some way off: assumed, for Bandwidth tells none."""
        return cls(notice_close_ms=200.0, webhook_ms=150.0, connect_ms=200.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookFault:
    """Something that happens to webhooks.

    Attributes:
        event_type: Which, such as ``redirect``; None for all.
        probability: How likely each is hit, 0.0 to 1.0.
        times: How many are hit at the most; None for no end.
    """

    event_type: str | None = None
    probability: float = 1.0
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseWebhook(WebhookFault):
    """The request gets lost: the server never sees it, and the carrier waits for its answer in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleWebhook(WebhookFault):
    """The request arrives twice; the carrier takes the first answer, and a different second one is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayWebhook(WebhookFault):
    """The request arrives late.

    Attributes:
        late_ms: By how much.
    """

    late_ms: float


@dataclass(frozen=True, slots=True)
class BreakStream:
    """A media socket is reset, without a stop message and without a close frame.

    Attributes:
        after_s: How long after the stream's start message.
        stream: The stream's name; None for the first that starts.
        abruptly: Whether the connection is reset; otherwise it is closed with a close frame.
    """

    after_s: float
    stream: str | None = None
    abruptly: bool = True


CarrierFault = WebhookFault | BreakStream


@dataclass(slots=True)
class _Armed:
    fault: WebhookFault
    left: float


class CarrierFaults:
    """The faults of one carrier. More may be added while calls go on.

    Args:
        faults: What goes wrong.
        seed: Makes it repeatable.
    """

    def __init__(self, faults: Iterable[CarrierFault] = (), *, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311  faults are no secret
        self._webhooks: list[_Armed] = []
        self._streams: list[BreakStream] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: CarrierFault) -> None:
        """Let something more go wrong from now on."""
        if isinstance(fault, BreakStream):
            self._streams.append(fault)
        else:
            self._webhooks.append(_Armed(fault, math.inf if fault.times is None else fault.times))

    def hitting(self, event_type: str) -> list[WebhookFault]:
        """Return what happens to the next webhook of a type; each of it has then happened once more."""
        hit: list[WebhookFault] = []
        for armed in self._webhooks:
            wanted = armed.fault.event_type in (None, event_type) and armed.left > 0
            if wanted and self._random.random() < armed.fault.probability:
                armed.left -= 1
                hit.append(armed.fault)
        return hit

    def breaking(self, stream: str) -> BreakStream | None:
        """Return what breaks a stream that starts, once."""
        broken = next((fault for fault in self._streams if fault.stream in (None, stream)), None)
        if broken is not None:
            self._streams.remove(broken)
        return broken
