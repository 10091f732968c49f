"""Runs a call's documents, verb by verb, until one of them ends the call."""

from __future__ import annotations

import asyncio
from urllib.parse import urljoin

from ...audio.formats import PCM_8K
from . import webhooks
from .bxml_interpreter import (
    Hangup,
    Pause,
    Redirect,
    SpeakSentence,
    StartStream,
    StopStream,
    Tag,
    Verb,
    parse_bxml,
    steps,
)
from .errors import CallbackFailedError, InvalidBxmlError, PlayoutFullError
from .line import PTIME_MS
from .ongoing import OngoingCall
from .playout import PlayoutBuffer
from .report import Ending
from .speech import spoken, unspoken
from .streams import MediaStreams

MAX_DOCUMENTS = 1_000
"""Documents of one call; a Redirect to itself would go on for ever."""


class BxmlRunner:
    """Runs the documents of one call.

    Args:
        call: The call.
        streams: Its media streams.
        playout: What its caller hears.
    """

    def __init__(self, call: OngoingCall, streams: MediaStreams, playout: PlayoutBuffer) -> None:
        self._call = call
        self._streams = streams
        self._playout = playout

    async def run(self, document: bytes, url: str) -> Ending:
        """Run a document and all that its Redirects lead to; return how the call ends.

        Args:
            document: The first document.
            url: Where it came from; what relative URLs in it are relative to.
        """
        for _ in range(MAX_DOCUMENTS):
            try:
                redirect = await self._run_document(document, url)
                if redirect is None:
                    return Ending("hangup", "bot")
                document, url = await self._follow(redirect, url)
            except InvalidBxmlError as error:
                return Ending("invalid-bxml", "carrier", error.explanation)
            except CallbackFailedError as error:
                return Ending("callback-error", "carrier", error.explanation)
        return Ending("application-error", "carrier", f"more than {MAX_DOCUMENTS} documents")

    async def _run_document(self, document: bytes, url: str) -> Redirect | None:
        """Run a document's verbs; return its Redirect, or None when it hangs up."""
        for verb in steps(parse_bxml(document)):
            self._call.timeline.note("verb", type(verb).__name__ + _particulars(verb))
            if isinstance(verb, Redirect):
                return verb
            if isinstance(verb, Hangup):
                break
            await self._run_verb(verb, url)
        return None

    async def _run_verb(self, verb: StartStream | StopStream | Pause | SpeakSentence | Tag, url: str) -> None:
        match verb:
            case StartStream():
                self._streams.start(verb, url)
            case StopStream(name=name, wait=True):
                await self._streams.wait(name)
            case StopStream(name=name):
                await self._streams.stop(name)
            case Pause(duration_s=duration_s):
                await asyncio.sleep(duration_s)
            case SpeakSentence(text=text):
                await self._speak(text)
            case Tag(tag=tag):
                self._call.facts.tag = tag

    async def _speak(self, text: str) -> None:
        settings = self._call.settings
        voice = settings.announcer
        pcm = await settings.run_blocking(lambda: spoken(text, voice)) if voice else unspoken(text)
        self._call.timeline.note("carrier speaks", f"{len(pcm) // 16} ms", text)
        try:
            self._playout.play_audio(pcm, PCM_8K, settings.clock())
        except PlayoutFullError as error:
            self._call.report.protocol_errors.append(str(error))
            return
        # The caller's leg plays, packet by packet; a clear may end it early.
        while left_ms := self._playout.unheard_ms:  # noqa: ASYNC110
            await asyncio.sleep(max(left_ms, PTIME_MS) / 1000)

    async def _follow(self, verb: Redirect, base: str) -> tuple[bytes, str]:
        """Return the document a Redirect leads to, and its URL."""
        call = self._call
        if verb.tag is not None:
            call.facts.tag = verb.tag
        payload = webhooks.redirect(call.facts, call.now_utc())
        url = urljoin(base, verb.url)
        try:
            return await call.delivery.ask(url, payload, method=verb.method, credentials=verb.credentials), url
        except CallbackFailedError:
            if verb.fallback_url is None:
                raise
        url = urljoin(base, verb.fallback_url)
        return await call.delivery.ask(
            url, payload, method=verb.fallback_method, credentials=verb.fallback_credentials
        ), url


def _particulars(verb: Verb) -> str:
    match verb:
        case StartStream(name=name) if name:
            return f" {name}"
        case StopStream(name=name, wait=wait):
            return f" {name}{', waiting' if wait else ''}"
        case Pause(duration_s=duration_s):
            return f" {duration_s:g} s"
        case Hangup(implicit=True):
            return " at the document's end"
        case _:
            return ""
