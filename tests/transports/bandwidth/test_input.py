"""What the transport hears, in virtual time."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import ClientConnectedFrame, ErrorFrame, Frame, InterruptionFrame, StartFrame

from callpipe.transports.call_events import CarrierFaultFrame, MediaStartedFrame, MediaStoppedFrame
from callpipe.transports.frames import (
    EncodedAudio,
    InputEncodedAudioFrame,
    LineAudioFrame,
    LineAudioRequestFrame,
    OutputEncodedAudioFrame,
)
from callpipe.transports.lane import UPSTREAM, Rest
from callpipe.transports.loopback import LoopbackSocket
from callpipe.transports.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from .conftest import Call, PlaceCall

STOP = '{"eventType":"stop"}'
SILENCE = b"\xff"


virtually = in_virtual_time()


def media(number: int, sequence: int | None = None) -> str:
    payload = base64.b64encode(bytes([number]) * 160).decode()
    message = {"eventType": "media", "track": "inbound", "payload": payload}
    return json.dumps(message | ({} if sequence is None else {"sequenceNumber": str(sequence)}))


def heard(call: Call) -> list[tuple[int, int]]:
    """Return each packet's position and number."""
    return [
        (frame.position, frame.encoded.audio[0])
        for _, frame in call.before.seen
        if isinstance(frame, InputEncodedAudioFrame)
    ]


def watch_client(call: Call) -> list[str]:
    events: list[str] = []

    async def gone(*_: object) -> None:
        events.append("disconnected")

    call.transport.add_event_handler(  # pyright: ignore[reportUnknownMemberType]  pipecat's handlers are untyped
        "on_client_disconnected", gone
    )
    return events


@virtually
async def test_packets_come_as_they_are_read(place_call: PlaceCall) -> None:
    async with place_call() as one:
        for number in range(3):
            one.phone.socket.send(media(number, number + 1))
            await asyncio.sleep(0.02)
        assert heard(one) == [(0, 0), (160, 1), (320, 2)]
        assert [at for at, _ in one.before.times(InputEncodedAudioFrame)] == [1.0, 1.02, 1.04]
        first = next(frame for _, frame in one.before.seen if isinstance(frame, InputEncodedAudioFrame))
        assert first.received_at == pytest.approx(1.0)


@virtually
async def test_nothing_that_came_before_the_start_is_lost(place_call: PlaceCall) -> None:
    async with place_call(first=[media(number) for number in range(100)]) as one:
        kinds = (StartFrame, MediaStartedFrame, ClientConnectedFrame, InputEncodedAudioFrame)
        assert [name for _, name in one.before.times(*kinds)][:4] == [kind.__name__ for kind in kinds]
        assert heard(one) == [(160 * number, number) for number in range(100)]
        started = one.before.only(MediaStartedFrame)
        assert (started.stream_id, started.stream_name, started.call_id) == ("s", "n", "c")


@pytest.mark.parametrize("cause", ["stop", "closed", "lost"])
def test_the_end_of_the_stream_is_told_once_with_its_cause(place_call: PlaceCall, cause: str) -> None:
    @virtually
    async def scenario() -> None:
        async with place_call() as one:
            events = watch_client(one)
            one.phone.socket.send(media(1))
            if cause == "stop":
                one.phone.socket.send(STOP)
                one.phone.socket.send(media(2))
            await asyncio.sleep(0.1)
            assert bool(events) is (cause == "stop")
            if cause == "lost":
                one.phone.socket.abort()
            else:
                await one.phone.socket.close()
            await asyncio.sleep(0.1)
            stopped = one.behind.only(MediaStoppedFrame)
            assert stopped.cause == cause
            assert stopped.counts["packets"] == 1
            assert events == ["disconnected"]
            assert heard(one) == [(0, 1)]

    scenario()


@virtually
async def test_the_client_is_not_said_to_disconnect_when_the_bot_ends(place_call: PlaceCall) -> None:
    async with place_call() as one:
        events = watch_client(one)
        await one.end()
        assert one.behind.only(MediaStoppedFrame).cause == "ended"
        assert events == []


@virtually
async def test_a_call_that_is_cancelled_was_not_left_by_the_caller(place_call: PlaceCall) -> None:
    async with place_call() as one:
        events = watch_client(one)
        await one.worker.cancel()
        await one.run
        assert events == []


class Lingering:
    """A socket that goes on after it was closed."""

    def __init__(self, socket: LoopbackSocket) -> None:
        self.send, self.receive, self.offer_to = socket.send, socket.receive, socket.offer_to

    async def close(self, code: int = 1000, reason: str = "", *, deadline_s: float = 1.0) -> None:
        pass


@virtually
async def test_what_comes_after_the_end_is_heard_by_nobody(place_call: PlaceCall) -> None:
    async with place_call(wrap=Lingering) as one:
        await one.end()
        one.phone.socket.send(media(1))
        await one.phone.socket.close()
        await asyncio.sleep(0.1)
        assert heard(one) == []


@virtually
async def test_a_stuck_event_handler_does_not_hold_the_call(place_call: PlaceCall) -> None:
    async with place_call() as one:

        async def stuck(*_: object) -> None:
            await asyncio.Event().wait()

        one.transport.add_event_handler(  # pyright: ignore[reportUnknownMemberType]  as above
            "on_client_disconnected", stuck
        )
        await one.phone.socket.close()
        await asyncio.sleep(0.1)
        await one.end()
        assert asyncio.get_running_loop().time() == pytest.approx(2.1)


