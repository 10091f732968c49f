"""A process of emulated callers: holds so many calls at a time, and writes a line of JSON for each."""

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import httpx
import uvloop
from pydantic import TypeAdapter
from scenarios import QUESTION, conversation, ending_of, greeted

from callpipe.transports.bandwidth.emulator import (
    Caller,
    CallReport,
    Carrier,
    CarrierDelays,
    CarrierFaults,
    DelayWebhook,
    DoubleWebhook,
    LoseWebhook,
)
from callpipe.transports.speech.tones import ToneEar, ToneVoice

SAMPLE_RATE = 8_000
STREAM_ENDS = "stream stopped", "stream lost"


@dataclass(frozen=True)
class Load:
    """What a process of callers does.

    Attributes:
        url: Where callpipe serves.
        username: The user of its webhooks.
        password: Their password.
        bots: The bots, called in turn.
        calls: How many calls go on at a time.
        seconds: For how long ended calls are followed by new ones; endless when None.
        count: How many calls there are altogether; endless when None.
        ramp_s: Over how long the first calls are spread.
        rounds: How often a conversation goes through its turns; 0 is a caller who only hears the greeting.
        faulty: Webhooks are lost, doubled and late.
        realistic: The carrier takes its time as one some way off.
        seed: Of everything that is left to chance.
    """

    url: str
    username: str
    password: str
    bots: tuple[str, ...]
    calls: int
    seconds: float | None = None
    count: int | None = None
    ramp_s: float = 0.0
    rounds: int = 1
    faulty: bool = False
    realistic: bool = True
    seed: int = 0


@dataclass
class CallResult:
    """A call that is over. Times are monotonic seconds.

    Attributes:
        call_id: Its id.
        bot: The bot that was called.
        ending: See `scenarios.ending_of`.
        faults: What happened to its webhooks.
        media_from: When its first media stream started; None without any.
        media_until: When its last one ended.
        streams: How many it had.
        losses_s: For each lost stream, how long the caller heard nothing; None when they never did again.
        remembered: Whether the bot knew the word; None when it was not asked.
        protocol_errors: What the server did that it must not.
        worst_packet_ms: How late a packet was sent: the emulator's own lag.
        timeline: What happened when.
    """

    call_id: str
    bot: str
    ending: str
    faults: list[str] = field(default_factory=list[str])
    media_from: float | None = None
    media_until: float | None = None
    streams: int = 0
    losses_s: list[float | None] = field(default_factory=list[float | None])
    remembered: bool | None = None
    protocol_errors: list[str] = field(default_factory=list[str])
    worst_packet_ms: float = 0.0
    timeline: list[tuple[float, str, str]] = field(default_factory=list[tuple[float, str, str]])


def faults_of_a_call(chance: random.Random) -> CarrierFaults:
    """Return what happens to one call's webhooks: mostly nothing.

    A webhook is lost once: a carrier that loses its fallback too has lost the call by itself.
    """
    late_ms = chance.uniform(500, 4_000)
    some = (
        LoseWebhook(event_type="initiate", times=1),
        LoseWebhook(event_type="redirect", times=1),
        LoseWebhook(event_type="disconnect", times=1),
        LoseWebhook(event_type="mediaStreamStarted", times=1),
        DoubleWebhook(),
        DelayWebhook(event_type="redirect", late_ms=late_ms),
        DelayWebhook(event_type="disconnect", late_ms=late_ms),
    )
    hit = [chance.choice(some)] if chance.random() < FAULTY_SHARE else []
    return CarrierFaults(hit, seed=chance.randrange(1 << 30))


FAULTY_SHARE = 0.3
"""Of the calls."""


class Callers:
    """Holds the calls."""

    def __init__(self, load: Load, http: httpx.AsyncClient) -> None:
        self._load = load
        self._http = http
        self._chance = random.Random(load.seed)
        self._ends_at = time.monotonic() + load.seconds if load.seconds is not None else float("inf")
        self._left = float("inf") if load.count is None else load.count
        self._begun = 0

    async def run(self) -> None:
        """Hold calls until it is time, and then until the last has ended."""
        async with asyncio.TaskGroup() as tasks:
            for place in range(self._load.calls):
                tasks.create_task(self._hold(self._load.ramp_s * place / self._load.calls))

    async def _hold(self, begins_s: float) -> None:
        await asyncio.sleep(begins_s)
        while self._left > 0 and time.monotonic() < self._ends_at:
            self._left -= 1
            self._begun += 1
            result = await self._call(self._load.bots[self._begun % len(self._load.bots)])
            sys.stdout.write(json.dumps(asdict(result)) + "\n")
            sys.stdout.flush()

    async def _call(self, bot: str) -> CallResult:
        load, fact = self._load, f"fact{self._chance.randrange(100, 999)}"
        script = conversation(self._chance, fact, load.rounds) if load.rounds else greeted()
        faults = faults_of_a_call(self._chance) if load.faulty else None
        webhooks = f"{load.url}/bandwidth/{bot}"
        carrier = Carrier(
            initiate_url=f"{webhooks}/initiate",
            initiate_fallback_url=f"{webhooks}/initiate",
            status_url=f"{webhooks}/disconnect",
            username=load.username,
            password=load.password,
            http=self._http,
            delays=CarrierDelays.realistic() if load.realistic else None,
            faults=faults,
        )
        report = await carrier.place_call(Caller(script, ToneVoice()))
        remembered = await asyncio.to_thread(_remembered, report, fact) if load.rounds else None
        return _result(report, bot, remembered, caller_leaves=not load.rounds, noticed_s=load.realistic * 0.2)


def _remembered(report: CallReport, fact: str) -> bool | None:
    asked_at = next((event.at for event in report.events if event.words == QUESTION), None)
    if asked_at is None or report.answered_at is None:
        return None
    begin = int((asked_at - report.answered_at) * SAMPLE_RATE)
    return f"it was {fact}" in ToneEar().hear(report.heard[2 * begin :], SAMPLE_RATE)


def _result(
    report: CallReport, bot: str, remembered: bool | None, *, caller_leaves: bool, noticed_s: float
) -> CallResult:
    started_at = report.streams_started_at
    losses_s = [None if each.silence_ms is None else each.silence_ms / 1000 for each in report.resumptions]
    return CallResult(
        report.call_id,
        bot,
        ending_of(report, caller_leaves=caller_leaves),
        [event.detail for event in report.named("fault")],
        started_at[0] if started_at else None,
        _media_until(report, noticed_s),
        len(started_at),
        losses_s,
        remembered,
        report.protocol_errors,
        report.worst_packet_ms,
        [(event.at, event.name, event.detail or event.words) for event in report.events],
    )


def _media_until(report: CallReport, noticed_s: float) -> float | None:
    """Return when the last media stream ended; one that the server closed is noticed somewhat later."""
    ends = [event for event in report.events if event.name in STREAM_ENDS]
    if not ends:
        return None
    last = ends[-1]
    if last.detail.endswith("connection-error"):
        return next(event.at for event in reversed(ends) if event.name == "stream lost")
    by_carrier = report.ending.ended_by != "bot"
    return last.at if by_carrier else last.at - noticed_s


def main(words: Sequence[str]) -> None:
    """Hold the calls that one argument of JSON asks for."""
    load = TypeAdapter(Load).validate_json(words[0])

    async def run() -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
        async with httpx.AsyncClient(limits=limits) as http:
            await Callers(load, http).run()

    uvloop.run(run())


if __name__ == "__main__":
    main(sys.argv[1:])
