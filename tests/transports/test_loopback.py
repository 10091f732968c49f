"""Sockets in memory behave as real ones do, with the line's delay."""

import asyncio

import pytest

from callpipe.transports.errors import SocketClosedError
from callpipe.transports.loopback import Latency, socket_pair
from callpipe.transports.virtual_time import run_virtual


def test_messages_arrive_after_the_lines_delay_in_their_order() -> None:
    async def main() -> list[tuple[float, str | bytes]]:
        ours, theirs = socket_pair(there=Latency(one_way_ms=80, jitter_ms=30, seed=1))
        clock = asyncio.get_running_loop().time
        for number in range(50):
            ours.send(f"{number}")
        arrivals: list[tuple[float, str | bytes]] = []
        for _ in range(50):
            message = await theirs.receive()
            arrivals.append((clock(), message))
        return arrivals

    arrivals = run_virtual(main())
    assert [message for _, message in arrivals] == [f"{number}" for number in range(50)]
    assert 0.08 <= arrivals[0][0] <= 0.11
    assert arrivals[-1][0] <= 0.11
    assert [at for at, _ in arrivals] == sorted(at for at, _ in arrivals)


def test_a_line_without_delay_delivers_at_once() -> None:
    async def main() -> float:
        ours, theirs = socket_pair()
        ours.send(b"text in bytes")
        assert await theirs.receive() == "text in bytes"
        theirs.send_binary(b"\0")
        assert await ours.receive() == b"\0"
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 0.0


def test_what_was_sent_before_the_close_is_read_first() -> None:
    async def main() -> None:
        ours, theirs = socket_pair(there=Latency(one_way_ms=50))
        ours.send("last words")
        await ours.close(4001, "enough")
        assert await theirs.receive() == "last words"
        with pytest.raises(SocketClosedError) as closed:
            await theirs.receive()
        assert (closed.value.code, closed.value.reason) == (4001, "enough")
        with pytest.raises(SocketClosedError):
            ours.send("more")
        await ours.close()

    run_virtual(main())


def test_an_abort_wakes_a_waiting_reader_with_1006() -> None:
    async def main() -> int:
        ours, theirs = socket_pair()
        asyncio.get_running_loop().call_later(1.0, ours.abort)
        with pytest.raises(SocketClosedError) as closed:
            await theirs.receive()
        return closed.value.code

    assert run_virtual(main()) == 1006
