"""An exchange whose bots run in its own process: for demos, rehearsals, measurements and tests."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.websocket import WebSocket
from callpipe.transports.websocket_server import UpgradeRequest, media_socket_protocol

from .bot import Bot
from .errors import AdmissionError
from .exchange import Exchange
from .lives import Lives
from .media_streams import serve_media
from .ongoing import Generation, OngoingCall
from .records.call_records import CallRecords
from .second_way import SecondWay
from .settings import Settings


class Switchboard(Exchange):
    """An exchange that runs its bots' pipelines itself.

    Args:
        bots: The bots, each with a name of its own.
        settings: The operator's settings.
        records: Where calls are written down.
        second_way: Brings BXML the carrier does not come for; by the settings' Voice API when None.
        clock: Monotonic seconds.
        **lives: Further arguments of `Lives`.

    Raises:
        SettingsError: A setting is missing.
    """

    def __init__(
        self,
        bots: Sequence[Bot],
        settings: Settings,
        records: CallRecords,
        *,
        second_way: SecondWay | None = None,
        clock: Callable[[], float] = time.monotonic,
        **lives: Any,
    ) -> None:
        self._lives = Lives(bots, settings, records, clock=clock, **lives)
        super().__init__(self._lives, settings, records, second_way=second_way, clock=clock)

    @property
    def live_calls(self) -> int:
        """Calls with a media stream at the moment."""
        return self.load.live

    @property
    def prepared_calls(self) -> int:
        """Calls whose pipeline waits for a media stream."""
        return self.load.prepared

    def socket_protocol(self) -> Callable[..., asyncio.BaseProtocol]:
        """Return what serves media sockets in this process."""
        return media_socket_protocol(self.accept)

    def accept(self, request: UpgradeRequest) -> Callable[[WebSocket], None] | HTTPStatus:
        """Let a media socket in, or refuse it before its handshake completes. See `websocket_server.Accept`."""
        admitted = self.admit(request)
        if isinstance(admitted, HTTPStatus):
            return admitted
        return functools.partial(self._opened, *admitted)

    def _opened(self, ongoing: OngoingCall, generation: Generation, socket: WebSocket) -> None:
        def started(start: StartMessage) -> None:
            self.ongoing.start(ongoing, generation, start.call_id, start.stream_name)
            if ongoing.call_id not in self.ongoing:
                raise AdmissionError("unknown call")

        self.beside.begin(serve_media(self._lives, ongoing, generation, socket, started))
