from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from .conftest import basic

if TYPE_CHECKING:
    from .conftest import Kit

STAY = "steps: [{silence: {ms: 60000}}]"


async def late() -> str:
    await asyncio.sleep(60)
    return "<Response/>"


@pytest.mark.parametrize(
    ("answer", "explanation"),
    [
        (httpx.Response(500), "answered with 500"),
        (httpx.Response(302, headers={"Location": "/elsewhere"}), "answered with 302"),
        (httpx.ConnectError("refused"), "no answer"),
        (late, "timeout"),
    ],
)
def test_a_call_whose_first_document_can_not_be_had_ends(kit: Kit, answer: object, explanation: str) -> None:
    server = kit.server({"/initiate": answer})
    report = kit.place(server, STAY)
    assert report.cause == server.webhook("disconnect").payload["cause"] == "callback-error"
    assert explanation in report.ending.explanation
    assert report.answered_at is None
    assert report.answer_ms is None
    assert report.ended_at - report.started_at <= 15.001


def test_a_redirect_that_fails_is_asked_of_its_fallback(kit: Kit) -> None:
    redirect = (
        '<Redirect redirectUrl="/continue" username="u" password="p"'
        ' redirectFallbackUrl="https://other.example/fallback" redirectFallbackMethod="GET"'
        ' fallbackUsername="fu" fallbackPassword="fp"/>'
    )
    documents = {
        "/initiate": kit.bxml(redirect),
        "/continue": httpx.Response(503),
        "/fallback": kit.bxml("<Pause/>"),
    }
    server = kit.server(documents)
    report = kit.place(server, STAY)
    assert [webhook.path for webhook in server.webhooks] == ["/initiate", "/continue", "/fallback", "/status"]
    assert server.webhooks[2].authorization == basic("fu", "fp")
    assert report.cause == "hangup"


def test_a_redirect_without_fallback_ends_the_call(kit: Kit) -> None:
    documents = {"/initiate": kit.bxml('<Redirect redirectUrl="/c"/>'), "/c": httpx.Response(503)}
    assert kit.place(kit.server(documents), STAY).cause == "callback-error"


def test_events_that_want_no_bxml_are_sent_once_more_when_the_connection_fails(kit: Kit) -> None:
    documents = {"/initiate": kit.bxml("<Pause/>"), "/status": httpx.ConnectError("refused")}
    server = kit.server(documents)
    report = kit.place(server, STAY)
    assert server.events() == ["initiate", "disconnect", "disconnect"]
    assert report.named("webhook")[-1].detail == "disconnect: not delivered"


def test_an_event_that_was_not_answered_in_time_is_not_sent_again(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml("<Pause/>"), "/status": late})
    report = kit.place(server, STAY)
    assert server.events() == ["initiate", "disconnect"]
    assert report.named("webhook")[-1].detail == "disconnect: timeout"


def test_it_is_noted_how_long_an_answer_took(kit: Kit) -> None:
    async def slow() -> str:
        await asyncio.sleep(0.5)
        return "<Response/>"

    redirect = '<Pause/><Redirect redirectUrl="/slow"/>'
    report = kit.place(kit.server({"/initiate": kit.bxml(redirect), "/slow": slow}), STAY)
    assert [event.detail for event in report.named("webhook")[:2]] == [
        "initiate: 200 after 0 ms",
        "redirect: 200 after 500 ms",
    ]


def test_an_application_without_a_status_url_is_not_told(kit: Kit) -> None:
    server = kit.server({"/initiate": kit.bxml("<Pause/>")})
    kit.place(server, STAY, status_url=None)
    assert server.events() == ["initiate"]
