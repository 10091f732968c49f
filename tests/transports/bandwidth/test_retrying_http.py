"""A far end that is unavailable is asked again, ever more slowly, until the deadline and no longer."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from callpipe.transports.bandwidth.errors import VoiceApiUnavailableError
from callpipe.transports.bandwidth.retrying_http import RetryingHttp
from callpipe.transports.errors import Fault
from callpipe.transports.virtual_time import run_virtual

Trouble = httpx.Response | Exception | float
"""What comes in place of a 204: another answer, a failure, or a delay in seconds before it."""


class FarEnd:
    """Answers each request with the next trouble, and 204 when there is no more."""

    def __init__(self, *trouble: Trouble) -> None:
        self.asked: list[tuple[float, bytes]] = []
        self._trouble = list(trouble)
        self._http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    async def send(self, *, deadline_s: float = 5.0) -> int:
        http = RetryingHttp(self._http, asyncio.get_running_loop().time)
        request = httpx.Request("PUT", "https://far.example/", content=b"body")
        async with self._http:
            return (await http.send("it", request, auth=httpx.Auth(), deadline_s=deadline_s)).status_code

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.asked]

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((round(asyncio.get_running_loop().time(), 3), request.content))
        trouble = self._trouble.pop(0) if self._trouble else 0.0
        if isinstance(trouble, httpx.Response):
            return trouble
        if isinstance(trouble, Exception):
            raise trouble
        await asyncio.sleep(trouble)
        return httpx.Response(204)


async def given_up(far: FarEnd, deadline_s: float = 5.0) -> VoiceApiUnavailableError:
    with pytest.raises(VoiceApiUnavailableError) as failure:
        await far.send(deadline_s=deadline_s)
    assert failure.value.fault is Fault.CARRIER
    return failure.value


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(429),
        httpx.Response(500),
        httpx.Response(599),
        httpx.ConnectError("no"),
        httpx.ReadTimeout("late"),
        httpx.RemoteProtocolError("what?"),
        httpx.DecodingError("how?"),
    ],
)
def test_pauses_double_up_to_a_second(trouble: Trouble) -> None:
    async def test() -> None:
        far = FarEnd(*[trouble] * 6)
        assert await far.send(deadline_s=10) == 204
        assert far.times == [0.0, 0.1, 0.3, 0.7, 1.5, 2.5, 3.5]
        assert {body for _, body in far.asked} == {b"body"}

    run_virtual(test())


@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 404, 409, 428, 499])
def test_every_other_answer_is_the_callers_to_read(status: int) -> None:
    async def test() -> None:
        far = FarEnd(httpx.Response(status, headers={"Location": "https://else.example/"}))
        assert await far.send() == status
        assert far.times == [0.0]

    run_virtual(test())


def test_an_attempt_without_an_answer_leaves_time_for_another() -> None:
    async def test() -> None:
        far = FarEnd(60.0)
        assert await far.send() == 204
        assert far.times == [0.0, 2.1]

    run_virtual(test())


@pytest.mark.parametrize("deadline_s", [0.0, 0.05, 1.0, 2.0, 2.05, 3.0])
def test_no_attempt_outlives_the_deadline(deadline_s: float) -> None:
    async def test() -> None:
        failure = await given_up(FarEnd(*[60.0] * 9), deadline_s)
        assert failure.status is None
        assert asyncio.get_running_loop().time() <= deadline_s + 1e-9

    run_virtual(test())


def test_a_server_error_to_the_end_is_told() -> None:
    async def test() -> None:
        far = FarEnd(*[httpx.Response(503)] * 99)
        assert (await given_up(far)).status == 503
        assert far.times == [0.0, 0.1, 0.3, 0.7, 1.5, 2.5, 3.5, 4.5]
        assert asyncio.get_running_loop().time() == 4.5

    run_virtual(test())


@pytest.mark.parametrize("status", [429, 503])
def test_the_far_ends_wish_to_wait_is_honoured(status: int) -> None:
    async def test() -> None:
        far = FarEnd(httpx.Response(status, headers={"Retry-After": "2"}), httpx.Response(status))
        assert await far.send() == 204
        assert far.times == [0.0, 2.0, 2.2]

    run_virtual(test())


@pytest.mark.parametrize("wish", ["", "0", "soon", "-3", "1e9", "²", "Fri, 31 Dec 1999 23:59:59 GMT"])
def test_what_is_no_number_of_seconds_makes_no_pause_longer(wish: str) -> None:
    async def test() -> None:
        far = FarEnd(httpx.Response(429, headers=[(b"Retry-After", wish.encode())]))
        assert await far.send() == 204
        assert far.times == [0.0, 0.1]

    run_virtual(test())


@pytest.mark.parametrize("wish", ["5", "30", "9" * 400])
def test_a_wish_to_wait_beyond_the_deadline_ends_it_at_once(wish: str) -> None:
    async def test() -> None:
        failure = await given_up(FarEnd(httpx.Response(429, headers={"Retry-After": wish})))
        assert (failure.status, failure.retry_after_s) == (429, float(wish))
        assert asyncio.get_running_loop().time() == 0.0

    run_virtual(test())
