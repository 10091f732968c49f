"""The media streams of one call: opened, counted, waited for and ended, with their webhooks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import uuid4

from ...errors import SocketRefusedError
from ...websocket import WebSocket
from .leg import CallLeg
from .line import over
from .media_messages import StreamDescription
from .ongoing import OngoingCall
from .stream import MediaStream, handshake_headers
from .verbs import StartStream
from .webhooks import (
    Payload,
    StreamFacts,
    media_stream_rejected,
    media_stream_started,
    media_stream_stopped,
)

MAX_TRACKS = 4
"""Tracks that a call may stream at the same time."""

CONNECT_DEADLINE_S = 10.0
STOP_DEADLINE_S = 3.0


@dataclass(slots=True)
class _Running:
    facts: StreamFacts
    task: asyncio.Task[None]
    stream: MediaStream | None = None


class MediaStreams:
    """Every media stream of one call, by name."""

    def __init__(self, call: OngoingCall, leg: CallLeg) -> None:
        self._call = call
        self._leg = leg
        self._running: dict[str, _Running] = {}

    def start(self, verb: StartStream, document_url: str) -> None:
        """Begin to open a stream, or reject it, and tell the server which; does not wait."""
        stream_id = f"s-{uuid4()}"
        name = verb.name or stream_id
        facts = StreamFacts(stream_id, name, verb.destination, self._call.now_utc(), verb.tracks)
        original = self._running.get(name)
        tracks = sum(len(running.facts.tracks) for running in self._running.values())
        if original is not None:
            self._reject(verb, document_url, facts, "duplicate", original.facts)
        elif tracks + len(verb.tracks) > MAX_TRACKS:
            self._reject(verb, document_url, facts, "track-limit")
        else:
            task = self._call.tasks.create_task(self._run(verb, document_url, facts))
            self._running[name] = _Running(facts, task)
            task.add_done_callback(lambda _: self._running.pop(name))

    async def wait(self, name: str) -> None:
        """Wait until a stream is over; at once when there is none of that name."""
        running = self._running.get(name)
        if running is not None:
            await asyncio.wait({running.task})

    async def stop(self, name: str) -> None:
        """End a stream; does nothing when there is none of that name."""
        running = self._running.get(name)
        if running is None:
            return
        if running.stream is None:
            running.task.cancel()
        else:
            await running.stream.stop()
        _, late = await asyncio.wait({running.task}, timeout=STOP_DEADLINE_S)
        for task in late:
            task.cancel()

    async def break_off(self, name: str | None = None, *, abruptly: bool) -> None:
        """End a stream without its stop message; the oldest when no name is given.

        Args:
            name: The stream; does nothing when there is none of that name, or it is not open.
            abruptly: Whether the connection is reset; otherwise it is closed with a close frame.
        """
        running = self._running.get(name or next(iter(self._running), ""))
        if running is not None and running.stream is not None:
            self._call.timeline.note("fault", f"BreakStream {running.facts.name}")
            await running.stream.break_off(abruptly=abruptly)

    async def stop_all(self) -> None:
        """End every stream."""
        await asyncio.gather(*(self.stop(name) for name in tuple(self._running)))

    async def _run(self, verb: StartStream, document_url: str, facts: StreamFacts) -> None:
        headers = handshake_headers(verb.credentials)
        connect = self._call.settings.connect
        await asyncio.sleep(self._call.settings.delays.connect_ms / 1000)
        try:
            socket = await connect(verb.destination, headers=headers, deadline_s=CONNECT_DEADLINE_S)
        except SocketRefusedError as refused:
            self._reject(verb, document_url, facts, "connection-error", explanation=str(refused))
            return
        await self._stream(verb, document_url, facts, over(self._call.settings.line, socket))

    async def _stream(
        self, verb: StartStream, document_url: str, facts: StreamFacts, socket: WebSocket
    ) -> None:
        call, leg = self._call, self._leg
        stream = MediaStream(
            socket,
            verb,
            self._description(facts),
            playout=leg.playout,
            timeline=call.timeline,
            protocol_errors=call.report.protocol_errors,
            clock=call.settings.clock,
        )
        self._running[facts.name].stream = stream
        stream.start()
        call.report.streams_started_at.append(call.settings.clock())
        call.timeline.note("stream started", facts.name)
        self._tell(verb, document_url, media_stream_started(call.facts, facts, call.now_utc()))
        leg.takers.append(stream)
        breaking = self._broken_later(facts.name)
        try:
            cause = await stream.obey()
            if cause == "connection-error":
                call.report.streams_lost_at.append(call.settings.clock())
                call.timeline.note("stream lost", facts.name)
            await self._notice_close(stream)
        finally:
            if breaking is not None:
                breaking.cancel()
            leg.takers.remove(stream)
            await socket.close()
        call.timeline.note("stream stopped", f"{facts.name}: {cause}")
        if verb.bidirectional:
            leg.stream_over()
            self._drop_unheard()
        self._tell(verb, document_url, media_stream_stopped(call.facts, facts, call.now_utc(), cause))

    async def _notice_close(self, stream: MediaStream) -> None:
        """Let the time pass that the carrier takes to go on after the server's end of a stream."""
        if not stream.stopped:
            await asyncio.sleep(self._call.settings.delays.notice_close_ms / 1000)

    def _broken_later(self, name: str) -> asyncio.Task[None] | None:
        """Break a stream when it is time, where a fault says so."""
        fault = self._call.settings.faults.breaking(name)
        if fault is None:
            return None

        async def later() -> None:
            await asyncio.sleep(fault.after_s)
            await self.break_off(name, abruptly=fault.abruptly)

        return self._call.tasks.create_task(later())

    def _drop_unheard(self) -> None:
        # Bandwidth does not say whether it plays on when the socket is closed; a bot should not rely on it.
        dropped_ms = self._leg.playout.drop(self._call.settings.clock())
        if dropped_ms:
            self._call.timeline.note("unheard", f"{dropped_ms:.0f} ms when the stream ended")

    def _description(self, facts: StreamFacts) -> StreamDescription:
        call = self._call.facts
        return StreamDescription(call.account_id, call.call_id, facts.stream_id, facts.name, facts.tracks)

    def _reject(
        self,
        verb: StartStream,
        document_url: str,
        facts: StreamFacts,
        cause: str,
        original: StreamFacts | None = None,
        *,
        explanation: str = "",
    ) -> None:
        call = self._call
        detail = f"{facts.name}: {cause}" + (f", {explanation}" if explanation else "")
        call.timeline.note("stream rejected", detail)
        payload = media_stream_rejected(call.facts, facts, call.now_utc(), cause, original)
        self._tell(verb, document_url, payload)

    def _tell(self, verb: StartStream, document_url: str, payload: Payload) -> None:
        if verb.event_url:
            self._call.tell(
                verb.event_url,
                payload,
                base=document_url,
                method=verb.event_method,
                credentials=verb.event_credentials,
            )
