"""What happens on a media socket between its handshake and its pipeline."""

from __future__ import annotations

from collections.abc import Callable

from loguru import logger

from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.bandwidth.transport import receive_start
from callpipe.transports.errors import TransportsError
from callpipe.transports.websocket import WebSocket

from .errors import AdmissionError
from .lives import Lives
from .ongoing import Generation, OngoingCall

START_DEADLINE_S = 10.0
"""The carrier's `start` has to come this soon after the media socket has opened."""

BREACH = 1008
"""Close code of a media socket that does not say what it was let in for (RFC 6455: policy violation)."""


async def serve_media(
    lives: Lives,
    ongoing: OngoingCall,
    generation: Generation,
    socket: WebSocket,
    started: Callable[[StartMessage], None],
) -> None:
    """Take a media stream's `start`, and give the stream to its call.

    Args:
        lives: Who runs the call's pipelines.
        ongoing: The call.
        generation: The generation the socket was let in for.
        socket: The media socket.
        started: Called with the start; raises `AdmissionError` when it is another stream's.
    """
    try:
        start = await receive_start(socket, deadline_s=START_DEADLINE_S)
        started(start)
        talks = await lives.attach(ongoing, generation, socket, start)
    except (AdmissionError, TransportsError) as refused:
        logger.warning("{}", refused)
        await socket.close(BREACH)
        return
    if not talks:
        await socket.close()
