"""The BXML a call is answered with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bandwidth.models.bxml import (  # pyright: ignore[reportMissingTypeStubs]  it ships none
    Hangup,
    PhoneNumber,
    Record,
    Redirect,
    Ring,
    SipUri,
    SpeakSentence,
    StartStream,
    StopStream,
    Transfer,
)
from bandwidth.models.bxml.verb import Verb  # pyright: ignore[reportMissingTypeStubs]

from callpipe.transports.bandwidth.bxml import to_bxml

from .fallback import LetRing, SaySentence, Step, TransferTo, Voicemail
from .ongoing import Generation, OngoingCall
from .settings import ServingSettings

Chain = Literal["fallback", "busy"]
"""A bot's two chains of steps."""

RECORDING_NOTICE = "This call may be recorded."


def stream(
    serving: ServingSettings, call: OngoingCall, generation: Generation, *, notice: str | None = None
) -> str:
    """Return the BXML that opens a media stream and says where to go on when it has ended.

    `StopStream` with `wait` holds the document until the media socket closes; then the carrier comes to
    `/continue`. Source: dev.bandwidth.com/docs/voice/programmable-voice/bxml/stopStream.

    Args:
        serving: The server's public URL.
        call: The call.
        generation: The generation whose stream is to be opened.
        notice: What the carrier says to the caller first.
    """
    path = f"/bandwidth/{call.bot}"
    user = f"{call.call_id}.{generation.number}"
    verbs: list[Verb] = [] if notice is None else [SpeakSentence(notice)]
    verbs += [
        StartStream(
            destination=f"{serving.media_url}{path}/media",
            destination_username=user,
            destination_password=generation.token,
            name=generation.stream_name,
            mode="bidirectional",
            tracks="inbound",
            stream_event_url=f"{serving.public_url}{path}/stream",
            username=user,
            password=generation.webhook_password,
        ),
        StopStream(name=generation.stream_name, wait=True),
        Redirect(
            redirect_url=f"{serving.public_url}{path}/continue",
            username=user,
            password=generation.webhook_password,
            **_elsewhere(serving, call.bot, user, generation.webhook_password),
        ),
    ]
    return to_bxml(verbs)


def _elsewhere(serving: ServingSettings, bot: str, user: str, password: str) -> dict[str, str]:
    """Return where a Redirect goes that nobody of ours answers.

    Without another host it comes again, for the first may have been lost, or its server died with it; the
    answer is the same.
    """
    if serving.fallback_url is None:
        again = f"{serving.public_url}/bandwidth/{bot}/continue"
        return {"redirect_fallback_url": again, "fallback_username": user, "fallback_password": password}
    return {"redirect_fallback_url": f"{serving.fallback_url}/{bot}.xml", "redirect_fallback_method": "GET"}


def takes_long(document: str) -> bool:
    """Whether the carrier may be busy with a document for as long as people talk, and say nothing."""
    return "<Transfer" in document or "<Record" in document


def hang_up() -> str:
    """Return the BXML that ends a call."""
    return to_bxml([Hangup()])


@dataclass(frozen=True, slots=True)
class Told:
    """Where the carrier tells what became of a chain's steps.

    Attributes:
        url: The chain's URL; a step's number, from 0, comes behind it.
        serving: The credentials it brings: the application's, because it may tell of a call that is over.
    """

    url: str
    serving: ServingSettings


def told_of(serving: ServingSettings, bot: str, name: Chain) -> Told:
    """Return where the carrier tells of the steps of one of a bot's chains."""
    return Told(f"{serving.public_url}/bandwidth/{bot}/{name}", serving)


def fallback(steps: Sequence[Step], told: Told | None = None, *, first: int = 0) -> str:
    """Return the BXML of a fallback chain; when all its steps are done, the call ends.

    Where nobody is told, as in a document on another host, the step after a transfer follows also when it was
    answered and the callee has hung up first.

    Args:
        steps: The chain.
        told: Where the carrier tells what became of a transfer, and asks what follows; and of a voicemail.
        first: The number of the step to begin with.
    """
    verbs: list[Verb] = []
    for number, step in enumerate(steps[first:], first):
        verbs += _verbs(step, number, told)
        if isinstance(step, TransferTo) and told is not None:
            break  # the carrier asks what follows
    else:
        verbs.append(Hangup())
    return to_bxml(verbs)


def _verbs(step: Step, number: int, told: Told | None) -> Sequence[Verb]:
    transfer_told: dict[str, Any] = {}
    record_told: dict[str, Any] = {}
    if told is not None:
        serving, url = told.serving, f"{told.url}/{number}"
        credentials: dict[str, Any] = {
            "username": serving.webhook_username,
            "password": serving.webhook_password,
        }
        transfer_told = {"transfer_complete_url": url, **credentials}
        record_told = {"record_complete_url": url, "recording_available_url": url, **credentials}
    match step:
        case SaySentence(text=text):
            return [SpeakSentence(text)]
        case LetRing(duration_s=duration_s):
            return [Ring(duration=duration_s, answer_call=number > 0)]
        case TransferTo(target=target, ring_s=ring_s):
            callee = PhoneNumber(target) if target.startswith("+") else SipUri(target)
            return [Transfer(transfer_to=[callee], call_timeout=f"{ring_s:g}", **transfer_told)]
        case Voicemail():
            record = Record(max_duration=step.max_s, silence_timeout=str(step.silence_s), **record_told)
            return [SpeakSentence(step.prompt), record]
