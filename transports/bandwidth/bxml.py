"""BXML documents: Bandwidth's verbs, written so that text can never become a verb.

Verbs are built with the classes of Bandwidth's SDK (`bandwidth.models.bxml`). They are not written with its
`to_bxml`, which turns escaped text back into markup.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from .errors import BxmlLimitError, IllegalCharacterError, SsmlError

if TYPE_CHECKING:
    # The SDK takes most of a second to import, and whoever has a verb has imported it.
    from bandwidth.models.bxml.verb import Verb  # pyright: ignore[reportMissingTypeStubs]  it ships none

MAX_DOCUMENT_BYTES = 64 * 1024
MAX_PARAMS = 12
MAX_PARAM_NAME_LENGTH = 256
MAX_PARAM_VALUE_LENGTH = 2048

SSML_ELEMENTS = frozenset(
    "break emphasis lang mark p phoneme prosody s say-as speak sub w".split()  # noqa: SIM905  reads as a list
)
"""Elements of SSML 1.1 (w3.org/TR/speech-synthesis11) that change how text is spoken; none fetches a URL."""

# XML 1.0, section 2.2.
_ILLEGAL_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Ssml(str):
    """Text for `SpeakSentence` that is SSML markup. A plain `str` is spoken as it stands.

    Raises:
        SsmlError: It is not well-formed, or has an element that is not in `SSML_ELEMENTS`.
        IllegalCharacterError: It holds a character that XML can't carry.
    """

    __slots__ = ()

    def __new__(cls, markup: str) -> Ssml:
        """Check the markup."""
        _parse_ssml(markup)
        return super().__new__(cls, markup)


def to_bxml(verbs: Sequence[Verb]) -> str:
    """Return the BXML document of some verbs.

    Args:
        verbs: Verbs of `bandwidth.models.bxml`. Their texts and attributes are escaped; only an `Ssml` text is
            written as markup.

    Raises:
        IllegalCharacterError: A text or an attribute holds a character that XML can't carry.
        BxmlLimitError: The document, or a stream's parameters, exceed what Bandwidth takes.
    """
    root = ET.Element("Response")
    root.extend([_element(verb) for verb in verbs])
    document = ET.tostring(root, encoding="unicode")
    # A parser takes a raw carriage return for a line feed (XML 1.0, section 2.11).
    document = '<?xml version="1.0" encoding="UTF-8"?>' + document.replace("\r", "&#13;")
    size = len(document.encode())
    if size > MAX_DOCUMENT_BYTES:
        raise BxmlLimitError("bytes of the document", size, MAX_DOCUMENT_BYTES)
    return document


def _element(verb: Verb) -> ET.Element:
    """Return a verb as an element. The SDK keeps tag, attributes, text and nested verbs in private names."""
    tag = cast(str, vars(verb)["_tag"])
    text = cast("str | None", vars(verb).get("_content"))
    nested = cast("Sequence[Verb]", vars(verb).get("_nested_verbs") or ())
    if tag == "SpeakSentence" and isinstance(text, Ssml):
        element = _parse_ssml(text)
        element.tag = tag
    else:
        element = ET.Element(tag)
        element.text = None if text is None else _checked(str(text), tag)
    for name, value in _attributes(verb).items():
        element.set(name, _checked(value, f"{tag} {name}"))
    element.extend([_element(inner) for inner in nested])
    _check_params(element)
    return element


def _attributes(verb: Verb) -> Mapping[str, str]:
    given = cast("Mapping[str, Any] | None", getattr(verb, "_attributes")) or {}  # noqa: B009  private in the SDK
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if value is not None
    }


def _checked(text: str, where: str) -> str:
    illegal = _ILLEGAL_CHARACTER.search(text)
    if illegal is not None:
        raise IllegalCharacterError(where, ord(illegal.group()))
    return text


def _parse_ssml(markup: str) -> ET.Element:
    """Return an element that holds the markup's nodes."""
    _checked(markup, "SSML")
    try:
        element = ET.fromstring(f"<SpeakSentence>{markup}</SpeakSentence>")  # noqa: S314  no DTD can stand here
    except ET.ParseError as broken:
        raise SsmlError(f"not well-formed, {broken}") from None
    for inner in element.iter():
        if inner is not element and inner.tag not in SSML_ELEMENTS:
            raise SsmlError(f"<{inner.tag}> is no element of speech")
    return element


def _check_params(verb: ET.Element) -> None:
    """Hold the limits of StartStream's parameters; StartTranscription's are the same.

    Source: dev.bandwidth.com/docs/voice/programmable-voice/bxml/startStream.
    """
    params = [inner for inner in verb if inner.tag in ("StreamParam", "CustomParam")]
    if len(params) > MAX_PARAMS:
        raise BxmlLimitError(f"parameters of {verb.tag}", len(params), MAX_PARAMS)
    for param in params:
        for attribute, limit in (("name", MAX_PARAM_NAME_LENGTH), ("value", MAX_PARAM_VALUE_LENGTH)):
            length = len(param.get(attribute, ""))
            if length > limit:
                raise BxmlLimitError(f"characters of a {param.tag}'s {attribute}", length, limit)
