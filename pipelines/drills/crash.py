"""The crash drill: a process is struck in the middle of a call, and the call goes on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from callpipe.transports.bandwidth.emulator import Caller, CallerScript, CallReport, CarrierEvent, parse_script
from callpipe.transports.realtime.emulator import SessionLog
from callpipe.transports.speech.tones import ToneEar, ToneVoice

from .stage import Serving

PHRASE_WITHIN_S = 2.0
"""The caller hears the cached phrase this soon after a runner's death."""

VOICE_WITHIN_S = 4.0
"""The caller hears the model this soon after a runner's death."""

BOT_QUIET_MS = 1_500
"""Longer than what separates the phrase from the model's voice."""

ASKED = {
    "sentence": "tell me a story",
    "tool": "look it up",
    "barge-in": "tell me a story",
}
"""What the caller says before the kill, by what the kill is to hit."""

CUT_IN = "very well then"
"""What the caller cuts in with."""

LATEST_S = {"sentence": 4.0, "tool": 2.5, "barge-in": 1.0}
"""The latest kill after that, or after the barge-in."""


SAMPLE_RATE = 8_000
BYTES_PER_S = 2 * SAMPLE_RATE

STEP_S, READABLE_STEPS = 0.1, 4
"""Tones are looked for in steps of this length; so many of them hold a character or two."""

LINE_S = 0.1
"""What a line may delay by."""


def kill_runner(serving: Serving, call_id: str) -> bool:
    """Kill the process that runs a call; return whether there was one."""
    return _signal(serving.runner_of(call_id), signal.SIGKILL)


def hang_runner(serving: Serving, call_id: str) -> bool:
    """Stop the process that runs a call, as an event loop that is blocked for ever."""
    return _signal(serving.runner_of(call_id), signal.SIGSTOP)


def kill_server(serving: Serving, call_id: str) -> bool:
    """Kill the process that answers the carrier."""
    del call_id
    return _signal(serving.server(), signal.SIGKILL)


def hang_runner_and_kill_server(serving: Serving, call_id: str) -> bool:
    """Do both, so that nobody is there who knows that the runner hangs."""
    return hang_runner(serving, call_id) and kill_server(serving, call_id)


def _signal(pid: int | None, number: signal.Signals) -> bool:
    try:
        if pid is not None:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    return pid is not None


Strike = Callable[[Serving, str], bool]
"""Does something to the processes of a call; returns whether there was something to do it to."""


@dataclass(frozen=True, slots=True)
class Crash:
    """One call whose process was killed.

    Attributes:
        moment: What the kill was to hit.
        offset_s: How long after the caller's words it came.
        phrase_s: From the loss until the caller heard something again; None when they never did.
        voice_s: From the loss until they heard the model again; None when they never did.
        remembered: The bot answered with the word that had been said before.
        told: The word stood in the items of the session that came after.
        ending: How the call ended; empty for the scenario's goodbye.
    """

    moment: str
    offset_s: float
    phrase_s: float | None
    voice_s: float | None
    remembered: bool
    told: bool
    ending: str = ""

    def kept(self, noticed_after_s: float = 0.0) -> bool:
        """Whether everything that was promised was kept.

        Args:
            noticed_after_s: What it takes to notice that the process is of no use any more.
        """
        in_time = (
            self.phrase_s is not None
            and self.phrase_s <= PHRASE_WITHIN_S + noticed_after_s
            and self.voice_s is not None
            and self.voice_s <= VOICE_WITHIN_S + noticed_after_s
        )
        return in_time and self.remembered and self.told and not self.ending

    @property
    def unnoticed(self) -> bool:
        """Whether the caller noticed nothing."""
        return self.phrase_s is None and self.remembered and not self.ending


def caller_script(moment: str, fact: str, quiet_ms: int = BOT_QUIET_MS) -> CallerScript:
    """Return what the caller does: has a word remembered, is interrupted, asks for the word.

    Args:
        moment: One of `ASKED`.
        fact: The word.
        quiet_ms: A bot that is quiet for so long has finished.
    """
    cut_in = [f"cut_in: {{after_ms: 1500, say: {CUT_IN}}}"] if moment == "barge-in" else []
    steps = [
        "wait_for_bot",
        f"say: remember {fact} please",
        "wait_for_bot",
        f"say: {ASKED[moment]}",
        *cut_in,
        f"wait_for_bot: {{quiet_ms: {quiet_ms}, deadline_s: 40}}",
        "say: which word was it",
        f"wait_for_bot: {{quiet_ms: {quiet_ms}, deadline_s: 40}}",
        "say: goodbye",
        "wait_for_hang_up",
    ]
    return parse_script("steps:\n" + "\n".join(f"  - {step}" for step in steps))


