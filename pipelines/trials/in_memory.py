"""A switchboard and a carrier that reach each other in memory: no port, no thread, any clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx

from callpipe.transports.bandwidth.emulator import Carrier
from callpipe.transports.errors import SocketRefusedError
from callpipe.transports.loopback import socket_pair
from callpipe.transports.realtime.emulator import inline
from callpipe.transports.websocket import WebSocket
from callpipe.transports.websocket_server import UpgradeRequest

from ..server import create_app
from ..settings import Settings
from ..switchboard import Switchboard


@asynccontextmanager
async def carrier_in_memory(
    switchboard: Switchboard, settings: Settings, bot_name: str, **carrier: Any
) -> AsyncGenerator[Carrier]:
    """Yield a carrier that calls a bot; its webhooks and media sockets stay in memory.

    Args:
        switchboard: What answers; closed by whoever made it.
        settings: The server's settings, with the webhooks' credentials.
        bot_name: The bot that is called.
        **carrier: Further arguments of `Carrier`.
    """

    async def open_media(url: str, *, headers: Mapping[str, str], deadline_s: float) -> WebSocket:
        del deadline_s
        names = {name.lower(): value for name, value in headers.items()}
        admitted = switchboard.accept(UpgradeRequest(urlsplit(url).path, names))
        if isinstance(admitted, HTTPStatus):
            raise SocketRefusedError(f"the handshake was refused with status {admitted}", admitted)
        carriers, servers = socket_pair()
        admitted(servers)
        return carriers

    serving = settings.serving()
    webhooks = f"{serving.public_url}/bandwidth/{bot_name}"
    app = httpx.ASGITransport(create_app(switchboard, settings))
    async with httpx.AsyncClient(transport=app) as http:
        yield Carrier(
            initiate_url=f"{webhooks}/initiate",
            status_url=f"{webhooks}/disconnect",
            username=serving.webhook_username,
            password=serving.webhook_password,
            http=http,
            connect=open_media,
            run_blocking=inline,
            clock=asyncio.get_running_loop().time,
            **carrier,
        )
