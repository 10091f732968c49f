"""What a WebSocket library costs: CPU per media packet received and answered, each in a process of its own.

Run `python tests/bench/wire.py`. A server reads 300-byte messages from 50 sockets, 50 a second each, and
answers each with one of the same size, as a call does. Printed: CPU time of the server process per message, and
its ratio to the cheapest.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import picows.websockets.asyncio.server as picows_server
import uvloop
import websockets.asyncio.server as websockets_server

from callpipe.transports import websocket, websocket_server
from callpipe.transports.errors import SocketClosedError

SOCKETS = 50
PACKETS_PER_SECOND = 50
SECONDS = 6
PACKET = b'{"eventType":"media","track":"inbound","payload":"' + b"A" * 216 + b'","sequenceNumber":"1"}'


async def serve_websockets() -> tuple[object, int]:
    async def answer(socket: websockets_server.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    server = await websockets_server.serve(answer, "127.0.0.1", 0, compression=None)
    return server, next(iter(server.sockets)).getsockname()[1]


async def serve_picows_websockets() -> tuple[object, int]:
    async def answer(socket: picows_server.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    server = await picows_server.serve(answer, "127.0.0.1", 0, compression=None)
    return server, next(iter(server.sockets)).getsockname()[1]


async def serve_callpipe() -> tuple[object, int]:
    tasks: set[asyncio.Task[None]] = set()

    async def answer(socket: websocket.WebSocket) -> None:
        try:
            while True:
                socket.send(await socket.receive())
        except SocketClosedError:
            return

    def opened(socket: websocket.WebSocket) -> None:
        tasks.add(asyncio.create_task(answer(socket)))

    server = await websocket_server.serve(lambda _request: opened)
    return (server, tasks), server.sockets[0].getsockname()[1]


SYSTEMS: dict[str, Callable[[], Awaitable[tuple[object, int]]]] = {
    "websockets": serve_websockets,
    "picows.websockets (drop-in)": serve_picows_websockets,
    "callpipe.transports.websocket (picows)": serve_callpipe,
}


def serve_in_process(system: str, pipe: Connection) -> None:
    async def main() -> None:
        kept, port = await SYSTEMS[system]()
        pipe.send(port)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, pipe.recv)
        began = time.process_time()
        await loop.run_in_executor(None, pipe.recv)
        pipe.send(time.process_time() - began)
        del kept

    uvloop.run(main())


async def load(port: int, pipe: Connection) -> int:
    """Send packets on every socket at the pace of calls; return how many answers came back."""
    sockets = [
        await websocket.connect(f"ws://127.0.0.1:{port}/", headers={}, deadline_s=5) for _ in range(SOCKETS)
    ]
    answered = 0

    async def read(socket: websocket.WebSocket) -> None:
        nonlocal answered
        try:
            while True:
                await socket.receive()
                answered += 1
        except SocketClosedError:
            return

    readers = [asyncio.create_task(read(socket)) for socket in sockets]
    pipe.send("begin")
    began = time.monotonic()
    for packet in range(PACKETS_PER_SECOND * SECONDS):
        for number, socket in enumerate(sockets):
            socket.send(PACKET)
            if number % 10 == 9:  # spread the sockets over the 20 ms, as calls are
                await asyncio.sleep(
                    max(0.0, began + (packet + number / SOCKETS) / PACKETS_PER_SECOND - time.monotonic())
                )
    await asyncio.sleep(0.3)
    pipe.send("end")
    for socket in sockets:
        await socket.close()
    await asyncio.gather(*readers)
    return answered


def measure(system: str) -> float:
    """Return the microseconds of CPU the server takes per message."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve_in_process, args=(system, theirs))
    server.start()
    answered = uvloop.run(load(ours.recv(), ours))
    cpu_s: float = ours.recv()
    server.join(5)
    return cpu_s / answered * 1e6


def main() -> None:
    costs = {system: measure(system) for system in SYSTEMS}
    cheapest = min(costs.values())
    for system, cost in costs.items():
        print(f"{system:42} {cost:6.1f} us a message  {cost / cheapest:4.1f} x")


if __name__ == "__main__":
    main()
