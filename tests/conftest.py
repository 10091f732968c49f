"""What every test runs under: a blocked event loop fails a test, and log messages are kept for inspection."""

import errno
import fcntl
import socket
import struct
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from coverage import Coverage
from loguru import logger

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def pytest_configure() -> None:
    """Bring the loopback interface up, which a network namespace of its own begins without."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        try:
            socket.create_connection(listener.getsockname(), 1).close()
        except OSError as unreachable:
            if unreachable.errno != errno.ENETUNREACH:
                raise
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as interface:
                asked = struct.pack("16sh14x", b"lo", 0)
                _, flags = struct.unpack("16sh14x", fcntl.ioctl(interface, SIOCGIFFLAGS, asked))
                fcntl.ioctl(interface, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fail a test that blocks the event loop."""
    with blockbuster_ctx() as detector:
        if Coverage.current() is not None:
            detector.functions["threading.Lock.acquire"].deactivate()  # coverage takes a lock in every call
        yield detector


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Every log message of the test, as formatted."""
    messages: list[str] = []
    sink = logger.add(messages.append, level="TRACE", format="{level} {message}")
    yield messages
    logger.remove(sink)
