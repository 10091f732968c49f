from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from callpipe.transports.bandwidth.emulator.line import BurstLoss, DelayedSocket, Line, PacketClock, over
from callpipe.transports.errors import SocketClosedError
from callpipe.transports.loopback import socket_pair
from callpipe.transports.virtual_time import run_virtual


def test_the_packet_clock_adds_up_no_error() -> None:
    assert PacketClock(7.0).ends_at(0) == pytest.approx(7.02)
    assert PacketClock(7.0).ends_at(29_999) == pytest.approx(607.0, abs=1e-9)
    assert PacketClock(0.0, drift_ppm=100).ends_at(29_999) == pytest.approx(600 - 0.06, abs=1e-5)


def test_loss_comes_in_bursts_of_the_length_and_share_asked_for() -> None:
    loss = BurstLoss(Line(loss=0.05, burst_packets=4, seed=3))
    lost = [loss.lost() for _ in range(200_000)]
    bursts = sum(1 for before, now in pairwise(lost) if now and not before)
    assert sum(lost) / len(lost) == pytest.approx(0.05, rel=0.1)
    assert sum(lost) / bursts == pytest.approx(4, rel=0.1)


def test_lost_packets_come_three_in_a_row_unless_somebody_says_otherwise() -> None:
    loss = BurstLoss(Line(loss=0.05))
    lost = [loss.lost() for _ in range(200_000)]
    bursts = sum(1 for before, now in pairwise(lost) if now and not before)
    assert sum(lost) / bursts == pytest.approx(3, rel=0.1)


def test_a_line_without_loss_loses_nothing() -> None:
    loss = BurstLoss(Line())
    assert not any(loss.lost() for _ in range(1_000))


def test_a_perfect_line_is_the_socket_itself() -> None:
    async def main() -> None:
        ours, _ = socket_pair()
        assert over(Line(drift_ppm=100, loss=0.1), ours) is ours
        assert isinstance(over(Line(jitter_ms=1), ours), DelayedSocket)

    run_virtual(main())


@pytest.mark.parametrize("outward", [True, False])
def test_every_message_takes_its_time_and_none_overtakes_another(outward: bool) -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        ours, theirs = socket_pair()
        delayed = DelayedSocket(ours, Line(one_way_ms=80, jitter_ms=30, seed=1))
        sender, reader = (delayed, theirs) if outward else (theirs, delayed)
        delays: list[float] = []

        async def read() -> None:
            for number in range(200):
                assert int(await reader.receive()) == number
                delays.append(loop.time() - number * 0.002)

        reading = asyncio.create_task(read())
        for number in range(200):
            sender.send(str(number))
            await asyncio.sleep((number + 1) * 0.002 - loop.time())
        await reading
        await delayed.close()
        return delays

    delays = run_virtual(main())
    assert min(delays) >= 0.08 - 1e-9
    assert max(delays) <= 0.11 + 1e-9
    assert max(delays) - min(delays) > 0.01


def test_the_end_of_the_socket_comes_after_the_last_message() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket_pair()
        delayed = DelayedSocket(ours, Line(one_way_ms=100))
        theirs.send("last")
        await theirs.close(1001, "bye")
        assert await delayed.receive() == "last"
        for _ in range(2):
            with pytest.raises(SocketClosedError) as closed:
                await delayed.receive()
            assert closed.value.code == 1001
        assert loop.time() == pytest.approx(0.1)
        with pytest.raises(SocketClosedError):
            delayed.send("more")

    run_virtual(main())


@pytest.mark.parametrize("seed", range(5))
def test_closing_lets_what_was_sent_arrive_and_wakes_who_reads(seed: int) -> None:
    async def main() -> None:
        ours, theirs = socket_pair()
        delayed = DelayedSocket(ours, Line(one_way_ms=100, jitter_ms=80, seed=seed))
        reading = asyncio.create_task(delayed.receive())
        delayed.send("stop")
        await delayed.close()
        assert await theirs.receive() == "stop"
        with pytest.raises(SocketClosedError):
            await theirs.receive()
        with pytest.raises(SocketClosedError):
            await reading
        with pytest.raises(SocketClosedError):
            delayed.send("more")

    run_virtual(main())
