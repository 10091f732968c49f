"""Does what a document's verbs say, one at a time."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from ...audio.formats import PCM_8K
from ...audio.g711 import decode_mulaw
from . import webhooks
from .errors import PlayoutFullError
from .keypad import Keypad
from .leg import CallLeg
from .line import PTIME_MS
from .ongoing import OngoingCall, TransferTarget
from .speech import spoken, unspoken
from .streams import MediaStreams
from .verbs import (
    Gather,
    Pause,
    PerformedVerb,
    PlayAudio,
    Record,
    Redirect,
    Ring,
    SpeakSentence,
    StartGather,
    StartStream,
    StopGather,
    StopStream,
    Tag,
    Transfer,
)
from .voicemail import Voicemail
from .webhooks import Payload, RecordingFacts

PLAYED_S = 1.0
"""How long a PlayAudio takes, whose file nobody fetches."""

Asks = tuple[Redirect, Payload]
"""Where the next document comes from, and what is told there."""


class VerbPerformer:
    """Performs the verbs of one call that are neither its end nor a Redirect.

    Args:
        call: The call.
        streams: Its media streams.
        leg: The caller's leg.
        keypad: The caller's keys.
    """

    def __init__(self, call: OngoingCall, streams: MediaStreams, leg: CallLeg, keypad: Keypad) -> None:
        self._call = call
        self._keypad = keypad
        self._streams = streams
        self._leg = leg

    async def perform(self, verb: PerformedVerb, url: str) -> Asks | None:
        """Perform a verb to its end; return what is to be asked after it, where it says so itself.

        Args:
            verb: The verb.
            url: Where its document came from.
        """
        match verb:
            case StartStream():
                self._streams.start(verb, url)
            case StopStream(name=name, wait=True):
                await self._streams.wait(name)
            case StopStream(name=name):
                await self._streams.stop(name)
            case Pause(duration_s=duration_s) | Ring(duration_s=duration_s):
                await asyncio.sleep(duration_s)
            case SpeakSentence(text=text):
                await self._speak(text)
            case PlayAudio():
                await self._play()
            case Tag(tag=tag):
                self._call.facts.tag = tag
            case Transfer():
                return await self._transfer(verb)
            case Record():
                return await self._record(verb, url)
            case StartGather() | StopGather():
                self._keypad.tell(verb, url)
            case Gather():
                return await self._gather(verb)
        return None

    async def _play(self) -> None:
        self._call.timeline.note("carrier plays", f"a file, as {PLAYED_S:g} s of silence")
        await asyncio.sleep(PLAYED_S)

    async def _gather(self, verb: Gather) -> Asks | None:
        """Speak and wait for keys; the first key silences what is spoken."""

        async def prompt() -> None:
            for one in verb.prompts:
                await (self._speak(one.text) if isinstance(one, SpeakSentence) else self._play())

        digits, terminating_digit = await self._keypad.gather(verb, prompt)
        if verb.then is None:
            return None
        call = self._call
        return verb.then, webhooks.gather(call.facts, call.now_utc(), digits, terminating_digit)

    async def _speak(self, text: str) -> None:
        settings, playout = self._call.settings, self._leg.playout
        voice = settings.announcer
        pcm = await settings.run_blocking(lambda: spoken(text, voice)) if voice else unspoken(text)
        self._call.timeline.note("carrier speaks", f"{len(pcm) // 16} ms", text)
        try:
            playout.play_audio(pcm, PCM_8K, settings.clock())
        except PlayoutFullError as error:
            self._call.report.protocol_errors.append(str(error))
            return
        try:
            # The caller's leg plays, packet by packet; a clear may end it early.
            while left_ms := playout.unheard_ms:  # noqa: ASYNC110
                await asyncio.sleep(max(left_ms, PTIME_MS) / 1000)
        except asyncio.CancelledError:
            playout.drop(settings.clock())  # another document has taken the place of this one
            raise

    async def _transfer(self, verb: Transfer) -> Asks | None:
        """Ring all targets, and wait until the first who answers has hung up, or nobody will answer."""
        call = self._call
        known = call.settings.transfer_targets
        rung = [(known[target], target) for target in verb.targets if target in known]
        in_time = sorted(
            ((who, target) for who, target in rung if who.after_s <= verb.call_timeout_s),
            key=lambda pair: pair[0].after_s,
        )
        answering = next(((who, target) for who, target in in_time if who.cause == "answered"), None)
        call.timeline.note("transfer", f"rings {len(verb.targets)}", ", ".join(verb.targets))
        if answering is None:
            cause, target = await self._nobody_answers(verb, in_time)
        else:
            who, target = answering
            await asyncio.sleep(who.after_s)
            call.timeline.note("transfer", f"answered after {who.after_s:g} s", target)
            await asyncio.sleep(who.talks_s)
            cause = "hangup"
        call.timeline.note("transfer", f"complete: {cause}", target)
        if verb.complete is None:
            return None
        return verb.complete, webhooks.transfer_complete(call.facts, call.now_utc(), cause, target)

    @staticmethod
    async def _nobody_answers(verb: Transfer, refusing: list[tuple[TransferTarget, str]]) -> tuple[str, str]:
        """Ring until the last has refused or the time is up; return the cause and whom it is told of."""
        all_refuse = len(refusing) == len(verb.targets)
        await asyncio.sleep(refusing[-1][0].after_s if all_refuse else verb.call_timeout_s)
        return (refusing[-1][0].cause, refusing[-1][1]) if all_refuse else ("timeout", verb.targets[0])

    async def _record(self, verb: Record, url: str) -> Asks | None:
        call, clock = self._call, self._call.settings.clock
        voicemail = Voicemail(max_s=verb.max_duration_s, silence_s=verb.silence_timeout_s)
        recording_id, started, began_at = f"r-{uuid4()}", call.now_utc(), clock()
        self._leg.takers.append(voicemail)
        try:
            await voicemail.complete.wait()
        finally:
            # Also when the caller hangs up: the recording is there, though nobody is asked what follows.
            self._leg.takers.remove(voicemail)
            facts = RecordingFacts(recording_id, started, clock() - began_at)
            call.report.recorded.append(decode_mulaw(bytes(voicemail.pcmu)))
            call.timeline.note("recorded", f"{facts.duration_s:.1f} s")
            if verb.available is not None:
                call.tell(
                    verb.available.url,
                    webhooks.recording_available(call.facts, facts, call.now_utc()),
                    base=url,
                    method=verb.available.method,
                    credentials=verb.available.credentials,
                )
        if verb.complete is None:
            return None
        return verb.complete, webhooks.record_complete(call.facts, facts, call.now_utc())
