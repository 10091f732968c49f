"""Runs a call's documents, verb by verb, until one of them, or somebody else, ends the call."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urljoin

from . import webhooks
from .bxml_interpreter import parse_bxml
from .errors import CallbackFailedError, InvalidBxmlError
from .ongoing import OngoingCall
from .report import Ending
from .verb_performer import VerbPerformer
from .verbs import Hangup, Pause, Redirect, Ring, StartStream, StopStream, Verb, steps
from .webhooks import Payload

MAX_DOCUMENTS = 1_000
"""Documents of one call; a Redirect to itself would go on for ever."""

MAX_INTERRUPTIONS = 64
"""Interruptions that may wait; there is one at a time, unless a server asks for many at once."""


@dataclass(frozen=True, slots=True)
class _Document:
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Following:
    """A document that is to be asked for.

    Attributes:
        redirect: Where.
        payload: What the server is told; None tells of a plain redirect.
    """

    redirect: Redirect
    payload: Payload | None = field(default=None, repr=False)


class BxmlRunner:
    """Runs the documents of one call.

    Args:
        call: The call.
        performer: Does what each verb says.
        url: Where the first document came from; what relative URLs are relative to.
    """

    def __init__(self, call: OngoingCall, performer: VerbPerformer, url: str) -> None:
        self._call = call
        self._performer = performer
        self._url = url
        self._interruptions: asyncio.Queue[Ending | Following | _Document] = asyncio.Queue(MAX_INTERRUPTIONS)

    def interrupt(self, by: Ending | Redirect | bytes) -> None:
        """Leave what runs, for an end, for the document of another URL, or for a document."""
        if isinstance(by, Redirect):
            step: Ending | Following | _Document = Following(by)
        else:
            step = _Document(by) if isinstance(by, bytes) else by
        self._interruptions.put_nowait(step)

    async def run(self, document: bytes) -> Ending:
        """Run a document and all that follows it; return how the call ends."""
        step: Ending | Following | _Document = _Document(document)
        for _ in range(MAX_DOCUMENTS):
            if isinstance(step, Ending):
                return step
            step = await self._interruptible(step)
        return Ending("application-error", "carrier", f"more than {MAX_DOCUMENTS} documents")

    async def _interruptible(self, step: Following | _Document) -> Ending | Following | _Document:
        """Take one step, or what interrupts it."""
        running = asyncio.create_task(self._take(step))
        interrupted = asyncio.create_task(self._interruptions.get())
        both = {running, interrupted}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = [task for task in both if not task.done()]
            for task in left:
                task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if not interrupted.cancelled():
            self._call.timeline.note("document interrupted")
            return interrupted.result()
        return running.result()

    async def _take(self, step: Following | _Document) -> Ending | Following | _Document:
        try:
            if isinstance(step, Following):
                return _Document(await self._follow(step))
            return await self._run_document(step.content)
        except InvalidBxmlError as error:
            return Ending("invalid-bxml", "carrier", error.explanation)
        except CallbackFailedError as error:
            return Ending("callback-error", "carrier", error.explanation)

    async def _run_document(self, document: bytes) -> Ending | Following:
        """Run a document's verbs; return what follows it."""
        for verb in steps(parse_bxml(document)):
            self._call.timeline.note("verb", type(verb).__name__ + _particulars(verb))
            if isinstance(verb, Redirect):
                return Following(verb)
            if isinstance(verb, Hangup):
                break
            following = await self._performer.perform(verb, self._url)
            if following is not None:
                return Following(*following)
        return Ending("hangup", "bot")

    async def _follow(self, step: Following) -> bytes:
        """Return the document that is to be asked for, from its fallback URL when its own does not answer."""
        call, verb = self._call, step.redirect
        if verb.tag is not None:
            call.facts.tag = verb.tag
        payload = step.payload or webhooks.redirect(call.facts, call.now_utc())
        url = urljoin(self._url, verb.url)
        try:
            document = await call.delivery.ask(url, payload, method=verb.method, credentials=verb.credentials)
        except CallbackFailedError:
            if verb.fallback_url is None:
                raise
            url = urljoin(self._url, verb.fallback_url)
            document = await call.delivery.ask(
                url, payload, method=verb.fallback_method, credentials=verb.fallback_credentials
            )
        self._url = url
        return document


def _particulars(verb: Verb) -> str:
    match verb:
        case StartStream(name=name) if name:
            return f" {name}"
        case StopStream(name=name, wait=wait):
            return f" {name}{', waiting' if wait else ''}"
        case Pause(duration_s=duration_s) | Ring(duration_s=duration_s):
            return f" {duration_s:g} s"
        case Hangup(implicit=True):
            return " at the document's end"
        case _:
            return ""
