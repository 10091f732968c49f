"""One media stream on its socket: sends what the caller says, obeys what the server sends."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from ...errors import SocketClosedError, TransportsError
from ...websocket import WebSocket
from .errors import PlayoutFullError, ServerMessageError
from .media_messages import (
    Clear,
    PlayAudio,
    StreamDescription,
    media_message,
    parse_server_message,
    start_message,
    stop_message,
)
from .playout import PlayoutBuffer
from .report import Timeline
from .verbs import Credentials, StartStream

MAX_PROTOCOL_ERRORS = 1_000
"""Errors that are kept, so that a server which errs without end does not fill the memory."""


GOING_AWAY = 1001
"""Close code of an end that goes down (RFC 6455)."""


@runtime_checkable
class Abortable(Protocol):
    """A socket whose connection can be reset."""

    def abort(self) -> None:
        """Reset the connection, without a close frame."""
        ...


def handshake_headers(credentials: Credentials | None) -> dict[str, str]:
    """Return the headers of a stream's handshake."""
    if credentials is None:
        return {}
    pair = f"{credentials.username}:{credentials.password}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


class MediaStream:
    """An open media stream.

    Args:
        socket: Its WebSocket, at the far end of the line.
        verb: The StartStream that asked for it.
        description: What its messages say of it.
        playout: What the caller hears.
        timeline: Where is noted what happens on it.
        protocol_errors: Where the server's errors are added.
        clock: Monotonic seconds.

    Attributes:
        stopped: It was ended from this side.
    """

    def __init__(
        self,
        socket: WebSocket,
        verb: StartStream,
        description: StreamDescription,
        *,
        playout: PlayoutBuffer,
        timeline: Timeline,
        protocol_errors: list[str],
        clock: Callable[[], float],
    ) -> None:
        self._socket = socket
        self._verb = verb
        self._description = description
        self._playout = playout
        self._timeline = timeline
        self._protocol_errors = protocol_errors
        self._clock = clock
        self._sequence_number = 0
        self.stopped = False
        self._broken = False

    def start(self) -> None:
        """Send the start message."""
        self._send(start_message(self._description, self._verb.params))

    def take(self, track: str, packet: bytes | None) -> None:
        """Send the next 20 ms of a track. A lost packet leaves a gap in the sequence numbers."""
        if track in self._verb.tracks:
            self._sequence_number += 1
            if packet is not None:
                self._send(media_message(track, packet, self._sequence_number))

    async def obey(self) -> str:
        """Do what the server says until the socket is closed; return the cause of the stream's end."""
        while True:
            try:
                message = await self._socket.receive()
            except SocketClosedError as closed:
                return "connection-error" if closed.code == 1006 and not self.stopped else "closed"
            if self.stopped:
                continue
            try:
                self._obey(parse_server_message(message))
            except (ServerMessageError, PlayoutFullError) as error:
                self._protocol_error(str(error))

    async def stop(self) -> None:
        """Send the stop message and close the socket."""
        if not self.stopped:
            self._send(stop_message(self._description))
            self.stopped = True
            await self._socket.close()

    async def break_off(self, *, abruptly: bool) -> None:
        """End the stream without a stop message: with a reset, or with a close frame that says we go away."""
        if abruptly and isinstance(self._socket, Abortable):
            self._socket.abort()
        else:
            await self._socket.close(GOING_AWAY)

    def _obey(self, message: PlayAudio | Clear) -> None:
        if not self._verb.bidirectional:
            raise ServerMessageError(f"{type(message).__name__} on a unidirectional stream")
        now = self._clock()
        if isinstance(message, PlayAudio):
            self._playout.play_audio(message.audio, message.audio_format, now)
            return
        cut = self._playout.clear(now)
        if cut is None:
            self._timeline.note("clear", "everything had been heard")
        else:
            self._timeline.note("cut", f"{cut.heard_ms:.0f} ms heard, {cut.dropped_ms:.0f} ms dropped")

    def _protocol_error(self, error: str) -> None:
        self._timeline.note("protocol error", error)
        if len(self._protocol_errors) < MAX_PROTOCOL_ERRORS:
            self._protocol_errors.append(error)

    def _send(self, message: str) -> None:
        if self.stopped or self._broken:
            return
        try:
            self._socket.send(message)
        except TransportsError:
            # The reading side learns of it too, and ends the stream.
            self._broken = True
