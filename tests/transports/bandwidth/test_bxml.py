"""BXML: golden documents, and no text that ever becomes a verb."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# The SDK is untyped.

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import pytest
from bandwidth.models.bxml import (
    Gather,
    Hangup,
    Pause,
    PhoneNumber,
    Redirect,
    SendDtmf,
    SpeakSentence,
    StartStream,
    StopStream,
    StreamParam,
    Tag,
    Transfer,
)
from bandwidth.models.bxml.verb import Verb
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callpipe.transports.bandwidth.bxml import Ssml, to_bxml
from callpipe.transports.bandwidth.errors import BxmlLimitError, IllegalCharacterError, SsmlError

MAX_DOCUMENT_BYTES = 64 * 1024

PACKETS = Path(__file__).parents[2] / "packets" / "bandwidth"

INJECTION = "</SpeakSentence><Transfer><PhoneNumber>+19005551234</PhoneNumber></Transfer><SpeakSentence>"

GOLDEN: dict[str, Sequence[Verb]] = {
    "stream": [
        SpeakSentence("This call may be recorded."),
        StartStream(
            destination="wss://bot.example/bandwidth/front-desk/media?a=1&b=2",
            destination_username="c-1.1",
            destination_password="s<e>c'r\"et",
            name="front-desk.1",
            mode="bidirectional",
            tracks="inbound",
            stream_event_url="https://bot.example/stream",
            username="c-1.1",
            password="w",
            stream_params=[StreamParam("generation", "1"), StreamParam("caller", 'Bob <b@x> & "co"')],
        ),
        StopStream(name="front-desk.1", wait=True),
        Redirect(redirect_url="https://bot.example/continue", username="c-1.1", password="w"),
    ],
    "transfer": [
        SpeakSentence("Connecting you."),
        Transfer(
            [PhoneNumber("+15551230004", transfer_answer_url="/whisper", tag="a&b")],
            transfer_caller_id="+15551230002",
            transfer_complete_url="/continue",
            privacy=False,
        ),
        Hangup(),
    ],
    "gather": [
        Gather([SpeakSentence("Your code, please.", voice="julie")], gather_url="/continue", max_digits=4),
        Pause(duration=2),
        SendDtmf("12#"),
        Tag("a\tb\r\nc"),
    ],
    "ssml": [
        SpeakSentence(
            Ssml('Call <say-as interpret-as="telephone">555-0100</say-as> <break time="1s"/>now &amp; here.')
        ),
        SpeakSentence("a < b, said <b>Bob</b> &amp; co"),
    ],
    "injection": [SpeakSentence(INJECTION), Tag("</Tag><Hangup/><Tag>")],
    "nothing": [],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_documents(name: str) -> None:
    assert to_bxml(GOLDEN[name]) == (PACKETS / f"bxml_{name}.xml").read_text().rstrip("\n")


def test_markup_in_a_text_is_spoken_not_done() -> None:
    root = ET.fromstring(to_bxml([SpeakSentence(INJECTION), Hangup()]))
    assert [verb.tag for verb in root] == ["SpeakSentence", "Hangup"]
    assert root[0].text == INJECTION


# Every character that XML has a place for.
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
        lambda character: character >= " " or character in "\t\n\r"
    ),
    max_size=200,
)


@settings(max_examples=500, deadline=None)
@given(text=TEXTS, name=TEXTS, number=TEXTS)
@example(text=INJECTION, name='"/><Hangup/>', number="</PhoneNumber><SipUri>")
@example(text="&lt;Hangup/&gt;", name="a\r\n\tb", number="<![CDATA[<Hangup/>]]>")
@example(text="\x85\u2028", name="\x7f", number="<!-- -->")
def test_any_text_comes_back_and_adds_no_verb(text: str, name: str, number: str) -> None:
    verbs = [
        SpeakSentence(text, voice=name),
        StartStream(destination=text, name=name, stream_params=[StreamParam(name, text)]),
        Transfer([PhoneNumber(number, tag=text)]),
        Tag(text),
    ]
    root = ET.fromstring(to_bxml(verbs).encode())
    assert [element.tag for element in root.iter()] == [
        "Response", "SpeakSentence", "StartStream", "StreamParam", "Transfer", "PhoneNumber", "Tag",
    ]  # fmt: skip
    speak, stream, transfer, tag = root
    assert (speak.text or "", speak.get("voice")) == (text, name)
    assert (stream.get("destination"), stream.get("name")) == (text, name)
    assert stream[0].attrib == {"name": name, "value": text}
    assert (transfer[0].text or "", transfer[0].get("tag")) == (number, text)
    assert (tag.text or "") == text


@pytest.mark.parametrize("code_point", [0x00, 0x08, 0x0B, 0x1F, 0xD800, 0xFFFE, 0xFFFF])
def test_a_character_that_xml_cannot_carry_is_refused_by_name(code_point: int) -> None:
    with pytest.raises(IllegalCharacterError, match=f"U\\+{code_point:04X}") as in_text:
        to_bxml([SpeakSentence(f"secret{chr(code_point)}")])
    assert in_text.value.where == "SpeakSentence"
    assert in_text.value.code_point == code_point
    assert "secret" not in str(in_text.value)
    with pytest.raises(IllegalCharacterError) as in_attribute:
        to_bxml([Transfer([PhoneNumber("+15551230004", tag=chr(code_point))])])
    assert in_attribute.value.where == "PhoneNumber tag"
    with pytest.raises(IllegalCharacterError):
        Ssml(chr(code_point))


@pytest.mark.parametrize(
    "markup",
    [
        "<break",
        "a < b",
        "a & b",
        "</SpeakSentence><Hangup/><SpeakSentence>",
        "</SpeakSentence><Hangup/>",
        "<Hangup/>",
        "<SpeakSentence>x</SpeakSentence>",
        "<p><Transfer/></p>",
        '<audio src="https://elsewhere.example/a.wav"/>',
        "<!DOCTYPE x [<!ENTITY e 'secret'>]>&e;",
        "&undefined;",
    ],
)
def test_what_is_not_ssml_is_refused(markup: str) -> None:
    with pytest.raises(SsmlError) as caught:
        Ssml(markup)
    assert caught.value.fault == "bot author"


def test_ssml_that_is_put_together_with_text_is_text_again() -> None:
    root = ET.fromstring(to_bxml([SpeakSentence(Ssml("<break/>") + "<Hangup/>")]))
    assert [verb.tag for verb in root.iter()] == ["Response", "SpeakSentence"]


def test_ssml_is_markup_in_a_sentence_only() -> None:
    root = ET.fromstring(to_bxml([Tag(Ssml("<break/>"))]))
    assert (root[0].text, len(root[0])) == ("<break/>", 0)


def test_a_stream_takes_twelve_parameters_of_bounded_length() -> None:
    def stream(params: list[StreamParam]) -> str:
        return to_bxml([StartStream(destination="wss://bot.example", stream_params=params)])

    stream([StreamParam("n" * 256, "v" * 2048)] * 12)
    for params, limit in (
        ([StreamParam("n", "v")] * 13, 12),
        ([StreamParam("n" * 257, "v")], 256),
        ([StreamParam("n", "v" * 2049)], 2048),
    ):
        with pytest.raises(BxmlLimitError) as caught:
            stream(params)
        assert (caught.value.size, caught.value.limit) == (limit + 1, limit)


def test_a_document_is_bounded_in_bytes() -> None:
    around = len(to_bxml([SpeakSentence("é")]).encode()) - 2
    fitting = "é" * ((MAX_DOCUMENT_BYTES - around) // 2)
    to_bxml([SpeakSentence(fitting)])
    with pytest.raises(BxmlLimitError, match="65536"):
        to_bxml([SpeakSentence(fitting + "é")])
