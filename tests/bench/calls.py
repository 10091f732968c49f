"""The load: calls that send 50 frames a second, and whose model talks; both ends in this process."""

import asyncio
import base64
import json
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import picows
from observed import Observed
from talking_model import ModelLeg
from wheel import SLOTS, Wheel

TEXT = picows.WSMsgType.TEXT
FRAME_MS = 20
DELTA_TICKS = 10
"""Frames' time in the time of one of the model's deltas."""
CUT_IN_TICK = 3
"""A caller cuts in so many frames' time after a delta, when some of it is unheard."""
ANSWER_DEADLINE_S = 20.0


def _frame_template(audio: bytes) -> bytes:
    payload = base64.b64encode(audio)
    return b'{"eventType":"media","track":"inbound","payload":"%s","sequenceNumber":"%%d"}' % payload


_SPEECH = _frame_template(random.Random(2).randbytes(160))
_SILENCE = _frame_template(bytes(random.Random(2).choices((0xFD, 0xFE, 0xFF, 0x7E), k=160)))


def frame(number: int, model: ModelLeg) -> bytes:
    """Return the carrier's message with a caller's frame: speech when the model is about to hear some."""
    return (_SPEECH if model.caller_speaks else _SILENCE) % number


_SAMPLES_A_MS = {b"audio/pcmu": 8, b"audio/pcm;rate=8000": 16, b"audio/pcm;rate=24000": 48}


