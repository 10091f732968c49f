"""How the transport's output ends, and what it does about failures, in virtual time."""

from __future__ import annotations

import asyncio
from binascii import a2b_base64
from typing import TYPE_CHECKING

import pytest
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.audio.dtmf.utils import load_dtmf_audio
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    ErrorFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputDTMFFrame,
)

from callpipe.transports.call_events import MediaStoppedFrame
from callpipe.transports.errors import SocketBacklogError, SocketClosedError
from callpipe.transports.frames import EncodedAudio, OutputEncodedAudioFrame, PlayoutFinishedFrame
from callpipe.transports.loopback import LoopbackSocket
from callpipe.transports.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from .conftest import PlaceCall


virtually = in_virtual_time()


def speech(duration_ms: int, letter: str = "A", context_id: str | None = None) -> OutputEncodedAudioFrame:
    """Return PCMU of a length that base64 needs no padding for, whose payload is one letter."""
    size = duration_ms * 8 // 3 * 3
    return OutputEncodedAudioFrame(EncodedAudio(a2b_base64(letter * (size // 3 * 4))), context_id)


def letters(order: list[str]) -> str:
    return "".join("!" if message == "clear" else message[0] for message in order)


SPEAKING = (BotStartedSpeakingFrame, BotStoppedSpeakingFrame, PlayoutFinishedFrame)


@virtually
async def test_the_end_waits_until_everything_was_heard(place_call: PlaceCall) -> None:
    async with place_call(max_lead_ms=1_000) as one:
        await one.say(*(speech(300) for _ in range(10)))
        await one.end()
        assert one.phone.closed_at == pytest.approx(4.0, abs=0.01)
        order = [type(frame).__name__ for _, frame in one.behind.seen]
        assert order[-2:] == ["MediaStoppedFrame", "EndFrame"]
        assert one.behind.only(MediaStoppedFrame).cause == "ended"
        assert order.count("BotStoppedSpeakingFrame") == 1
        assert len(one.phone.sent) == 10


@virtually
async def test_the_end_passes_at_once_in_silence_and_after_a_barge_in(place_call: PlaceCall) -> None:
    async with place_call() as one:
        await one.end()
        assert one.phone.closed_at == 1.0
    async with place_call() as one:
        await one.say(speech(900), speech(900))
        await one.worker.queue_frame(EndFrame())
        await asyncio.sleep(0.5)
        await one.say(InterruptionFrame())
        await one.run
        assert one.phone.closed_at == pytest.approx(3.5 - 1.0, abs=0.01)


@virtually
async def test_a_cancel_closes_at_once(place_call: PlaceCall) -> None:
    async with place_call() as one:
        await one.say(speech(900))
        await one.worker.cancel()
        await one.run
        assert one.phone.closed_at == 1.0
        assert one.behind.times(MediaStoppedFrame, CancelFrame) == [
            (1.0, "MediaStoppedFrame"),
            (1.0, "CancelFrame"),
        ]


@virtually
async def test_a_cancel_closes_without_waiting_for_the_pipeline(place_call: PlaceCall) -> None:
    async with place_call() as one:
        await one.say(CancelFrame())
        await asyncio.sleep(0.1)
        assert one.phone.closed_at == 1.0


@pytest.mark.parametrize("speaking", [False, True])
@virtually
async def test_an_output_that_is_given_up_closes_the_stream(place_call: PlaceCall, speaking: bool) -> None:
    async with place_call() as one:
        await one.say(*[speech(900)] * speaking)
        assert one.phone.closed_at is None
        await one.transport.output().cleanup()
        await asyncio.sleep(0)
        assert one.phone.closed_at == 1.0


@virtually
async def test_when_the_caller_hangs_up_nothing_is_sent_and_nothing_waits(
    place_call: PlaceCall,
) -> None:
    async with place_call() as one:
        await one.say(speech(900, context_id="item_1"), speech(900, context_id="item_1"))
        await asyncio.sleep(0.3)
        await one.phone.socket.close()
        await asyncio.sleep(0.1)
        await one.say(speech(300))
        assert one.transport.playhead.heard_ms("item_1", 99.0) == pytest.approx(300)
        assert one.behind.times(*SPEAKING[:2], MediaStoppedFrame) == [
            (1.0, "BotStartedSpeakingFrame"),
            (1.3, "BotStoppedSpeakingFrame"),
            (1.3, "MediaStoppedFrame"),
        ]
        assert len(one.behind.times(OutputEncodedAudioFrame)) == 2, "what was not sent went on as if it was"
        await one.end()
        assert asyncio.get_running_loop().time() == pytest.approx(1.4)
        assert one.before.times(ErrorFrame) == []


class Stalled:
    """A socket whose peer does not read."""

    attempts = 0

    def __init__(self, socket: LoopbackSocket) -> None:
        self.receive, self.close = socket.receive, socket.close

    def send(self, message: bytes | str) -> None:
        Stalled.attempts += 1
        raise SocketBacklogError(len(message), 0)


@virtually
async def test_a_failing_socket_is_told_once_and_then_left_alone(place_call: PlaceCall) -> None:
    Stalled.attempts = 0
    async with place_call(wrap=Stalled) as one:
        for _ in range(100):
            await one.say(speech(20))
            await asyncio.sleep(0.02)
        await one.end()
        assert Stalled.attempts == 1
        assert one.before.times(ErrorFrame) == [(1.0, "ErrorFrame")]
        assert one.behind.times(*SPEAKING, OutputEncodedAudioFrame) == []


class Gone(Stalled):
    """A socket that is closed, of which nobody has read that it is."""

    def send(self, message: bytes | str) -> None:
        raise SocketClosedError(1001)


@virtually
async def test_what_is_sent_to_a_socket_that_has_just_closed_is_lost_without_a_fault(
    place_call: PlaceCall,
) -> None:
    async with place_call(wrap=Gone) as one:
        await one.say(speech(20), speech(20))
        await one.end()
        assert one.before.times(ErrorFrame) == []
        assert one.behind.times(*SPEAKING, OutputEncodedAudioFrame) == []


class Endless:
    """A socket whose end nobody learns of."""

    def __init__(self, socket: LoopbackSocket) -> None:
        self.send, self.close, self._receive = socket.send, socket.close, socket.receive

    async def receive(self) -> str | bytes:
        try:
            return await self._receive()
        except SocketClosedError:
            await asyncio.Event().wait()
            raise


@virtually
async def test_the_end_waits_a_second_at_most_for_the_end_of_the_stream(place_call: PlaceCall) -> None:
    async with place_call(wrap=Endless) as one:
        await one.worker.queue_frame(EndFrame())
        await asyncio.sleep(5)
        assert one.behind.times(MediaStoppedFrame, EndFrame) == [(2.0, "EndFrame")]


@virtually
async def test_more_than_can_wait_is_dropped_and_told_once(place_call: PlaceCall) -> None:
    async with place_call() as one:
        await one.say(*(speech(900) for _ in range(200)))
        assert one.before.times(ErrorFrame) == [(1.0, "ErrorFrame")]
        assert one.transport.unheard_ms(1.0) == pytest.approx(123_300, abs=900)
        await one.say(InterruptionFrame())


@virtually
async def test_audio_that_bandwidth_does_not_take_is_an_error_not_silence(place_call: PlaceCall) -> None:
    async with place_call() as one:
        for _ in range(5):
            await one.say(OutputAudioRawFrame(bytes(3_528), 44_100, 1))
        await one.say(speech(20, "A"))
        await asyncio.sleep(0.1)
        assert letters(one.phone.order) == "A"
        assert len(one.before.times(ErrorFrame)) == 3, "the 1st, 2nd and 4th"
        error = next(frame for _, frame in one.before.seen if isinstance(frame, ErrorFrame))
        assert "44.1 kHz" in str(error.exception)


@virtually
async def test_keypad_tones_are_played_and_hold_the_end(
    place_call: PlaceCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(button: KeypadEntry, *, sample_rate: int) -> bytes:
        await asyncio.sleep(0.3)
        return await load_dtmf_audio(button, sample_rate=sample_rate)

    buttons = [KeypadEntry.ONE, KeypadEntry.POUND]
    for button in buttons:
        await load_dtmf_audio(button)  # virtual time would not wait for the thread that reads it first
    monkeypatch.setattr("callpipe.transports.bandwidth.output.load_dtmf_audio", slow)
    async with place_call() as one:
        await one.say(OutputDTMFFrame(buttons=buttons))
        await one.end()
        sent = [(at, message["media"]["contentType"][:19]) for at, message in one.phone.sent]
        assert sent == [(1.3, "audio/pcm;rate=8000"), (1.6, "audio/pcm;rate=8000")]
        assert one.phone.closed_at == pytest.approx(2.3, abs=0.01)
