"""The BXML a call is answered with."""

from __future__ import annotations

from bandwidth.models.bxml import (  # pyright: ignore[reportMissingTypeStubs]  it ships none
    Hangup,
    Redirect,
    SpeakSentence,
    StartStream,
    StopStream,
)
from bandwidth.models.bxml.verb import Verb  # pyright: ignore[reportMissingTypeStubs]

from callpipe.transports.bandwidth.bxml import to_bxml

from .ongoing import Generation, OngoingCall
from .settings import ServingSettings

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
        ),
    ]
    return to_bxml(verbs)


def hang_up() -> str:
    """Return the BXML that ends a call."""
    return to_bxml([Hangup()])


def apology(sentence: str) -> str:
    """Return the BXML that says a sentence and ends the call."""
    return to_bxml([SpeakSentence(sentence), Hangup()])
