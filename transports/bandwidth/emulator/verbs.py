"""What a carrier does about a call: BXML's verbs as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """What HTTP Basic authentication takes."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartStream:
    """Opens a media stream; the next verb runs at once.

    Attributes:
        destination: The ws or wss URL.
        name: The stream's name, None where the carrier gives it one.
        bidirectional: Whether the caller hears what the server sends.
        tracks: Which sides of the call are sent, of `inbound` and `outbound`.
        credentials: For the WebSocket's handshake.
        event_url: Where the stream's webhooks go.
        event_method: GET or POST.
        event_credentials: For these webhooks.
        params: Names and values for the start message.
    """

    destination: str
    name: str | None = None
    bidirectional: bool = False
    tracks: tuple[str, ...] = ("inbound",)
    credentials: Credentials | None = None
    event_url: str | None = None
    event_method: str = "POST"
    event_credentials: Credentials | None = None
    params: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True)
class StopStream:
    """Ends a media stream, or with `wait` waits until the server has ended it."""

    name: str
    wait: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """Fetches the next document; when that fails, from the fallback URL if there is one.

    Also what other verbs say of the document that follows them.
    """

    url: str
    method: str = "POST"
    credentials: Credentials | None = None
    fallback_url: str | None = None
    fallback_method: str = "POST"
    fallback_credentials: Credentials | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Does nothing for so many seconds."""

    duration_s: float = 1.0


@dataclass(frozen=True, slots=True)
class SpeakSentence:
    """Speaks a text to the caller; SSML elements are left out of it."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Plays a file of somebody's to the caller; here it is noted and heard as a moment of silence."""

    url: str


@dataclass(frozen=True, slots=True)
class Ring:
    """Lets the caller hear it ring."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """Rings others, and connects the caller with the first of them who answers.

    Attributes:
        targets: Phone numbers and SIP URIs, rung at once.
        caller_id: What they see; the caller's own number when None.
        call_timeout_s: How long they are rung.
        complete: Where the next document comes from; without it the next verb runs.
    """

    targets: tuple[str, ...] = field(repr=False)
    caller_id: str | None = field(default=None, repr=False)
    call_timeout_s: float = 30.0
    complete: Redirect | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """Records what the caller says until they hang up, fall silent or take too long.

    Attributes:
        max_duration_s: How long it may get.
        silence_timeout_s: After how much silence it ends; 0 for never.
        complete: Where the next document comes from; without it the next verb runs. Nobody asks when the
            caller has hung up.
        available: Where is told that the recording can be had.
    """

    max_duration_s: float = 60.0
    silence_timeout_s: float = 0.0
    complete: Redirect | None = None
    available: Redirect | None = None


@dataclass(frozen=True, slots=True)
class StartGather:
    """Tells of each key from now on, beside the other verbs.

    Attributes:
        url: Where the `dtmf` webhooks go.
        method: GET or POST.
        credentials: For these webhooks.
        tag: What they carry.
    """

    url: str
    method: str = "POST"
    credentials: Credentials | None = None
    tag: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StopGather:
    """Ends what `StartGather` began."""


@dataclass(frozen=True, slots=True)
class Gather:
    """Waits for keys, while it speaks, and fetches the next document with them.

    Attributes:
        then: Where the digits go and the next document comes from; None goes on with the next verb.
        prompts: What is spoken meanwhile; the first key silences it.
        terminating_digits: Keys that end it.
        max_digits: Keys after which it ends.
        first_digit_timeout_s: How long it waits for the first key.
        inter_digit_timeout_s: How long it waits for each further one.
        repeat_count: How often it speaks and waits when nothing is pressed.
    """

    then: Redirect | None
    prompts: tuple[SpeakSentence | PlayAudio, ...] = ()
    terminating_digits: str = ""
    max_digits: int = 50
    first_digit_timeout_s: float = 5.0
    inter_digit_timeout_s: float = 5.0
    repeat_count: int = 1


@dataclass(frozen=True, slots=True)
class Tag:
    """Sets the tag that all later webhooks carry."""

    tag: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Hangup:
    """Ends the call.

    Attributes:
        implicit: Whether it stands for the document's end.
    """

    implicit: bool = False


PerformedVerb = (
    StartStream | StopStream | Pause | SpeakSentence | PlayAudio | Ring | Transfer | Record
    | StartGather | StopGather | Gather | Tag
)  # fmt: skip
"""The verbs that something follows in their document."""

Verb = PerformedVerb | Redirect | Hangup


def steps(verbs: Sequence[Verb]) -> Iterator[Verb]:
    """Yield the verbs in the order the carrier runs them; the last is a Redirect or a Hangup.

    Nothing runs after a Redirect or a Hangup, and the end of a document hangs up.
    """
    for verb in verbs:
        yield verb
        if isinstance(verb, Redirect | Hangup):
            return
    yield Hangup(implicit=True)