@virtually
async def test_wrong_messages_cost_only_themselves(place_call: PlaceCall) -> None:
    async with place_call() as one:
        wrong = ["x", '{"eventType":"mark"}', media(9).replace("inbound", "outbound"), "y" * 100_000]
        for number in range(10):
            for message in wrong:
                one.phone.socket.send(message)
            one.phone.socket.send_binary(b"z")
            one.phone.socket.send(media(number, 2 * number))
        await asyncio.sleep(0.1)
        one.phone.socket.send(STOP)
        await asyncio.sleep(0.1)
        assert heard(one) == [(320 * number, number) for number in range(10)]
        faults = [frame for _, frame in one.behind.seen if isinstance(frame, CarrierFaultFrame)]
        assert [fault.kind for fault in faults] == ["malformed", "unknown", "oversized", "binary", "lost"]
        assert one.behind.only(MediaStoppedFrame).counts == {
            "packets": 10, "lost": 9, "late": 0, "ignored": 10,
            "malformed": 10, "oversized": 10, "binary": 10, "unknown": 10, "out-of-order": 0,
        }  # fmt: skip


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
def test_a_neighbour_that_raises_costs_one_packet(place_call: PlaceCall, at_once: bool) -> None:
    @virtually
    async def scenario() -> None:
        async with place_call() as one:
            hearing = one.transport.input()
            give = hearing._lane_give  # pyright: ignore[reportPrivateUsage]

            async def raising() -> None:
                raise LookupError

            def giving(frame: Frame) -> Rest:
                if isinstance(frame, InputEncodedAudioFrame) and frame.encoded.audio[0] == 1:
                    if at_once:
                        raise LookupError
                    return raising()
                return give(frame)

            hearing._lane_give = giving  # pyright: ignore[reportPrivateUsage]
            for number in range(3):
                one.phone.socket.send(media(number))
            await asyncio.sleep(0.1)
            assert [number for _, number in heard(one)] == [0, 2]

    scenario()


@virtually
async def test_packets_wait_for_a_neighbour_that_takes_its_time(place_call: PlaceCall) -> None:
    async with place_call() as one:
        hearing = one.transport.input()
        give = hearing._lane_give  # pyright: ignore[reportPrivateUsage]

        async def slowly(frame: Frame) -> None:
            await asyncio.sleep(0.05 if isinstance(frame, InputEncodedAudioFrame) else 0)
            rest = give(frame)
            assert rest is None

        def in_turns(frame: Frame) -> Rest:
            slow = isinstance(frame, InputEncodedAudioFrame) and frame.encoded.audio[0] % 3 == 0
            return slowly(frame) if slow else give(frame)

        hearing._lane_give = in_turns  # pyright: ignore[reportPrivateUsage]
        for number in range(20):
            one.phone.socket.send(media(number))
            await asyncio.sleep(0.02)
        one.phone.socket.send(STOP)
        await asyncio.sleep(1)
        assert [number for _, number in heard(one)] == list(range(20))
        assert one.behind.only(MediaStoppedFrame).counts["packets"] == 20


def tracks(call: Call) -> tuple[bytes, bytes]:
    """Return both tracks as the recorder gets them, and hold that they follow one another."""
    caller, bot = b"", b""
    for _, frame in call.behind.seen:
        if isinstance(frame, LineAudioFrame):
            assert frame.position == len(caller)
            assert len(frame.caller) == len(frame.bot)
            caller, bot = caller + frame.caller, bot + frame.bot
    return caller, bot


@virtually
async def test_a_recorder_gets_both_tracks_as_they_were_heard(place_call: PlaceCall) -> None:
    async with place_call() as one:
        await one.behind.push_frame(LineAudioRequestFrame(), UPSTREAM)
        speech = EncodedAudio(audio=b"\x01" * 8_000)
        for number in range(100):
            one.phone.socket.send(media(number + 1, number + 1 if number < 50 else number + 2))
            await asyncio.sleep(0)
            if number == 24:
                await one.say(OutputEncodedAudioFrame(speech))
            if number == 49:
                await one.say(InterruptionFrame())
            await asyncio.sleep(0.02)
        one.phone.socket.send(STOP)
        await asyncio.sleep(0.1)
        caller, bot = tracks(one)
        expected = [bytes([number]) * 160 for number in range(1, 101)]
        expected.insert(50, SILENCE * 160)
        assert caller == b"".join(expected)
        assert len(bot) == len(caller)
        assert bot.count(b"\x01") == pytest.approx(4_000, abs=8), "cut where it was cleared"
        assert bot.index(b"\x01") == pytest.approx(25 * 160, abs=8)
        times = [at for at, _ in one.behind.times(LineAudioFrame)]
        assert len(times) == 4
        kinds = [name for _, name in one.behind.times(LineAudioFrame, MediaStoppedFrame)]
        assert kinds[-2:] == ["LineAudioFrame", "MediaStoppedFrame"]


@virtually
async def test_no_tracks_are_made_where_nobody_records(place_call: PlaceCall) -> None:
    async with place_call(first=[media(number) for number in range(20)]) as one:
        assert len(heard(one)) == 20
        assert one.behind.times(LineAudioFrame) == []
        assert one.before.times(ErrorFrame) == []
