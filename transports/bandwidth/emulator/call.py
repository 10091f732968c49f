"""The life of one emulated call, from the initiate webhook to the disconnect webhook."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from . import webhooks
from .bxml_runner import BxmlRunner
from .caller import Caller
from .errors import CallbackFailedError
from .hearing import Hearing
from .keypad import Keypad
from .leg import CallLeg
from .live_call import LiveCall
from .ongoing import OngoingCall
from .report import Ending
from .streams import MediaStreams
from .verb_performer import VerbPerformer

Answered = Callable[[LiveCall], None]
Over = Callable[[str], None]


class BxmlDocument(NamedTuple):
    """A call's first document, and where it came from."""

    content: bytes
    url: str


async def run_call(call: OngoingCall, caller: Caller, *, answered: Answered, over: Over) -> None:
    """Run a call until it is over, and write into its report what happened.

    Args:
        call: The call.
        caller: Who calls.
        answered: Told of the call when it can be reached into.
        over: Told the id of the call that is over.
    """
    settings, facts, report = call.settings, call.facts, call.report
    try:
        first = await _first_document(call)
    except CallbackFailedError as error:
        report.ending = Ending("callback-error", "carrier", error.explanation)
        report.ended_at = settings.clock()
    else:
        try:
            await _converse(call, caller, first, answered)
        finally:
            over(facts.call_id)
    ending = report.ending
    call.timeline.note("call ended", f"{ending.cause}, by the {ending.ended_by}")
    if settings.status_url is not None:
        payload = webhooks.disconnect(facts, call.now_utc(), ending.cause, ending.explanation)
        call.tell(settings.status_url, payload, credentials=settings.credentials)


async def _first_document(call: OngoingCall) -> BxmlDocument:
    """Return the first document.

    Raises:
        CallbackFailedError: It can't be had, not from the fallback URL either.
    """
    settings = call.settings
    payload = webhooks.initiate(call.facts, call.now_utc())
    url = settings.initiate_url
    try:
        return BxmlDocument(await call.delivery.ask(url, payload, credentials=settings.credentials), url)
    except CallbackFailedError:
        if settings.initiate_fallback_url is None:
            raise
    url = settings.initiate_fallback_url
    return BxmlDocument(await call.delivery.ask(url, payload, credentials=settings.credentials), url)


async def _converse(call: OngoingCall, caller: Caller, first: BxmlDocument, answered: Answered) -> None:
    """Hold an answered call, and judge what the caller expected of it."""
    settings, report = call.settings, call.report
    answered_at = report.answered_at = settings.clock()
    call.facts.answered = call.now_utc()
    call.timeline.note("answered")
    keypad = Keypad(call)
    hearing = Hearing(caller.ear, call.sightings, settings.run_blocking, call.tasks)
    leg = CallLeg(
        caller,
        settings.line,
        call.timeline,
        clock=settings.clock,
        started_at=answered_at,
        sightings=call.sightings,
        press=keypad.press,
        bot_spoke=hearing.bot_spoke,
    )
    streams = MediaStreams(call, leg)
    runner = BxmlRunner(call, VerbPerformer(call, streams, leg, keypad), first.url)
    answered(LiveCall(call.facts.call_id, runner, streams))
    report.ending = await _talk(call, leg, streams, runner.run(first.content))
    await hearing.finish()
    leg.judge(report)
    report.spoken = call.sightings.words
    report.tool_calls = call.sightings.tool_calls


async def _talk(
    call: OngoingCall, leg: CallLeg, streams: MediaStreams, documents: Coroutine[Any, Any, Ending]
) -> Ending:
    """Run the documents while the caller is on the line; return who ended the call, and why."""
    running = call.tasks.create_task(documents)
    talking = call.tasks.create_task(leg.run())
    try:
        await asyncio.wait(
            {running, talking}, timeout=call.settings.max_call_s, return_when=asyncio.FIRST_COMPLETED
        )
        if running.done():
            return running.result()
        if talking.done():
            return Ending("hangup", "caller")
        return Ending("hangup", "carrier", f"the call lasted longer than {call.settings.max_call_s:g} s")
    finally:
        call.report.ended_at = call.settings.clock()
        running.cancel()
        talking.cancel()
        leg.finish(call.report)
        await streams.stop_all()
