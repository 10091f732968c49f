"""What a BXML document makes the carrier do, without I/O.

An own reading of Bandwidth's BXML pages, so that an error in how the server writes BXML shows here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.etree import ElementTree as Xml
from xml.parsers import expat

from .errors import InvalidBxmlError

MAX_DOCUMENT_BYTES = 64 * 1024
MAX_STREAM_PARAMS = 12
MAX_PARAM_NAME = 256
MAX_PARAM_VALUE = 2_048
MAX_PAUSE_S = 86_400.0
MAX_TAG = 256
MAX_DEPTH = 32


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
    """Fetches the next document; when that fails, from the fallback URL if there is one."""

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


Verb = StartStream | StopStream | Redirect | Pause | SpeakSentence | Tag | Hangup


def steps(verbs: Sequence[Verb]) -> Iterator[Verb]:
    """Yield the verbs in the order the carrier runs them; the last is a Redirect or a Hangup.

    Nothing runs after a Redirect or a Hangup, and the end of a document hangs up.
    """
    for verb in verbs:
        yield verb
        if isinstance(verb, Redirect | Hangup):
            return
    yield Hangup(implicit=True)


def parse_bxml(document: bytes) -> list[Verb]:
    """Return the verbs of a BXML document; an empty document has none.

    Raises:
        InvalidBxmlError: It is too large, no well-formed XML, has a DTD, or holds what is no BXML.
    """
    if len(document) > MAX_DOCUMENT_BYTES:
        raise InvalidBxmlError(f"the document has {len(document)} bytes, and {MAX_DOCUMENT_BYTES} are allowed")
    if not document.strip():
        return []
    root = _Tree().parse(document)
    if root.tag != "Response":
        raise InvalidBxmlError(f"the root element is <{_short(root.tag)}> and must be <Response>")
    _only_space(root)
    return [_verb(element) for element in root]


class _Tree:
    """Builds an element tree from XML that has no DTD, hence no entities of its own."""

    def __init__(self) -> None:
        self._builder = Xml.TreeBuilder()
        self._depth = 0

    def parse(self, document: bytes) -> Xml.Element:
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._refuse_dtd
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._builder.data
        try:
            parser.Parse(document, True)
        except expat.ExpatError as error:
            raise InvalidBxmlError(f"no well-formed XML: {error}") from error
        except (ValueError, LookupError) as error:
            raise InvalidBxmlError("the XML declaration names an encoding that can't be read") from error
        return self._builder.close()

    def _refuse_dtd(self, *_: object) -> None:
        raise InvalidBxmlError("the document has a DTD, and none is allowed")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidBxmlError(f"elements are nested deeper than {MAX_DEPTH}")
        self._builder.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self._builder.end(tag)


class _Attributes:
    """The attributes of one element, each taken once; what is left over is no BXML."""

    def __init__(self, element: Xml.Element) -> None:
        self._tag = element.tag
        self._left = dict(element.attrib)

    def take(self, name: str) -> str | None:
        return self._left.pop(name, None)

    def required(self, name: str) -> str:
        value = self.take(name)
        if not value:
            raise InvalidBxmlError(f"<{self._tag}> has no {name}")
        return value

    def choice(self, name: str, default: str, *others: str) -> str:
        value = self.take(name)
        if value is not None and value not in (default, *others):
            raise InvalidBxmlError(
                f"<{self._tag}> has a {name} that is none of {', '.join((default, *others))}"
            )
        return value or default

    def number(self, name: str, default: float, least: float, most: float) -> float:
        written = self.take(name)
        try:
            value = default if written is None else float(written)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise InvalidBxmlError(f"<{self._tag}> has a {name} that is no number from {least:g} to {most:g}")
        return value

    def url(self, name: str) -> str | None:
        url = self.take(name) or None
        if url is not None and not _is_url(url):
            raise InvalidBxmlError(f"<{self._tag}> has a {name} that is no URL")
        return url

    def method(self, name: str) -> str:
        return self.choice(name, "POST", "GET")

    def credentials(self, username: str, password: str) -> Credentials | None:
        given = self.take(username), self.take(password)
        return None if given == (None, None) else Credentials(given[0] or "", given[1] or "")

    def text(self, name: str, most: int) -> str | None:
        value = self.take(name)
        if value is not None and len(value) > most:
            raise InvalidBxmlError(
                f"<{self._tag}> has a {name} of {len(value)} characters, and {most} are allowed"
            )
        return value

    def none_left(self) -> None:
        if self._left:
            raise InvalidBxmlError(f"<{self._tag}> has no attribute {_short(next(iter(self._left)))}")


def _verb(element: Xml.Element) -> Verb:
    read = _VERBS.get(element.tag)
    if read is None:
        raise InvalidBxmlError(f"<{_short(element.tag)}> is no verb this carrier runs")
    attributes = _Attributes(element)
    verb = read(element, attributes)
    attributes.none_left()
    return verb


def _start_stream(element: Xml.Element, attributes: _Attributes) -> StartStream:
    destination = attributes.required("destination")
    if not _is_url(destination) or not destination.lower().startswith(("ws://", "wss://")):
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
    _only_space(element)
    params: dict[str, str] = {}
    for child in element:
        if child.tag != "StreamParam":
            raise InvalidBxmlError(
                f"<StartStream> holds <{_short(child.tag)}>, and only <StreamParam> is allowed"
            )
        attributes = _Attributes(child)
        name = attributes.text("name", MAX_PARAM_NAME)
        value = attributes.text("value", MAX_PARAM_VALUE)
        attributes.none_left()
        _childless(child)
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


def _stop_stream(element: Xml.Element, attributes: _Attributes) -> StopStream:
    _childless(element)
    return StopStream(attributes.required("name"), attributes.choice("wait", "false", "true") == "true")


def _redirect(element: Xml.Element, attributes: _Attributes) -> Redirect:
    _childless(element)
    url = attributes.url("redirectUrl")
    if url is None:
        raise InvalidBxmlError("<Redirect> has no redirectUrl")
    return Redirect(
        url,
        method=attributes.method("redirectMethod"),
        credentials=attributes.credentials("username", "password"),
        fallback_url=attributes.url("redirectFallbackUrl"),
        fallback_method=attributes.method("redirectFallbackMethod"),
        fallback_credentials=attributes.credentials("fallbackUsername", "fallbackPassword"),
        tag=attributes.text("tag", MAX_TAG),
    )


def _pause(element: Xml.Element, attributes: _Attributes) -> Pause:
    _childless(element)
    return Pause(attributes.number("duration", 1.0, 0.1, MAX_PAUSE_S))


def _speak_sentence(element: Xml.Element, attributes: _Attributes) -> SpeakSentence:
    for name in ("voice", "gender", "locale"):
        attributes.take(name)
    text = " ".join("".join(element.itertext()).split())
    if not text:
        raise InvalidBxmlError("<SpeakSentence> has no text")
    return SpeakSentence(text)


def _tag(element: Xml.Element, attributes: _Attributes) -> Tag:
    del attributes
    return Tag(element.text or "")


def _hangup(element: Xml.Element, attributes: _Attributes) -> Hangup:
    del attributes
    _childless(element)
    return Hangup()


_VERBS: Mapping[str, Callable[[Xml.Element, _Attributes], Verb]] = {
    "StartStream": _start_stream,
    "StopStream": _stop_stream,
    "Redirect": _redirect,
    "Pause": _pause,
    "SpeakSentence": _speak_sentence,
    "Tag": _tag,
    "Hangup": _hangup,
}


def _childless(element: Xml.Element) -> None:
    _only_space(element)
    if len(element):
        raise InvalidBxmlError(f"<{element.tag}> holds <{_short(element[0].tag)}>, and nothing is allowed")


def _only_space(element: Xml.Element) -> None:
    """Refuse text where only elements belong."""
    texts = [element.text, *(child.tail for child in element)]
    if any(text and text.strip() for text in texts):
        raise InvalidBxmlError(f"<{element.tag}> holds text, and none is allowed")


def _is_url(written: str) -> bool:
    """Say whether it is an absolute or a relative URL with nothing in it that has no place in one."""
    try:
        parts = urlsplit(written)
        port_is_right = parts.port != 0  # reading it raises for one that is no number, or too large
    except ValueError:
        return False
    has_host = bool(parts.hostname) or not parts.scheme
    return port_is_right and has_host and written.isprintable() and " " not in written


def _short(name: str) -> str:
    """Return a name of the document, short enough to print."""
    return name if len(name) <= 40 else name[:40] + "…"
