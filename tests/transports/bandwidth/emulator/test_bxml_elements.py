"""BXML's attributes have Bandwidth's bounds and defaults, and nothing else is taken for BXML."""

from __future__ import annotations

import pytest

from callpipe.transports.bandwidth.emulator.bxml_elements import Attributes, Tree, is_url, short
from callpipe.transports.bandwidth.emulator.bxml_interpreter import parse_bxml
from callpipe.transports.bandwidth.emulator.errors import InvalidBxmlError
from callpipe.transports.bandwidth.emulator.verbs import (
    Credentials,
    Gather,
    Pause,
    Record,
    Ring,
    SpeakSentence,
    StartGather,
    StopGather,
    Transfer,
)

MAX_DEPTH = 32

GATHER = '<Gather gatherUrl="/g" {}="{}"/>'
TRANSFER = '<Transfer {}="{}"><PhoneNumber>+15550100</PhoneNumber></Transfer>'
TARGET = "<PhoneNumber>+15550100</PhoneNumber>"


def response(inside: str) -> bytes:
    return f"<Response>{inside}</Response>".encode()


def element(inside: str) -> Attributes:
    return Attributes(Tree().parse(inside.encode()))


@pytest.mark.parametrize(
    ("verb", "name", "allowed", "refused"),
    [
        ('<Pause {}="{}"/>', "duration", ("0.1", "86400"), ("0.09", "86400.1", "nan", "long", "")),
        ('<Ring {}="{}"/>', "duration", ("0.1", "86400"), ("0.09", "86400.1")),
        (TRANSFER, "callTimeout", ("1", "300"), ("0.9", "300.1")),
        ('<Record {}="{}"/>', "maxDuration", ("1", "10800"), ("0.9", "10800.1")),
        ('<Record {}="{}"/>', "silenceTimeout", ("0", "10800"), ("-0.1", "10800.1")),
        (GATHER, "maxDigits", ("1", "50"), ("0", "51")),
        (GATHER, "firstDigitTimeout", ("0", "60"), ("-0.1", "60.1")),
        (GATHER, "interDigitTimeout", ("1", "60"), ("0.9", "60.1")),
        (GATHER, "repeatCount", ("1", "100"), ("0", "101")),
        (GATHER, "terminatingDigits", ("", "0" * 12), ("0" * 13,)),
        ('<StartGather dtmfUrl="/d" {}="{}"/>', "tag", ("", "t" * 256), ("t" * 257,)),
        ('<Redirect redirectUrl="/r" {}="{}"/>', "tag", ("", "t" * 256), ("t" * 257,)),
        ('<Redirect redirectUrl="/r" {}="{}"/>', "redirectMethod", ("GET", "POST"), ("PUT",)),
        ('<Ring {}="{}"/>', "answerCall", ("true", "false"), ("maybe",)),
        ('<Record {}="{}"/>', "fileFormat", ("wav", "mp3"), ("ogg",)),
        (GATHER, "input", ("dtmf", "dtmf_speech"), ("speech",)),
    ],
)
def test_an_attributes_bounds_are_held(
    verb: str, name: str, allowed: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    for value in allowed:
        assert len(parse_bxml(response(verb.format(name, value)))) == 1
    for value in refused:
        with pytest.raises(InvalidBxmlError):
            parse_bxml(response(verb.format(name, value)))


def test_what_is_not_given_is_as_with_bandwidth() -> None:
    gathers = '<Gather/><StartGather dtmfUrl="/d"/><StopGather/>'
    inside = f"<Pause/><Ring/><Transfer>{TARGET}</Transfer><Record/>{gathers}"
    assert parse_bxml(response(inside)) == [
        Pause(1.0),
        Ring(5.0),
        Transfer(("+15550100",), None, 30.0, None),
        Record(60.0, 0.0, None, None),
        Gather(None, (), "", 50, 5.0, 5.0, 1),
        StartGather("/d", "POST", None, None),
        StopGather(),
    ]


@pytest.mark.parametrize(("targets", "right"), [(0, False), (1, True), (8, True), (9, False)])
def test_a_transfer_rings_one_to_eight(targets: int, right: bool) -> None:
    document = response(f"<Transfer>{TARGET * targets}</Transfer>")
    if right:
        assert parse_bxml(document) == [Transfer(("+15550100",) * targets)]
        return
    with pytest.raises(InvalidBxmlError, match=f"{targets} targets"):
        parse_bxml(document)


@pytest.mark.parametrize(
    "inside",
    [
        "<Transfer><PhoneNumber>15550100</PhoneNumber></Transfer>",
        "<Transfer><SipUri>+15550100</SipUri></Transfer>",
        "<Transfer><PhoneNumber>+1<b/></PhoneNumber></Transfer>",
        "<Transfer><Person>+15550100</Person></Transfer>",
        '<Transfer><PhoneNumber nickname="n">+15550100</PhoneNumber></Transfer>',
        f"<Transfer>or {TARGET}</Transfer>",
        f"<Transfer>{TARGET} or</Transfer>",
        "<Gather><Pause/></Gather>",
        '<Gather><SpeakSentence colour="red">Hello</SpeakSentence></Gather>',
        "<Gather>Hello</Gather>",
        "<StartGather/>",
        "<StopGather><Pause/></StopGather>",
        "<Hangup>now</Hangup>",
    ],
)
def test_what_does_not_belong_in_a_verb_is_refused(inside: str) -> None:
    with pytest.raises(InvalidBxmlError):
        parse_bxml(response(inside))


def test_a_gather_speaks_its_prompts() -> None:
    (gather,) = parse_bxml(response("<Gather> <SpeakSentence>Press one.</SpeakSentence> </Gather>"))
    assert gather == Gather(None, (SpeakSentence("Press one."),))


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1])
def test_elements_are_nested_so_deep_and_no_deeper(depth: int) -> None:
    document = ("<a>" * depth + "</a>" * depth).encode()
    if depth <= MAX_DEPTH:
        assert Tree().parse(document).tag == "a"
        return
    with pytest.raises(InvalidBxmlError, match="deeper than 32"):
        Tree().parse(document)


def test_elements_beside_each_other_are_not_nested() -> None:
    assert len(Tree().parse(b"<a>" + b"<b/>" * 100 + b"</a>")) == 100


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("<a/>", None),
        ('<a u="n" p="s"/>', Credentials("n", "s")),
        ('<a u="n"/>', Credentials("n", "")),
        ('<a p="s"/>', Credentials("", "s")),
    ],
)
def test_credentials_are_read_when_any_are_given(given: str, read: Credentials | None) -> None:
    attributes = element(given)
    assert attributes.peek_credentials("u", "p") == read
    assert attributes.credentials("u", "p") == read
    attributes.none_left()


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("https://a.example:443/x?y=1", True),
        ("/continue", True),
        ("continue", True),
        ("https:///x", False),
        ("https://a.example:0/", False),
        ("https://a.example:65536/", False),
        ("https://a.example:https/", False),
        ("/a b", False),
        ("/a\tb", False),
    ],
)
def test_a_url_is_absolute_or_relative_and_has_a_host_and_a_port_that_can_be(written: str, right: bool) -> None:
    assert is_url(written) is right


@pytest.mark.parametrize(("length", "told"), [(40, "n" * 40), (41, "n" * 40 + "…")])
def test_long_names_are_cut_where_they_are_told(length: int, told: str) -> None:
    assert short("n" * length) == told
