"""The crash drill: the process of a call is killed in the middle of it, and the call goes on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from callpipe.transports.bandwidth.emulator import Caller, CallerScript, CallReport, CarrierEvent, parse_script
from callpipe.transports.realtime.emulator import SessionLog
from callpipe.transports.speech.tones import ToneEar, ToneVoice

from .stage import Serving

PHRASE_WITHIN_S = 2.0
"""The caller hears the cached phrase this soon after the loss."""

VOICE_WITHIN_S = 4.0
"""The caller hears the model this soon after the loss."""

BOT_QUIET_MS = 1_500
"""Longer than what separates the phrase from the model's voice."""

ASKED = {
    "sentence": "tell me a story",
    "tool": "look it up",
    "barge-in": "tell me a story",
}
"""What the caller says before the kill, by what the kill is to hit."""

LATEST_S = {"sentence": 4.0, "tool": 2.5, "barge-in": 1.0}
"""The latest kill after that, or after the barge-in."""


SAMPLE_RATE = 8_000
BYTES_PER_S = 2 * SAMPLE_RATE

STEP_S, READABLE_STEPS = 0.1, 4
"""Tones are looked for in steps of this length; so many of them hold a character or two."""

LINE_S = 0.1
"""What was on its way to the caller when the stream was lost."""


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

    @property
    def kept(self) -> bool:
        """Whether everything that was promised was kept."""
        in_time = (
            self.phrase_s is not None
            and self.phrase_s <= PHRASE_WITHIN_S
            and self.voice_s is not None
            and self.voice_s <= VOICE_WITHIN_S
        )
        return in_time and self.remembered and self.told and not self.ending


def caller_script(moment: str, fact: str) -> CallerScript:
    """Return what the caller does: has a word remembered, is interrupted, asks for the word."""
    cut_in = "[{cut_in: {after_ms: 1500, say: very well then}}]" if moment == "barge-in" else "[]"
    steps = [
        "wait_for_bot",
        f"say: remember {fact} please",
        "wait_for_bot",
        f"say: {ASKED[moment]}",
        *([cut_in[2:-2]] if moment == "barge-in" else []),
        f"wait_for_bot: {{quiet_ms: {BOT_QUIET_MS}, deadline_s: 30}}",
        "say: which word was it",
        f"wait_for_bot: {{quiet_ms: {BOT_QUIET_MS}, deadline_s: 30}}",
        "say: goodbye",
        "wait_for_hang_up",
    ]
    return parse_script("steps:\n" + "\n".join(f"  - {step}" for step in steps))


async def crash(serving: Serving, moment: str, offset_s: float, fact: str) -> Crash:
    """Hold one call and kill its runner.

    Args:
        serving: Who serves it.
        moment: One of `ASKED`.
        offset_s: When after the caller's words.
        fact: The word to be remembered, such as ``fact123``.
    """
    asked = asyncio.Event()
    answered: dict[str, str] = {}
    wanted = "very well then" if moment == "barge-in" else ASKED[moment]

    def watch(event: CarrierEvent) -> None:
        if event.name.startswith("caller") and event.words == wanted:
            asked.set()

    async def kill() -> None:
        await asked.wait()
        spoken_s = len(b"".join(ToneVoice().speak(wanted))) / 16_000
        await asyncio.sleep(offset_s if moment == "barge-in" else spoken_s + offset_s)
        pid = serving.runner_of(next(iter(carrier.live), ""))
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            answered["killed"] = "yes"

    carrier = serving.carrier()
    killing = asyncio.create_task(kill())
    report = await carrier.place_call(Caller(caller_script(moment, fact), ToneVoice()), on_event=watch)
    killing.cancel()
    ending = "" if report.cause == "hangup" and report.ending.ended_by == "bot" else _ending(report)
    if "killed" not in answered:
        ending = ending or "its runner was not found"
    told = any(_was_told(log, fact) for log in serving.model.logs)
    heard = await asyncio.to_thread(_heard, report, fact)
    return Crash(moment, offset_s, *heard, told, ending)


def _ending(report: CallReport) -> str:
    gave_up = f", gave up at {report.gave_up}" if report.gave_up else ""
    return f"{report.cause} by the {report.ending.ended_by}{gave_up}"


def _was_told(log: SessionLog, fact: str) -> bool:
    """Whether a session was told a word in an item, not by the caller's voice."""
    return any(fact in str(logged.event) for logged in log.client_events("conversation.item.create"))


def _heard(report: CallReport, fact: str) -> tuple[float | None, float | None, bool]:
    """Return when the caller heard the phrase and the model after the loss, and whether they heard the fact."""
    remembered = f"it was {fact}" in ToneEar().hear(report.heard, SAMPLE_RATE)
    if not report.resumptions or report.answered_at is None:
        return None, None, remembered
    lost = report.resumptions[0]
    heard_at = _tones_from(report.heard, lost.lost_at - report.answered_at + LINE_S)
    voice_s = None if heard_at is None else heard_at - (lost.silent_from - report.answered_at)
    return None if lost.silence_ms is None else lost.silence_ms / 1000, voice_s, remembered


def _tones_from(pcm: bytes, begin_s: float) -> float | None:
    """Return when a tone that can be read begins after a moment, in seconds of the track."""
    first, last = int(begin_s / STEP_S), int(len(pcm) / BYTES_PER_S / STEP_S) - READABLE_STEPS
    for place in range(max(first, 0), last):
        begin, end = place * STEP_S, (place + READABLE_STEPS) * STEP_S
        heard = pcm[2 * int(begin * SAMPLE_RATE) : 2 * int(end * SAMPLE_RATE)]
        if len(ToneEar().hear(heard, SAMPLE_RATE).strip()) > 1:
            return begin
    return None


async def crashes(serving: Serving, count: int, *, lanes: int = 1, seed: int | None = None) -> list[Crash]:
    """Kill the runners of so many calls, each at a random moment.

    Args:
        serving: Who serves them.
        count: How many calls.
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
            return await crash(serving, moment, offset_s, fact)

    return list(await asyncio.gather(*map(one, moments, offsets_s, facts)))


def worst(times: Sequence[float | None]) -> float:
    """Return the longest time; endless when one never came."""
    return max((float("inf") if each is None else each for each in times), default=0.0)


def summary(done: Sequence[Crash]) -> dict[str, float]:
    """Return what the crashes come to: medians and worst, in seconds."""
    phrases = [each.phrase_s or 0.0 for each in done]
    voices = [each.voice_s or 0.0 for each in done]
    return {
        "phrase_median_s": statistics.median(phrases),
        "phrase_worst_s": worst([each.phrase_s for each in done]),
        "voice_median_s": statistics.median(voices),
        "voice_worst_s": worst([each.voice_s for each in done]),
    }
