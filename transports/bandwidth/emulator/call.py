"""The life of one emulated call, from the initiate webhook to the disconnect webhook."""

from __future__ import annotations

import asyncio

from . import webhooks
from .bxml_runner import BxmlRunner
from .caller import Caller
from .errors import CallbackFailedError
from .leg import CallLeg
from .ongoing import OngoingCall
from .report import Ending
from .streams import MediaStreams


async def run_call(call: OngoingCall, caller: Caller) -> None:
    """Run a call until it is over, and write into its report what happened."""
    settings, facts, report = call.settings, call.facts, call.report
    try:
        document = await call.delivery.ask(
            settings.initiate_url,
            webhooks.initiate(facts, call.now_utc()),
            credentials=settings.credentials,
        )
    except CallbackFailedError as error:
        report.ending = Ending("callback-error", "carrier", error.explanation)
        report.ended_at = settings.clock()
    else:
        answered_at = report.answered_at = settings.clock()
        facts.answered = call.now_utc()
        call.timeline.note("answered")
        leg = CallLeg(caller, settings.line, call.timeline, clock=settings.clock, started_at=answered_at)
        report.ending = await _talk(call, leg, document)
    ending = report.ending
    call.timeline.note("call ended", f"{ending.cause}, by the {ending.ended_by}")
    if settings.status_url is not None:
        payload = webhooks.disconnect(facts, call.now_utc(), ending.cause, ending.explanation)
        call.tell(settings.status_url, payload, credentials=settings.credentials)


async def _talk(call: OngoingCall, leg: CallLeg, document: bytes) -> Ending:
    """Run the documents while the caller is on the line; return who ended the call, and why."""
    streams = MediaStreams(call, leg)
    runner = BxmlRunner(call, streams, leg.playout)
    running = call.tasks.create_task(runner.run(document, call.settings.initiate_url))
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
