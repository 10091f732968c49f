"""BXML as XML: elements without a DTD, and attributes that are taken once."""

from __future__ import annotations

from urllib.parse import urlsplit
from xml.etree import ElementTree as Xml
from xml.parsers import expat

from .errors import InvalidBxmlError
from .verbs import Credentials

MAX_DEPTH = 32


class Tree:
    """Builds an element tree from XML that has no DTD, hence no entities of its own.

    Raises:
        InvalidBxmlError: By `parse`: it is no such XML.
    """

    def __init__(self) -> None:
        self._builder = Xml.TreeBuilder()
        self._depth = 0

    def parse(self, document: bytes) -> Xml.Element:
        """Return the root element of a document."""
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


class Attributes:
    """The attributes of one element, each taken once; what is left over is no BXML.

    Its methods raise `InvalidBxmlError` for what is not as it has to be.
    """

    def __init__(self, element: Xml.Element) -> None:
        self._tag = element.tag
        self._left = dict(element.attrib)

    def take(self, name: str) -> str | None:
        """Return an attribute, None when it is not given."""
        return self._left.pop(name, None)

    def required(self, name: str) -> str:
        """Return an attribute that has to be given."""
        value = self.take(name)
        if not value:
            raise InvalidBxmlError(f"<{self._tag}> has no {name}")
        return value

    def choice(self, name: str, default: str, *others: str) -> str:
        """Return an attribute that has one of some values."""
        value = self.take(name)
        if value is not None and value not in (default, *others):
            raise InvalidBxmlError(
                f"<{self._tag}> has a {name} that is none of {', '.join((default, *others))}"
            )
        return value or default

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """Return an attribute that is a number within bounds."""
        written = self.take(name)
        try:
            value = default if written is None else float(written)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise InvalidBxmlError(f"<{self._tag}> has a {name} that is no number from {least:g} to {most:g}")
        return value

    def url(self, name: str) -> str | None:
        """Return an attribute that is a URL, absolute or relative."""
        url = self.take(name) or None
        if url is not None and not is_url(url):
            raise InvalidBxmlError(f"<{self._tag}> has a {name} that is no URL")
        return url

    def method(self, name: str) -> str:
        """Return an attribute that is an HTTP method."""
        return self.choice(name, "POST", "GET")

    def credentials(self, username: str, password: str) -> Credentials | None:
        """Return the credentials that two attributes hold."""
        given = self.take(username), self.take(password)
        return None if given == (None, None) else Credentials(given[0] or "", given[1] or "")

    def peek_credentials(self, username: str, password: str) -> Credentials | None:
        """Return credentials that another callback of the element takes as well."""
        given = self._left.get(username), self._left.get(password)
        return None if given == (None, None) else Credentials(given[0] or "", given[1] or "")

    def text(self, name: str, most: int) -> str | None:
        """Return an attribute of so many characters at the most."""
        value = self.take(name)
        if value is not None and len(value) > most:
            raise InvalidBxmlError(
                f"<{self._tag}> has a {name} of {len(value)} characters, and {most} are allowed"
            )
        return value

    def skip(self, *names: str) -> None:
        """Take attributes that make no difference here."""
        for name in names:
            self.take(name)

    def none_left(self) -> None:
        """Refuse what was not taken."""
        if self._left:
            raise InvalidBxmlError(f"<{self._tag}> has no attribute {short(next(iter(self._left)))}")


def childless(element: Xml.Element) -> None:
    """Refuse anything within an element."""
    only_space(element)
    if len(element):
        raise InvalidBxmlError(f"<{element.tag}> holds <{short(element[0].tag)}>, and nothing is allowed")


def only_space(element: Xml.Element) -> None:
    """Refuse text where only elements belong."""
    texts = [element.text, *(child.tail for child in element)]
    if any(text and text.strip() for text in texts):
        raise InvalidBxmlError(f"<{element.tag}> holds text, and none is allowed")


def is_url(written: str) -> bool:
    """Say whether it is an absolute or a relative URL with nothing in it that has no place in one."""
    try:
        parts = urlsplit(written)
        port_is_right = parts.port != 0  # reading it raises for one that is no number, or too large
    except ValueError:
        return False
    has_host = bool(parts.hostname) or not parts.scheme
    return port_is_right and has_host and written.isprintable() and " " not in written


def short(name: str) -> str:
    """Return a name of the document, short enough to print."""
    return name if len(name) <= 40 else name[:40] + "…"
