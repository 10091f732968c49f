"""The server's end of a session's socket, with nothing but the socket."""

from __future__ import annotations

import asyncio

import pytest

from callpipe.transports.errors import SocketClosedError
from callpipe.transports.loopback import socket_pair
from callpipe.transports.realtime.emulator import After, Disconnect, Drop, Fault
from callpipe.transports.realtime.emulator.faulty_line import FaultyLine
from callpipe.transports.realtime.emulator.faulty_socket import FaultySocket
from callpipe.transports.realtime.emulator.server_events import ServerEvents
from callpipe.transports.realtime.emulator.session_log import SessionLog
from callpipe.transports.virtual_time import in_virtual_time


@pytest.mark.parametrize("fault", [Drop(After(1.0)), Disconnect(After(1.0), 1011)])
@in_virtual_time()
async def test_when_the_session_is_over_nothing_is_sent_and_nothing_strikes(fault: Fault) -> None:
    servers, clients = socket_pair()
    events, log, clock = ServerEvents(), SessionLog(), asyncio.get_running_loop().time
    socket = FaultySocket(servers, FaultyLine([fault], events), log, clock=clock, abort=servers.abort)
    socket.open()
    socket.send([events.event("one")])
    await socket.end()
    socket.send([events.event("two")])
    socket.close(1001, "going away")
    await asyncio.sleep(2)
    await servers.close(4000)

    assert "one" in str(await clients.receive())
    with pytest.raises(SocketClosedError) as closed:
        await clients.receive()
    assert closed.value.code == 4000
    assert [event.type for event in log.server_events()] == ["one"]
