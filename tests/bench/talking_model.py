"""An emulated realtime model for load: it answers no question, but it talks half the time, and it counts.

Each call has a turn of 8 seconds: the caller is heard for 4, then the model talks for 4 in deltas of 200 ms,
each sent when it is due. Every event has the shape of the packets in `tests/packets/realtime`.
"""

import base64
import json
import random
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import picows

TEXT = picows.WSMsgType.TEXT
PACKETS = Path(__file__).parents[1] / "packets" / "realtime"
DELTA_MS = 200
TURN_DELTAS = 40
"""Deltas' time in one turn; the model talks during the second half."""
SPEECH_STARTED, SPEECH_STOPPED, TALKS = 12, 18, 20
"""When the caller starts and stops, and the model begins, in deltas' time from the turn's start."""
BARGES_IN = 30

_BYTES_A_MS = {"pcmu": 8, "pcm": 48}
_CALL_ID = re.compile(rb"You answer call ([A-Za-z]*)(\d+)")


def _event(name: str) -> bytes:
    packet = json.dumps(json.loads((PACKETS / f"{name}.json").read_text()), separators=(",", ":"))
    packet = re.sub(r'"delta":"[^"]*"', '"delta":"DELTA"', packet)
    packet = re.sub(r'"event_id":"[^"]*"', '"event_id":"event_NUMBER"', packet)
    packet = re.sub(r'"(audio_start_ms|audio_end_ms)":\d+', r'"\1":POSITION', packet)
    for item in ("item_bot_1", "item_caller_1", "resp_1"):
        packet = packet.replace(item, f"{item}_TURN")
    return packet.encode()


SESSION_CREATED, SESSION_UPDATED = _event("session.created"), _event("session.updated")
CALLER_STARTS = [_event("input_audio_buffer.speech_started")]
CALLER_STOPS = [
    _event("input_audio_buffer.speech_stopped"),
    _event("input_audio_buffer.committed"),
    _event("conversation.item.added"),
    _event("conversation.item.input_audio_transcription.completed"),
]
RESPONSE_BEGINS = [_event("response.created"), _event("response.output_item.added")]
DELTA, TRANSCRIPT = _event("response.output_audio.delta"), _event("response.output_audio_transcript.delta")
RESPONSE_ENDS = [
    _event("response.output_audio.done"),
    _event("response.output_audio_transcript.done"),
    _event("response.output_item.done"),
    _event("response.done"),
]
RESPONSE_CANCELLED = [
    RESPONSE_ENDS[0],
    RESPONSE_ENDS[-1].replace(b'"status":"completed"', b'"status":"cancelled"', 1),
]


def _delta_audio(bytes_a_ms: int) -> bytes:
    noise = random.Random(1).randbytes(DELTA_MS * bytes_a_ms)
    return base64.b64encode(noise)


_AUDIO = {name: _delta_audio(size) for name, size in _BYTES_A_MS.items()}


def _unheard(_audio_ms: float) -> None:
    """Audio of a call that was given up while it was set up."""


class ModelLeg(picows.WSListener):
    """One session.

    Attributes:
        on_audio: Told how many ms of audio the model has received of the call.
        on_delta: Told of each delta's place in the response, in ms, right before it is sent.
        on_response: Told that a response begins.
        interrupts: Whether the caller cuts in on every response.
        on_barge_in: Told that a caller cuts in, right before the model says so.
    """

    on_delta: Callable[[int], None]
    on_response: Callable[[], None]
    on_barge_in: Callable[[], None]

    def __init__(self, joined: Callable[[int, "ModelLeg"], None]) -> None:
        self._joined = joined
        self.on_audio: Callable[[float], None] = _unheard  # until the call it belongs to is known
        self._transport: picows.WSTransport | None = None
        self._bytes_a_ms = 48
        self._format = "pcm"
        self._received = 0
        self._step = 0
        self._turn = 0
        self._events = 0
        self._talking = False
        self.interrupts = False

    def begin_at(self, step: int) -> None:
        """Set where in its turn the call is."""
        self._step = step

    @property
    def caller_speaks(self) -> bool:
        """Whether the caller says what the model tells of, which it does somewhat later."""
        return SPEECH_STARTED - 1 <= self._step <= SPEECH_STOPPED - 2

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self._transport = transport
        transport.send(TEXT, SESSION_CREATED)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type != TEXT:
            if frame.msg_type == picows.WSMsgType.CLOSE:
                transport.disconnect()
            return
        event = frame.get_payload_as_bytes()
        key = event.find(b'"audio"', 0, 200)
        if key > 0 and b"input_audio_buffer.append" in event[:120]:
            begins = event.find(b'"', key + 7) + 1
            ends = event.find(b'"', begins)
            self._received += (ends - begins) // 4 * 3 - event.count(b"=", ends - 2, ends)
            self.on_audio(self._received / self._bytes_a_ms)
        elif b'"session.update"' in event[:200]:
            self._set_up(event)

    def _set_up(self, update: bytes) -> None:
        assert self._transport is not None
        self._transport.send(TEXT, SESSION_UPDATED)
        named = _CALL_ID.search(update)
        if named is not None:
            self._format = "pcmu" if b"audio/pcmu" in update else "pcm"
            self._bytes_a_ms = _BYTES_A_MS[self._format]
            self._joined(int(named[2]), self)

    def tick(self) -> None:
        """Do what is due in this 200 ms."""
        step = self._step
        self._step = (step + 1) % TURN_DELTAS
        if step == SPEECH_STARTED:
            self._turn += 1
            self._say(CALLER_STARTS)
        elif step == SPEECH_STOPPED:
            self._say(CALLER_STOPS)
        elif step == TALKS:
            self._talking = True
            self.on_response()
            self._say(RESPONSE_BEGINS)
        if self._talking:
            self.on_delta((step - TALKS) * DELTA_MS)
            self._say([DELTA], _AUDIO[self._format])
            self._say([TRANSCRIPT], b"words ")
            if step == TURN_DELTAS - 1:
                self._talking = False
                self._say(RESPONSE_ENDS)

    def cut_in(self) -> None:
        """Let the caller cut in, when the model is in the middle of its response."""
        if self._talking and self.interrupts and self._step == BARGES_IN:
            self._talking = False
            self.on_barge_in()
            self._say([*CALLER_STARTS, *RESPONSE_CANCELLED])
            self._say([CALLER_STOPS[0]])

    def _say(self, events: list[bytes], delta: bytes = b"") -> None:
        assert self._transport is not None
        turn, position = b"%d" % self._turn, b"%d" % (self._received / self._bytes_a_ms)
        for event in events:
            self._events += 1
            named = event.replace(b"NUMBER", b"%d" % self._events).replace(b"TURN", turn)
            placed = named.replace(b"POSITION", position) if b"POSITION" in event else named
            self._transport.send(TEXT, placed.replace(b"DELTA", delta))


async def serve_model(
    joined: Callable[[int, ModelLeg], None], tls: ssl.SSLContext | None
) -> tuple[object, str]:
    """Serve sessions; return the server and the API's base URL. `joined` is told each call's session."""
    server = await picows.ws_create_server(  # pyright: ignore[reportUnknownMemberType]  untyped kwargs
        lambda _request: ModelLeg(joined), "127.0.0.1", 0, ssl=tls
    )
    port = server.sockets[0].getsockname()[1]
    return server, f"ws{'s' if tls else ''}://127.0.0.1:{port}/v1"
