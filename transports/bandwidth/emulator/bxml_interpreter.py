"""What a BXML document makes the carrier do, without I/O.

An own reading of Bandwidth's BXML pages, so that an error in how the server writes BXML shows here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from xml.etree import ElementTree as Xml

from .bxml_elements import Attributes, Tree, childless, is_url, only_space, short
from .errors import InvalidBxmlError
from .verbs import (
    Gather,
    Hangup,
    Pause,
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
    Verb,
)

MAX_DOCUMENT_BYTES = 64 * 1024
MAX_STREAM_PARAMS = 12
MAX_PARAM_NAME = 256
MAX_PARAM_VALUE = 2_048
MAX_PAUSE_S = 86_400.0
MAX_TAG = 256
MAX_RECORD_S = 10_800.0
MAX_CALL_TIMEOUT_S = 300.0
MAX_TARGETS = 8


def parse_bxml(document: bytes) -> list[Verb]:
    """Return the verbs of a BXML document; an empty document has none.

    Raises:
        InvalidBxmlError: It is too large, no well-formed XML, has a DTD, or holds what is no BXML.
    """
    if len(document) > MAX_DOCUMENT_BYTES:
        raise InvalidBxmlError(f"the document has {len(document)} bytes, and {MAX_DOCUMENT_BYTES} are allowed")
    if not document.strip():
        return []
    root = Tree().parse(document)
    if root.tag != "Response":
        raise InvalidBxmlError(f"the root element is <{short(root.tag)}> and must be <Response>")
    only_space(root)
    return [_verb(element) for element in root]


def _verb(element: Xml.Element) -> Verb:
    read = _VERBS.get(element.tag)
    if read is None:
        raise InvalidBxmlError(f"<{short(element.tag)}> is no verb this carrier runs")
    attributes = Attributes(element)
    verb = read(element, attributes)
    attributes.none_left()
    return verb


def _start_stream(element: Xml.Element, attributes: Attributes) -> StartStream:
    destination = attributes.required("destination")
    if not is_url(destination) or not destination.lower().startswith(("ws://", "wss://")):
        raise InvalidBxmlError("<StartStream> has a destination that is no ws or wss URL")
    tracks = attributes.choice("tracks", "inbound", "outbound", "both")
    return StartStream(
        destination,
        name=attributes.take("name") or None,
        bidirectional=attributes.choice("mode", "unidirectional", "bidirectional") == "bidirectional",
        tracks=("inbound", "outbound") if tracks == "both" else (tracks,),
        credentials=attributes.credentials("destinationUsername", "destinationPassword"),
        event_url=attributes.url("streamEventUrl"),
        event_method=attributes.method("streamEventMethod"),
        event_credentials=attributes.credentials("username", "password"),
        params=_stream_params(element),
    )


def _stream_params(element: Xml.Element) -> dict[str, str]:
    only_space(element)
    params: dict[str, str] = {}
    for child in element:
        if child.tag != "StreamParam":
            raise InvalidBxmlError(
                f"<StartStream> holds <{short(child.tag)}>, and only <StreamParam> is allowed"
            )
        attributes = Attributes(child)
        name = attributes.text("name", MAX_PARAM_NAME)
        value = attributes.text("value", MAX_PARAM_VALUE)
        attributes.none_left()
        childless(child)
        if not name or value is None:
            raise InvalidBxmlError("<StreamParam> has no name, or no value")
        if name in params:
            raise InvalidBxmlError("two <StreamParam> of one stream have the same name")
        params[name] = value
    if len(params) > MAX_STREAM_PARAMS:
        raise InvalidBxmlError(
            f"<StartStream> holds {len(params)} <StreamParam>, and {MAX_STREAM_PARAMS} are allowed"
        )
    return params


def _stop_stream(element: Xml.Element, attributes: Attributes) -> StopStream:
    childless(element)
    return StopStream(attributes.required("name"), attributes.choice("wait", "false", "true") == "true")


def _redirect(element: Xml.Element, attributes: Attributes) -> Redirect:
    childless(element)
    redirect = _following(attributes, "redirect")
    if redirect is None:
        raise InvalidBxmlError("<Redirect> has no redirectUrl")
    return redirect


def _following(attributes: Attributes, event: str) -> Redirect | None:
    """Return where the document after an event comes from, if the element says so."""
    url = attributes.url(f"{event}Url")
    redirect = Redirect(
        url or "",
        method=attributes.method(f"{event}Method"),
        credentials=attributes.credentials("username", "password"),
        fallback_url=attributes.url(f"{event}FallbackUrl"),
        fallback_method=attributes.method(f"{event}FallbackMethod"),
        fallback_credentials=attributes.credentials("fallbackUsername", "fallbackPassword"),
        tag=attributes.text("tag", MAX_TAG),
    )
    return redirect if url else None


def _play_audio(element: Xml.Element, attributes: Attributes) -> PlayAudio:
    attributes.credentials("username", "password")
    url = (element.text or "").strip()
    if len(element) or not url or not is_url(url):
        raise InvalidBxmlError("<PlayAudio> holds no URL")
    return PlayAudio(url)


def _ring(element: Xml.Element, attributes: Attributes) -> Ring:
    childless(element)
    attributes.choice("answerCall", "true", "false")
    return Ring(attributes.number("duration", 5.0, 0.1, MAX_PAUSE_S))


def _transfer(element: Xml.Element, attributes: Attributes) -> Transfer:
    only_space(element)
    if not 1 <= len(element) <= MAX_TARGETS:
        raise InvalidBxmlError(f"<Transfer> holds {len(element)} targets, and 1 to {MAX_TARGETS} are allowed")
    caller_id = attributes.take("transferCallerId")
    attributes.skip("transferCallerDisplayName", "privacy", "diversionTreatment", "diversionReason")
    return Transfer(
        tuple(_target(child) for child in element),
        caller_id=caller_id,
        call_timeout_s=attributes.number("callTimeout", 30.0, 1.0, MAX_CALL_TIMEOUT_S),
        complete=_following(attributes, "transferComplete"),
    )


def _target(element: Xml.Element) -> str:
    """Return whom to ring; a document for them is none that this carrier runs."""
    target = (element.text or "").strip()
    starts = {"PhoneNumber": "+", "SipUri": "sip:"}.get(element.tag)
    if starts is None or len(element):
        raise InvalidBxmlError("<Transfer> holds what is neither <PhoneNumber> nor <SipUri>")
    if not target.startswith(starts):
        raise InvalidBxmlError(f"<{element.tag}> holds no number, or no URI, to transfer to")
    attributes = Attributes(element)
    attributes.skip("tag", "uui")
    attributes.none_left()
    return target


def _record(element: Xml.Element, attributes: Attributes) -> Record:
    childless(element)
    attributes.skip("terminatingDigits", "recordingName")
    attributes.choice("fileFormat", "wav", "mp3")
    url, method = attributes.url("recordingAvailableUrl"), attributes.method("recordingAvailableMethod")
    max_duration_s = attributes.number("maxDuration", 60.0, 1.0, MAX_RECORD_S)
    silence_timeout_s = attributes.number("silenceTimeout", 0.0, 0.0, MAX_RECORD_S)
    credentials = attributes.peek_credentials("username", "password")
    return Record(
        max_duration_s=max_duration_s,
        silence_timeout_s=silence_timeout_s,
        complete=_following(attributes, "recordComplete"),
        available=Redirect(url, method=method, credentials=credentials) if url else None,
    )


def _start_gather(element: Xml.Element, attributes: Attributes) -> StartGather:
    childless(element)
    url = attributes.url("dtmfUrl")
    if url is None:
        raise InvalidBxmlError("<StartGather> has no dtmfUrl")
    return StartGather(
        url,
        method=attributes.method("dtmfMethod"),
        credentials=attributes.credentials("username", "password"),
        tag=attributes.text("tag", MAX_TAG),
    )


def _stop_gather(element: Xml.Element, attributes: Attributes) -> StopGather:
    del attributes
    childless(element)
    return StopGather()


def _gather(element: Xml.Element, attributes: Attributes) -> Gather:
    attributes.choice("input", "dtmf", "dtmf_speech")
    attributes.skip("hints", "language", "partialResultCallback", "partialResultCallbackMethod")
    attributes.skip("profanityFilter", "speechModel", "speechTimeout")
    return Gather(
        _following(attributes, "gather"),
        prompts=_prompts(element),
        terminating_digits=attributes.text("terminatingDigits", 12) or "",
        max_digits=int(attributes.number("maxDigits", 50, 1, 50)),
        first_digit_timeout_s=attributes.number("firstDigitTimeout", 5, 0, 60),
        inter_digit_timeout_s=attributes.number("interDigitTimeout", 5, 1, 60),
        repeat_count=int(attributes.number("repeatCount", 1, 1, 100)),
    )


def _prompts(element: Xml.Element) -> tuple[SpeakSentence | PlayAudio, ...]:
    only_space(element)
    prompts: list[SpeakSentence | PlayAudio] = []
    for child in element:
        read = {"SpeakSentence": _speak_sentence, "PlayAudio": _play_audio}.get(child.tag)
        if read is None:
            raise InvalidBxmlError(f"<Gather> holds <{short(child.tag)}>, which is neither speech nor audio")
        attributes = Attributes(child)
        prompts.append(read(child, attributes))
        attributes.none_left()
    return tuple(prompts)


def _pause(element: Xml.Element, attributes: Attributes) -> Pause:
    childless(element)
    return Pause(attributes.number("duration", 1.0, 0.1, MAX_PAUSE_S))


def _speak_sentence(element: Xml.Element, attributes: Attributes) -> SpeakSentence:
    for name in ("voice", "gender", "locale"):
        attributes.take(name)
    text = " ".join("".join(element.itertext()).split())
    if not text:
        raise InvalidBxmlError("<SpeakSentence> has no text")
    return SpeakSentence(text)


def _tag(element: Xml.Element, attributes: Attributes) -> Tag:
    del attributes
    return Tag(element.text or "")


def _hangup(element: Xml.Element, attributes: Attributes) -> Hangup:
    del attributes
    childless(element)
    return Hangup()


_VERBS: Mapping[str, Callable[[Xml.Element, Attributes], Verb]] = {
    "StartStream": _start_stream,
    "StopStream": _stop_stream,
    "Redirect": _redirect,
    "Pause": _pause,
    "SpeakSentence": _speak_sentence,
    "PlayAudio": _play_audio,
    "Ring": _ring,
    "Transfer": _transfer,
    "Record": _record,
    "StartGather": _start_gather,
    "StopGather": _stop_gather,
    "Gather": _gather,
    "Tag": _tag,
    "Hangup": _hangup,
}
