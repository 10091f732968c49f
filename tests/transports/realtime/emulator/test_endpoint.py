"""A model without a port, in virtual time: how it is reached, and how it fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from callpipe.transports.errors import HandshakeLateError, SocketClosedError, SocketRefusedError
from callpipe.transports.loopback import Latency
from callpipe.transports.realtime.emulator import (
    After,
    Disconnect,
    Drop,
    EmulatedEndpoint,
    EmulatorSettings,
    Expire,
    FailResponse,
    Fault,
    GoSilent,
    Late,
    Nth,
    RefuseHandshake,
    SlowHandshake,
    UnansweredHandshake,
    every_session,
    first_sessions,
    rate_limited,
)
from callpipe.transports.speech.interfaces import Brain, Say
from callpipe.transports.virtual_time import run_virtual
from callpipe.transports.websocket import WebSocket

if TYPE_CHECKING:
    from .conftest import History

URL = "wss://model.example/v1/realtime?model=gpt-realtime-2.1"
DELTA = "response.output_audio.delta"

Brains = Callable[..., Brain]


async def reach(endpoint: EmulatedEndpoint, url: str = URL, **headers: str) -> WebSocket:
    return await endpoint.connect(url, headers=headers, deadline_s=5.0)


def now() -> float:
    return asyncio.get_running_loop().time()


async def refusal(endpoint: EmulatedEndpoint, url: str = URL, **headers: str) -> SocketRefusedError:
    with pytest.raises(SocketRefusedError) as refused:
        await reach(endpoint, url, **headers)
    return refused.value


async def read(
    socket: WebSocket, quiet_s: float = 5.0
) -> tuple[list[dict[str, Any]], SocketClosedError | None]:
    """Read until the socket is closed, or nothing comes for a while."""
    events: list[dict[str, Any]] = []
    try:
        while True:
            async with asyncio.timeout(quiet_s):
                events.append(json.loads(await socket.receive()))
    except TimeoutError:
        return events, None
    except SocketClosedError as closed:
        return events, closed


def run(
    brain: Brain,
    story: Callable[[EmulatedEndpoint], Awaitable[None]],
    *faults: Fault,
    **settings: Any,
) -> EmulatedEndpoint:
    """Tell a story of an endpoint whose first session has the faults."""

    async def main() -> EmulatedEndpoint:
        endpoint = EmulatedEndpoint(lambda: brain, faults=first_sessions(1, *faults), **settings)
        await story(endpoint)
        await endpoint.close()
        return endpoint

    return run_virtual(main())


def test_a_conversation_and_its_log(brain: Brains) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        socket = await reach(endpoint)
        assert endpoint.live_sessions == 1
        socket.send('{"type":"response.create"}')
        events, closed = await read(socket)
        assert closed is None
        assert events[0]["session"]["model"] == "gpt-realtime-2.1"
        assert events[-2]["response"]["status"] == "completed"
        await socket.close()
        await asyncio.sleep(0.1)
        assert endpoint.live_sessions == 0

    endpoint = run(brain([Say("hello")]), story)
    [log] = endpoint.logs
    assert log.ended
    assert [event.type for event in log.client_events()] == ["response.create"]
    assert endpoint.attempts == [0.0]


def test_a_line_that_delays(brain: Brains) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        socket = await reach(endpoint)
        await socket.receive()
        assert now() == pytest.approx(0.05)

    run(brain(), story, latency=Latency(one_way_ms=50))


@pytest.mark.parametrize(
    ("status", "retry_after_s"), [(401, None), (403, None), (429, 7), (500, None), (503, 0)]
)
def test_a_handshake_is_refused_and_the_next_one_is_not(
    brain: Brains, status: int, retry_after_s: int | None
) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        refused = await refusal(endpoint)
        assert (refused.status, refused.retry_after_s) == (status, retry_after_s)
        assert now() == 0.0
        await reach(endpoint)

    assert len(run(brain(), story, RefuseHandshake(status, retry_after_s)).attempts) == 2


def test_a_slow_handshake(brain: Brains) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        await reach(endpoint)
        assert now() == pytest.approx(3)

    run(brain(), story, SlowHandshake(3))


@pytest.mark.parametrize("fault", [UnansweredHandshake(), SlowHandshake(5)])
def test_a_handshake_that_is_not_answered_in_time(brain: Brains, fault: Fault) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        late = await refusal(endpoint)
        assert isinstance(late, HandshakeLateError)
        assert late.status is None
        assert now() == pytest.approx(5)

    run(brain(), story, fault)


def test_the_rules_of_admission(brain: Brains) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        key = {"Authorization": "Bearer sk-test"}
        assert (await refusal(endpoint)).status == 401
        assert (await refusal(endpoint, Authorization="Bearer sk-other")).status == 401
        assert (await refusal(endpoint, Authorization="Basic sk-test")).status == 401
        assert (await refusal(endpoint, "wss://m.example/v1/chat?model=m", **key)).status == 404
        assert (await refusal(endpoint, "wss://m.example/v1/realtime", **key)).status == 400
        await reach(endpoint, **key)
        assert (await refusal(endpoint, **key)).status == 429

    run(brain(), story, api_key="sk-test", max_sessions=1)


def test_a_client_of_the_beta_is_closed_at_once(brain: Brains) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        events, closed = await read(await reach(endpoint, **{"OpenAI-Beta": "realtime=v1"}))
        assert events == []
        assert closed is not None
        assert (closed.code, closed.reason) == (4000, "invalid_request_error.beta_api_shape_disabled")

    run(brain(), story)


def test_a_connection_that_breaks(brain: Brains) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        socket = await reach(endpoint)
        socket.send('{"type":"response.create"}')
        events, closed = await read(socket)
        assert [event["type"] for event in events].count(DELTA) == 1
        assert closed is not None
        assert closed.code == 1006
        await asyncio.sleep(0.1)
        assert endpoint.live_sessions == 0
        second = await reach(endpoint)
        second.send('{"type":"response.create"}')
        events, closed = await read(second)
        assert closed is None
        assert [event["type"] for event in events].count(DELTA) == 3

    run(brain([Say("hello there")], [Say("hello there")]), story, Drop(Nth(DELTA, 2)))


def test_a_break_some_time_after_an_event(brain: Brains) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        socket = await reach(endpoint)
        socket.send('{"type":"response.create"}')
        await asyncio.sleep(1)
        socket.send('{"type":"input_audio_buffer.clear"}')
        await read(socket)
        assert now() == pytest.approx(1 + 0.4)

    run(brain([Say("hello")]), story, Disconnect(After(0.4, Nth("input_audio_buffer.cleared"))))


def test_a_server_that_stops_answering_still_reads(brain: Brains) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        socket = await reach(endpoint)
        assert len((await read(socket))[0]) == 1
        assert now() == pytest.approx(5)
        socket.send('{"type":"response.create"}')
        assert await read(socket) == ([], None)
        [log] = endpoint.logs
        assert len(log.client_events("response.create")) == 1
        assert len(log.server_events()) == 1

    run(brain([Say("hello")]), story, GoSilent(After(2)))


def test_a_session_that_expires(brain: Brains) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        events, closed = await read(await reach(endpoint), quiet_s=20)
        assert [event["type"] for event in events] == ["session.created", "error"]
        assert events[-1]["error"]["code"] == "session_expired"
        assert now() == pytest.approx(10)
        assert closed is not None
        assert closed.code == 1001

    run(brain(), story, Expire(After(10)))


def test_an_event_that_comes_late(brain: Brains) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        socket = await reach(endpoint)
        socket.send('{"type":"response.create"}')
        kinds = [event["type"] for event in (await read(socket))[0]]
        assert kinds[-2:] == ["rate_limits.updated", "response.done"]

    run(brain([Say("hello")]), story, Late(Nth("response.done"), 0.5))


@pytest.mark.parametrize("fault", [rate_limited(2), FailResponse(2)])
def test_a_response_that_fails(brain: Brains, fault: FailResponse) -> None:
    async def story(endpoint: EmulatedEndpoint) -> None:
        socket = await reach(endpoint)
        statuses: Sequence[str] = []
        for _ in range(3):
            socket.send('{"type":"response.create"}')
            events, _closed = await read(socket)
            [done] = [event for event in events if event["type"] == "response.done"]
            statuses = [*statuses, done["response"]["status"]]
            if done["response"]["status"] == "failed":
                assert done["response"]["output"] == []
                assert done["response"]["status_details"]["error"] == {
                    "type": fault.type,
                    "code": fault.code,
                    "message": fault.message,
                }
        assert statuses == ["completed", "failed", "completed"]

    run(brain([Say("one")], [Say("two")]), story, fault)


def test_a_new_session_that_is_told_how_the_greeting_began_is_asked_to_go_on(brain: Brains) -> None:
    asked: list[History] = []

    async def story(endpoint: EmulatedEndpoint) -> None:
        socket = await reach(endpoint)
        content = [{"type": "output_text", "text": "Hello, this is"}]
        item = {"type": "message", "role": "assistant", "content": content}
        socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        socket.send('{"type":"response.create"}')
        await read(socket)

    run(brain([Say("the hotel.")], asked=asked), story)
    assert asked == [[Say("Hello, this is")]]


def test_a_closed_endpoint_closes_its_sessions(brain: Brains) -> None:
    async def main() -> None:
        endpoint = EmulatedEndpoint(
            brain, settings=EmulatorSettings(connect_delay_ms=100), faults=every_session()
        )
        socket = await reach(endpoint)
        await endpoint.close()
        assert endpoint.live_sessions == 0
        closed = (await read(socket))[1]
        assert closed is not None
        assert closed.code == 1001

    run_virtual(main())
