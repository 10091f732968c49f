"""Keys that a caller presses: to a Gather, to a StartGather, and to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Kit

ASKS = (
    '<Gather gatherUrl="/gathered" maxDigits="4" terminatingDigits="#" firstDigitTimeout="2"'
    ' interDigitTimeout="1" repeatCount="2">'
)
PROMPT = "<SpeakSentence>Your number, please, and then the pound key.</SpeakSentence></Gather>"


def test_a_gather_takes_the_keys_and_fetches_the_next_document(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(ASKS, PROMPT), "/gathered": kit.bxml("<Hangup/>")})
    report = kit.place(server, "steps: [{silence: {ms: 400}}, {press: 12#}]")
    told = server.webhook("gather")
    assert (told.path, told.payload["digits"], told.payload["terminatingDigit"]) == ("/gathered", "12", "#")
    assert report.ending.ended_by == "bot"
    assert report.ended_at - report.started_at < 1.5  # the first key silences the prompt


def test_a_gather_ends_with_its_last_digit_or_a_pause_or_nothing(kit: Kit) -> None:
    for keys, digits, least_s, most_s in (("12345", "1234", 0.6, 1.0), ("1", "1", 1.0, 1.4)):
        server = kit.server({"/initiate": kit.bxml(ASKS, PROMPT), "/gathered": kit.bxml()})
        report = kit.place(server, f"steps: [{{silence: 20}}, {{press: '{keys}'}}]")
        assert server.webhook("gather").payload["digits"] == digits
        assert server.webhook("gather").payload["terminatingDigit"] == ""
        assert least_s <= report.ended_at - report.started_at < most_s
    server = kit.server({"/initiate": kit.bxml(ASKS, PROMPT), "/gathered": kit.bxml()})
    report = kit.place(server, "steps: [{silence: {ms: 40}}]")
    assert server.webhook("gather").payload["digits"] == ""
    assert [event.name for event in report.events].count("carrier speaks") == 2


def test_a_gather_without_a_url_goes_on(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml('<Gather firstDigitTimeout="1"/>', "<Tag>t</Tag>")})
    report = kit.place(server, "steps: [{silence: {ms: 40}}]")
    assert [event.detail for event in report.named("verb")] == ["Gather", "Tag", "Hangup at the document's end"]


def test_each_key_is_told_while_a_start_gather_is_in_force(kit: Kit) -> None:
    begun = '<StartGather dtmfUrl="/dtmf" tag="keys" username="u" password="p"/><Pause duration="1"/>'
    server = kit.server({"/initiate": kit.bxml(begun, "<StopGather/>", '<Pause duration="1"/>')})
    report = kit.place(server, "steps: [{silence: 20}, {press: 7*}, {silence: 800}, {press: '0'}]")
    told = [webhook for webhook in server.webhooks if webhook.path == "/dtmf"]
    assert [webhook.payload["digit"] for webhook in told] == ["7", "*"]
    assert told[0].payload["tag"] == "keys"
    assert told[0].authorization is not None
    assert len(report.named("key unheard")) == 1


def test_a_caller_who_hangs_up_ends_a_gather(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml(ASKS, PROMPT)})
    report = kit.place(server, "steps: [{silence: 20}, {press: '1'}, hang_up]")
    assert report.ending.ended_by == "caller"
    assert "gather" not in server.events()