@dataclass(frozen=True)
class Dialled:
    """Where and as what the media stream of one call is opened.

    Attributes:
        url: The media socket.
        headers: Of the handshake.
        stream_name: What the start message says.
        hang_up: Awaited when the call is over.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict[str, str])
    stream_name: str = "bench"
    hang_up: Callable[[], Awaitable[object]] | None = None


class CarrierLeg(picows.WSListener):
    """The carrier's side of one call's media socket.

    Attributes:
        on_audio: Told the ms of audio in a `playAudio`.
        on_clear: Told of a `clear`.
    """

    def __init__(self, on_audio: Callable[[float], None], on_clear: Callable[[], None]) -> None:
        self._on_audio = on_audio
        self._on_clear = on_clear
        self.closed = False

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type != TEXT:
            if frame.msg_type == picows.WSMsgType.CLOSE:
                transport.disconnect()
            return
        message = frame.get_payload_as_bytes()
        key = message.find(b'"payload"')
        if key < 0:
            if b'"clear"' in message:
                self._on_clear()
            return
        begins = message.find(b'"', key + 9) + 1
        ends = message.find(b'"', begins)
        size = (ends - begins) // 4 * 3 - message.count(b"=", ends - 2, ends)
        # The content type stands before the payload, and what is not PCMU says its rate.
        rate = next(samples for name, samples in _SAMPLES_A_MS.items() if name in message[:key])
        self._on_audio(size / rate)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.closed = True


class BenchCall:
    """One call: both ends of it, and when each piece of audio was sent and came.

    Args:
        number: From 1.
        observe: Returns what is being measured.
    """

    def __init__(self, number: int, observe: Callable[[], Observed]) -> None:
        self.number = number
        self._observe = observe
        self._carrier = CarrierLeg(self._carrier_got, self._carrier_cleared)
        self._socket: picows.WSTransport | None = None
        self._model: ModelLeg | None = None
        self.ready = asyncio.Event()
        self._dialled: Dialled | None = None
        self._ticks = 0
        self._frames_under_way: deque[float] = deque()
        self._frame_ends_ms = FRAME_MS
        self._deltas_under_way: deque[tuple[int, float]] = deque()
        self._played_ms = 0.0
        self._cut_in_at: float | None = None

    @property
    def broken(self) -> bool:
        """Whether the system has given the call up."""
        return self._carrier.closed

    async def open(self, dialled: Dialled) -> None:
        """Open the media stream and wait until the model's session is set up."""
        self._dialled = dialled
        self._socket, _ = await picows.ws_connect(  # pyright: ignore[reportUnknownMemberType]  untyped kwargs
            lambda: self._carrier, dialled.url, extra_headers=dialled.headers, websocket_handshake_timeout=20
        )
        track = {"name": "inbound", "mediaFormat": {"encoding": "audio/PCMU", "sampleRate": 8000}}
        metadata = {
            "accountId": 9900000,
            "callId": f"bench{self.number}",
            "streamId": f"s-{self.number}",
            "streamName": dialled.stream_name,
            "tracks": [track],
        }
        self._socket.send(TEXT, json.dumps({"eventType": "start", "metadata": metadata}).encode())
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            await self.ready.wait()

    def joined(self, model: ModelLeg) -> None:
        """Take the model's end of the call."""
        self._model = model
        model.on_audio = self._model_got
        model.on_delta = self._model_says
        model.on_response = self._response_begins
        model.on_barge_in = self._caller_cuts_in
        self.ready.set()

    def start(self, wheel: Wheel) -> None:
        """Send frames, and let the model talk; calls are spread over the 20 ms and over the model's turn."""
        assert self._model is not None
        self._model.begin_at(self.number * 7 % 40)
        self._ticks = self.number * 3 % DELTA_TICKS
        wheel.put(self.number, self.number, self._send_frame)
        wheel.put(self.number + SLOTS // 3, -self.number, self._tick_model)

    def interrupts(self, on: bool) -> None:
        """Let the caller cut in on every response, or on none."""
        if self._model is not None:
            self._model.interrupts = on

    def leave(self, wheel: Wheel) -> None:
        """Send nothing more."""
        wheel.remove(self.number, self.number)
        wheel.remove(self.number + SLOTS // 3, -self.number)

    async def close(self, wheel: Wheel) -> None:
        """End the call."""
        self.leave(wheel)
        if self._socket is not None and not self._carrier.closed:
            self._socket.send(TEXT, b'{"eventType":"stop"}')
            self._socket.send_close(picows.WSCloseCode.OK)
            self._socket.disconnect()
        if self._dialled is not None and self._dialled.hang_up is not None:
            await self._dialled.hang_up()

    def _send_frame(self) -> None:
        if self._carrier.closed:
            return
        assert self._socket is not None
        self._ticks += 1
        now = time.monotonic()
        self._frames_under_way.append(now)
        observed = self._observe()
        if observed.counts(now):
            observed.frames += 1
        assert self._model is not None
        self._socket.send(TEXT, frame(self._ticks, self._model))

    def _model_got(self, received_ms: float) -> None:
        now = time.monotonic()
        while self._frame_ends_ms <= received_ms and self._frames_under_way:
            self._frame_ends_ms += FRAME_MS
            self._observe().frame_came(self.number, self._frames_under_way.popleft(), now)

    def _tick_model(self) -> None:
        assert self._model is not None
        if self._ticks % DELTA_TICKS == 0:
            self._model.tick()
        elif self._ticks % DELTA_TICKS == CUT_IN_TICK:
            self._model.cut_in()

    def _response_begins(self) -> None:
        self._deltas_under_way.clear()
        self._played_ms = 0.0

    def _model_says(self, position_ms: int) -> None:
        now = time.monotonic()
        observed = self._observe()
        if observed.counts(now):
            observed.deltas += 1
        self._deltas_under_way.append((position_ms, now))

    def _carrier_got(self, duration_ms: float) -> None:
        now = time.monotonic()
        self._played_ms += duration_ms
        while self._deltas_under_way and self._deltas_under_way[0][0] < self._played_ms:
            self._observe().delta_came(self._deltas_under_way.popleft()[1], now)

    def _caller_cuts_in(self) -> None:
        self._cut_in_at = time.monotonic()
        self._deltas_under_way.clear()
        observed = self._observe()
        if observed.counts(self._cut_in_at):
            observed.barge_ins += 1

    def _carrier_cleared(self) -> None:
        if self._cut_in_at is not None:
            self._observe().cleared(self._cut_in_at, time.monotonic())
            self._cut_in_at = None
