"""What every test runs under: a blocked event loop fails a test, and log messages are kept for inspection."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from loguru import logger


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fail a test that blocks the event loop."""
    with blockbuster_ctx() as detector:
        yield detector


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Every log message of the test, as formatted."""
    messages: list[str] = []
    sink = logger.add(messages.append, level="TRACE", format="{level} {message}")
    yield messages
    logger.remove(sink)