async def crash(
    serving: Serving,
    moment: str,
    offset_s: float,
    fact: str,
    *,
    strike: Strike = kill_runner,
    quiet_ms: int = BOT_QUIET_MS,
) -> Crash:
    """Hold one call and strike in the middle of it.

    Args:
        serving: Who serves it.
        moment: One of `ASKED`.
        offset_s: When after the caller's words.
        fact: The word to be remembered, such as ``fact123``.
        strike: What is done.
        quiet_ms: A bot that is quiet for so long has finished, in the caller's eyes.
    """
    asked = asyncio.Event()
    wanted = CUT_IN if moment == "barge-in" else ASKED[moment]

    def watch(event: CarrierEvent) -> None:
        if event.name.startswith("caller") and event.words == wanted:
            asked.set()

    async def when_asked() -> float | None:
        await asked.wait()
        spoken_s = 0.0 if moment == "barge-in" else len(b"".join(ToneVoice().speak(wanted))) / BYTES_PER_S
        await asyncio.sleep(spoken_s + offset_s)
        struck = await asyncio.to_thread(strike, serving, next(iter(carrier.live), ""))
        return time.monotonic() if struck else None

    carrier = serving.carrier()
    striking = asyncio.create_task(when_asked())
    report = await carrier.place_call(
        Caller(caller_script(moment, fact, quiet_ms), ToneVoice()), on_event=watch
    )
    ending = "" if report.cause == "hangup" and report.ending.ended_by == "bot" else _ending(report)
    struck_at = striking.result() if striking.done() else None
    if struck_at is None:
        striking.cancel()
        ending = ending or "there was nothing to strike"
    told = any(_was_told(log, fact) for log in serving.model.logs)
    heard = await asyncio.to_thread(_heard, report, fact, struck_at)
    return Crash(moment, offset_s, *heard, told, ending)


def _ending(report: CallReport) -> str:
    gave_up = f", gave up at {report.gave_up}" if report.gave_up else ""
    return f"{report.cause} by the {report.ending.ended_by}{gave_up}"


def _was_told(log: SessionLog, fact: str) -> bool:
    """Whether a session was told a word in an item, not by the caller's voice."""
    return any(fact in str(logged.event) for logged in log.client_events("conversation.item.create"))


def _heard(report: CallReport, fact: str, struck_at: float | None) -> tuple[float | None, float | None, bool]:
    """Return when the caller heard the phrase and the model again, and whether they heard the fact.

    Both times count from the strike, or from the end of what was on its way to the caller then.
    """
    remembered = f"it was {fact}" in ToneEar().hear(report.heard, SAMPLE_RATE)
    if not report.resumptions or report.answered_at is None or struck_at is None:
        return None, None, remembered
    lost = report.resumptions[0]
    before = [burst for burst in report.bursts if burst.started_at <= lost.lost_at]
    silent_from = max([struck_at, *(burst.started_at + burst.heard_ms / 1000 for burst in before)])
    phrase_s = None if lost.heard_at is None else lost.heard_at - silent_from
    spoke_at = _tones_from(report.heard, silent_from - report.answered_at + LINE_S)
    voice_s = None if spoke_at is None else spoke_at + report.answered_at - silent_from
    return phrase_s, voice_s, remembered


def _tones_from(pcm: bytes, begin_s: float) -> float | None:
    """Return when a tone that can be read begins after a moment, in seconds of the track."""
    first, last = int(begin_s / STEP_S), int(len(pcm) / BYTES_PER_S / STEP_S) - READABLE_STEPS
    for place in range(max(first, 0), last):
        begin, end = place * STEP_S, (place + READABLE_STEPS) * STEP_S
        heard = pcm[2 * int(begin * SAMPLE_RATE) : 2 * int(end * SAMPLE_RATE)]
        if len(ToneEar().hear(heard, SAMPLE_RATE).strip()) > 1:
            return begin
    return None


async def crashes(
    serving: Serving,
    count: int,
    *,
    strike: Strike = kill_runner,
    quiet_ms: int = BOT_QUIET_MS,
    lanes: int = 1,
    seed: int | None = None,
) -> list[Crash]:
    """Strike in so many calls, each at a random moment.

    Args:
        serving: Who serves them.
        count: How many calls.
        strike: What is done.
        quiet_ms: See `crash`.
        lanes: How many go on at a time.
        seed: Of the moments.
    """
    chance = random.Random(seed)  # noqa: S311  no secret
    moments = [list(ASKED)[number % len(ASKED)] for number in range(count)]
    facts = [f"fact{chance.randrange(100, 999)}" for _ in moments]
    offsets_s = [chance.uniform(0.1, LATEST_S[moment]) for moment in moments]
    gate = asyncio.Semaphore(lanes)

    async def one(moment: str, offset_s: float, fact: str) -> Crash:
        async with gate:
            return await crash(serving, moment, offset_s, fact, strike=strike, quiet_ms=quiet_ms)

    return list(await asyncio.gather(*map(one, moments, offsets_s, facts)))
