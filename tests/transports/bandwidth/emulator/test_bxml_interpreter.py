from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpipe.transports.bandwidth.emulator.bxml_interpreter import parse_bxml
from callpipe.transports.bandwidth.emulator.errors import InvalidBxmlError
from callpipe.transports.bandwidth.emulator.verbs import (
    Credentials,
    Hangup,
    Pause,
    PlayAudio,
    Record,
    Redirect,
    Ring,
    SpeakSentence,
    StartStream,
    StopStream,
    Tag,
    Transfer,
    steps,
)


def response(inside: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{inside}</Response>'.encode()


def stream_params(*names: str, value: str = "v") -> bytes:
    params = "".join(f'<StreamParam name="{name}" value="{value}"/>' for name in names)
    return response(f'<StartStream destination="wss://a.example/m">{params}</StartStream>')


def test_reads_every_verb_with_its_attributes() -> None:
    document = response(
        """
        <StartStream name="n" mode="bidirectional" tracks="both" destination="wss://a.example/m?x=1&amp;y=2"
            destinationUsername="u" destinationPassword="p" streamEventUrl="/e" streamEventMethod="GET"
            username="eu" password="ep"><StreamParam name="token" value="a&lt;b"/></StartStream>
        <StopStream name="n" wait="true"/>
        <Pause duration="2.5"/>
        <SpeakSentence voice="julie">Hold <break/> the &amp; line</SpeakSentence>
        <Tag>blue</Tag>
        <Redirect redirectUrl="/continue?n=1" redirectFallbackUrl="https://b.example/f" username="ru"
            password="rp" fallbackUsername="fu" fallbackPassword="fp" redirectMethod="POST"
            redirectFallbackMethod="GET" tag="green"/>
        <Hangup/>
        """
    )
    assert parse_bxml(document) == [
        StartStream(
            "wss://a.example/m?x=1&y=2",
            name="n",
            bidirectional=True,
            tracks=("inbound", "outbound"),
            credentials=Credentials("u", "p"),
            event_url="/e",
            event_method="GET",
            event_credentials=Credentials("eu", "ep"),
            params={"token": "a<b"},
        ),
        StopStream("n", wait=True),
        Pause(2.5),
        SpeakSentence("Hold the & line"),
        Tag("blue"),
        Redirect(
            "/continue?n=1",
            credentials=Credentials("ru", "rp"),
            fallback_url="https://b.example/f",
            fallback_method="GET",
            fallback_credentials=Credentials("fu", "fp"),
            tag="green",
        ),
        Hangup(),
    ]


def test_reads_the_verbs_of_a_fallback_chain() -> None:
    document = response(
        """
        <PlayAudio username="u" password="p">https://a.example/wait.wav</PlayAudio>
        <Ring duration="12" answerCall="false"/>
        <Transfer transferCallerId="+15555550199" callTimeout="20" transferCompleteUrl="/t" username="u"
            password="p"><PhoneNumber>+15555550111</PhoneNumber><SipUri>sip:desk@a.example</SipUri></Transfer>
        <Record maxDuration="90" silenceTimeout="4" recordCompleteUrl="/r" recordCompleteMethod="POST"
            recordingAvailableUrl="/a" username="u" password="p" fileFormat="wav"/>
        """
    )
    credentials = Credentials("u", "p")
    assert parse_bxml(document) == [
        PlayAudio("https://a.example/wait.wav"),
        Ring(12.0),
        Transfer(
            ("+15555550111", "sip:desk@a.example"),
            caller_id="+15555550199",
            call_timeout_s=20.0,
            complete=Redirect("/t", credentials=credentials),
        ),
        Record(
            90.0,
            4.0,
            complete=Redirect("/r", credentials=credentials),
            available=Redirect("/a", credentials=credentials),
        ),
    ]
    assert parse_bxml(response("<Ring/><Record/><Transfer><SipUri>sip:a</SipUri></Transfer>")) == [
        Ring(5.0),
        Record(60.0, 0.0),
        Transfer(("sip:a",), call_timeout_s=30.0),
    ]
    assert "0111" not in repr(parse_bxml(document))


def test_defaults_are_bandwidths() -> None:
    assert parse_bxml(response('<StartStream destination="ws://a"/><StopStream name="n"/><Pause/>')) == [
        StartStream("ws://a", name=None, bidirectional=False, tracks=("inbound",)),
        StopStream("n", wait=False),
        Pause(1.0),
    ]


def test_the_end_of_a_document_hangs_up() -> None:
    assert list(steps([Pause()])) == [Pause(), Hangup(implicit=True)]
    assert list(steps(parse_bxml(b""))) == [Hangup(implicit=True)]
    assert list(steps(parse_bxml(b"<Response/>"))) == [Hangup(implicit=True)]


def test_nothing_runs_after_a_redirect_or_a_hangup() -> None:
    assert list(steps([Redirect("/a"), Pause()])) == [Redirect("/a")]
    assert list(steps([Hangup(), Pause()])) == [Hangup()]


def test_passwords_and_words_are_not_shown() -> None:
    shown = repr(
        parse_bxml(
            response(
                '<StartStream destination="ws://a" destinationPassword="pwd">'
                '<StreamParam name="n" value="tok"/></StartStream>'
                "<SpeakSentence>words</SpeakSentence>"
            )
        )
    )
    assert not any(secret in shown for secret in ("pwd", "tok", "words"))


def test_stream_params_may_be_twelve_of_the_longest() -> None:
    names = [f"{number:0256}" for number in range(12)]
    (verb,) = parse_bxml(stream_params(*names, value="v" * 2_048))
    assert isinstance(verb, StartStream)
    assert list(verb.params) == names


@pytest.mark.parametrize(
    ("document", "explanation"),
    [
        (b"<Response>" + b" " * 65_536 + b"</Response>", "65557 bytes"),
        (b"no xml", "well-formed"),
        (b"<Response><Pause></Response>", "well-formed"),
        (b"<Response/><Response/>", "well-formed"),
        (b'<?xml version="1.0" encoding="klingon"?><Response/>', "encoding"),
        (b"<Answer/>", "<Answer>"),
        (b'<!DOCTYPE Response [<!ENTITY a "b">]><Response>&a;</Response>', "DTD"),
        (b'<!DOCTYPE Response SYSTEM "file:///etc/passwd"><Response/>', "DTD"),
        (b"<Response>" + b"<SpeakSentence>" * 40 + b"</SpeakSentence>" * 40 + b"</Response>", "nested"),
        (response("Hello"), "text"),
        (response("<Conference/>"), "<Conference>"),
        (response("<Gather><Record/></Gather>"), "<Gather> holds <Record>, which is neither speech nor audio"),
        (response("<Gather maxDigits='0'/>"), "maxDigits"),
        (response("<StartGather/>"), "<StartGather> has no dtmfUrl"),
        (response("<StopGather><Tag/></StopGather>"), "<StopGather> holds <Tag>"),
        (response("<pause/>"), "<pause>"),
        (response("<Pause length='3'/>"), "length"),
        (response("<Pause duration='long'/>"), "duration"),
        (response("<Pause duration='nan'/>"), "duration"),
        (response("<Pause duration='0'/>"), "duration"),
        (response("<Pause><Hangup/></Pause>"), "<Hangup>"),
        (response("<Hangup>now</Hangup>"), "text"),
        (response("<Redirect/>"), "redirectUrl"),
        (response("<Redirect redirectUrl='http://[x'/>"), "redirectUrl"),
        (response("<Redirect redirectUrl='/a' redirectMethod='PUT'/>"), "redirectMethod"),
        (response(f"<Redirect redirectUrl='/a' tag='{'t' * 257}'/>"), "tag"),
        (response("<PlayAudio/>"), "URL"),
        (response("<PlayAudio><Pause/></PlayAudio>"), "URL"),
        (response("<Ring duration='0'/>"), "duration"),
        (response("<Ring answerCall='maybe'/>"), "answerCall"),
        (response("<Transfer/>"), "0 targets"),
        (response(f"<Transfer>{'<SipUri>sip:a</SipUri>' * 9}</Transfer>"), "9 targets"),
        (response("<Transfer><Pause/></Transfer>"), "PhoneNumber"),
        (response("<Transfer><PhoneNumber>555</PhoneNumber></Transfer>"), "number"),
        (response("<Transfer><SipUri>desk@a</SipUri></Transfer>"), "URI"),
        (response("<Transfer callTimeout='900'><SipUri>sip:a</SipUri></Transfer>"), "callTimeout"),
        (
            response("<Transfer><SipUri transferAnswerUrl='/w'>sip:a</SipUri></Transfer>"),
            "transferAnswerUrl",
        ),
        (response("<Record maxDuration='0'/>"), "maxDuration"),
        (response("<Record fileFormat='ogg'/>"), "fileFormat"),
        (response("<Record transcribe='true'/>"), "transcribe"),
        (response("<StopStream/>"), "name"),
        (response("<StopStream name='n' wait='yes'/>"), "wait"),
        (response("<SpeakSentence> </SpeakSentence>"), "text"),
        (response("<StartStream/>"), "destination"),
        (response("<StartStream destination='https://a.example'/>"), "destination"),
        (response("<StartStream destination='wss://'/>"), "destination"),
        (response("<StartStream destination='wss://a:99999/'/>"), "destination"),
        (response("<StartStream destination='wss://a' mode='both'/>"), "mode"),
        (response("<StartStream destination='wss://a' tracks='caller'/>"), "tracks"),
        (response("<StartStream destination='wss://a'><Pause/></StartStream>"), "<Pause>"),
        (response("<StartStream destination='wss://a'><StreamParam name='n'/></StartStream>"), "value"),
        (response("<StartStream destination='wss://a'><StreamParam value='v'/></StartStream>"), "name"),
        (stream_params("same", "same"), "same name"),
        (stream_params(*(f"n{number}" for number in range(13))), "13"),
        (stream_params("n" * 257), "257"),
        (stream_params("n", value="v" * 2_049), "2049"),
    ],
)
def test_refuses_what_is_no_bxml_and_says_why(document: bytes, explanation: str) -> None:
    with pytest.raises(InvalidBxmlError) as invalid:
        parse_bxml(document)
    assert explanation in invalid.value.explanation


fragments = st.sampled_from(
    [
        b"<Response>", b"</Response>", b"<StartStream destination='ws://a'>", b"</StartStream>", b"<Pause/>",
        b"<StopStream name='a' wait='", b"true", b"'/>", b"<StreamParam name='a' value='b'/>", b"<Hangup/>",
        b"<Redirect redirectUrl='", b"/a", b"<SpeakSentence>", b"</SpeakSentence>", b"&amp;", b"&#0;", b"&x;",
        b"<!DOCTYPE a>", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<?xml version='1.0' encoding='", b"utf-16",
        b"utf-7", b"idna", b"'?>", b"\xff\xfe", b"\x00", b"xmlns:a='b'", b"<a:Pause/>", b"[", b":", b"1e999",
        b"<Transfer>", b"</Transfer>", b"<SipUri>sip:", b"</SipUri>", b"<Record maxDuration='", b"<PlayAudio>",
    ]
)  # fmt: skip


@settings(max_examples=3_000, deadline=None)
@given(st.lists(st.one_of(fragments, st.binary(max_size=8)), max_size=14).map(b"".join))
def test_whatever_a_server_sends_only_the_documented_error_escapes(document: bytes) -> None:
    for candidate in (document, response("") + document, b"<Response>" + document + b"</Response>"):
        try:
            verbs = parse_bxml(candidate)
        except InvalidBxmlError:
            continue
        assert isinstance(list(steps(verbs))[-1], Redirect | Hangup)
